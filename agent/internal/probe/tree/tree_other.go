//go:build !linux

package tree

import "errors"

// Dir is a folder; there is none here.
type Dir struct{ Path string }

// File is a plain file; there is none here.
type File struct {
	Dir     *Dir
	Info    Info
	NoATime bool
}

// Open returns [errors.ErrUnsupported], as everything does.
func Open(string) (*Tree, error) { return nil, errors.ErrUnsupported }

func (t *Tree) Dir(string) (*Dir, error)          { return nil, errors.ErrUnsupported }
func (d *Dir) Close()                             {}
func (d *Dir) Info() *Info                        { return &Info{} }
func (d *Dir) Sub(string) (*Dir, error)           { return nil, errors.ErrUnsupported }
func (d *Dir) Stat(string, *Info) error           { return errors.ErrUnsupported }
func (d *Dir) Readlink(string) (string, error)    { return "", errors.ErrUnsupported }
func (d *Dir) Names(int) ([]string, bool, error)  { return nil, false, errors.ErrUnsupported }
func (d *Dir) Open(string) (*File, error)         { return nil, errors.ErrUnsupported }
func (f *File) Close()                            {}
func (f *File) ReadAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }
func (f *File) Again(*Info) (bool, error)         { return false, errors.ErrUnsupported }
