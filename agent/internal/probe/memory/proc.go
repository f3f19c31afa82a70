package memory

import (
	"errors"
	"fmt"
	"io"
	"os"

	"hozen/agent/internal/probe/facts"
)

// opener opens a file of procfs by its name there, for reading and without waiting. What
// is no regular file comes with an error; so does, in the system that runs, what somebody
// laid over the kernel's file: that is a [refused].
type opener func(r facts.Root, name string) (*os.File, error)

// openerOf returns the opener of a tree. Other trees than the system's own have no procfs.
func openerOf(root string) opener {
	if root == "/" {
		return openProc
	}
	return openPlain
}

// file reads a whole file of at most limit bytes.
func (o opener) file(r facts.Root, name string, limit int64) ([]byte, error) {
	f, err := o(r, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, fmt.Errorf("read /proc/%s: longer than %d bytes", name, limit)
	}
	return b, err
}

func openPlain(r facts.Root, name string) (*os.File, error) {
	f, err := r.OpenFile("proc/"+name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	return regular(f, name)
}

// regular returns f, or the error that it is no regular file: a pipe would hold the
// reading up.
func regular(f *os.File, name string) (*os.File, error) {
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = overlaid(name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func overlaid(name string) error {
	return &refused{"something is mounted over /proc/" + name + ": it is not the kernel's own file"}
}
