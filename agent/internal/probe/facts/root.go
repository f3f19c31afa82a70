package facts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"hozen/agent/internal/probe/touch"
)

// Root is a tree of files that are read within bounds. No link leads out of it.
type Root struct{ *counted }

type counted struct {
	*os.Root
	opened *touch.Counter
}

// In is [Open] for an acquisition, which counts the files that it opens.
func In(ctx context.Context, dir string) (Root, error) {
	r, err := Open(dir)
	if err == nil {
		r.opened = touch.Of(ctx)
	}
	return r, err
}

// OpenFile is that of [os.Root], counted.
func (r *counted) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := r.Root.OpenFile(name, flag, perm)
	if err == nil {
		r.opened.One()
	}
	return f, err
}

// Open opens the tree below dir, usually "/".
func Open(dir string) (Root, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return Root{}, fmt.Errorf("open %s: %w", dir, err)
	}
	return Root{&counted{Root: r}}, nil
}

// File reads at most limit bytes of a regular file, without waiting for a pipe or a
// device. What is longer comes with an error.
func (r Root) File(name string, limit int) ([]byte, error) {
	f, err := r.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("read %s: not a regular file: %w", name, fs.ErrInvalid))
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(b) > limit {
		return b[:limit], fmt.Errorf("read %s: longer than %d bytes", name, limit)
	}
	return b, err
}

// Tail reads the newest records of a file that grows at its end: at most count of size
// bytes each. left is how many stand before them.
func (r Root) Tail(name string, size, count int) (b []byte, left int64, err error) {
	f, err := r.open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return nil, 0, errors.Join(err, fmt.Errorf("read %s: not a regular file: %w", name, fs.ErrInvalid))
	}
	left = max(st.Size()/int64(size)-int64(count), 0)
	b, err = io.ReadAll(io.NewSectionReader(f, left*int64(size), int64(count)*int64(size)))
	return b, left, err
}

// attribute is the most bytes of a file of sysfs, a page.
const attribute = 64 << 10

// Value reads a small file that holds one value, as sysfs has it, without the blanks
// around it. What is not there or may not be read is empty.
func (r Root) Value(name string) string {
	b, _ := r.File(name, attribute)
	return strings.TrimSpace(string(b))
}

// Link returns the last part of where a link leads, empty when it is none.
func (r Root) Link(name string) string {
	target, _ := r.Readlink(name)
	return target[strings.LastIndexByte(target, '/')+1:]
}

// List returns the names in a folder in their order, at most limit of them; more come
// with an error.
func (r Root) List(dir string, limit int) ([]string, error) {
	f, err := r.OpenFile(dir, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(limit + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	slices.Sort(names)
	if len(names) > limit {
		return names[:limit], fmt.Errorf("list %s: more than %d names", dir, limit)
	}
	return names, err
}
