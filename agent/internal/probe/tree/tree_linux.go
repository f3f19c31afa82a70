package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/sorted"
)

const (
	maxMountinfo = 16 << 20
	lookFlags    = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	lookMask     = unix.STATX_BASIC_STATS | unix.STATX_BTIME
)

// Open returns the files below root, usually "/", with the mounts that its own
// proc/self/mountinfo tells of.
func Open(root string) (*Tree, error) {
	f, err := os.Open(path.Join(root, "proc/self/mountinfo"))
	if errors.Is(err, fs.ErrNotExist) && root != "/" {
		return &Tree{root: root}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMountinfo))
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	return &Tree{root: root, mounts: Mounts(b)}, nil
}

// Dir is an open folder. Only one goroutine may use it.
type Dir struct {
	t  *Tree
	fd int // O_PATH
	// Path is where it lies, relative to the root, without a link in it; "" is the root.
	Path string
	info Info
}

// Close lets go of the folder.
func (d *Dir) Close() { _ = unix.Close(d.fd) }

// Dir opens the folder at a path relative to the root. Links on the way are followed where
// root made them, as in /var/run or /home on another disk.
func (t *Tree) Dir(name string) (*Dir, error) {
	links := 0
again:
	d, err := t.top()
	if err != nil {
		return nil, err
	}
	rest := path.Join("/", name)[1:]
	for rest != "" {
		part, after, _ := strings.Cut(rest, "/")
		st, err := d.Stat(part)
		if err == nil && st.IsLink() {
			var target string
			if target, err = d.Readlink(part); err == nil && st.UID == 0 && links < maxLinks {
				links++
				if !path.IsAbs(target) {
					target = path.Join("/", d.Path, target)
				}
				name = path.Join(target, after)
				d.Close()
				goto again
			}
			err = errors.Join(err, fmt.Errorf("/%s: %w", Join(d.Path, part), ErrLink))
		}
		var next *Dir
		if err == nil {
			next, err = d.Sub(part)
		}
		d.Close()
		if err != nil {
			return nil, err
		}
		d, rest = next, after
	}
	return d, nil
}

func (t *Tree) top() (*Dir, error) {
	fd, err := unix.Open(t.root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: t.root, Err: err}
	}
	d := &Dir{t: t, fd: fd}
	if err := d.look(fd, "", unix.AT_EMPTY_PATH, &d.info); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Sub opens a folder in this one, which no link may stand for.
func (d *Dir) Sub(name string) (*Dir, error) {
	s := &Dir{t: d.t, Path: Join(d.Path, name)}
	if err := d.t.enter(s.Path); err != nil {
		return nil, err
	}
	fd, err := unix.Openat(d.fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "/" + s.Path, Err: err}
	}
	s.fd = fd
	err = s.look(fd, "", unix.AT_EMPTY_PATH, &s.info)
	if err == nil {
		err = d.t.known(s.Path, s.info)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// known refuses what was mounted after the mounts were read: nobody knows what it is.
func (t *Tree) known(path string, st Info) error {
	if _, ok := t.mounts[path]; st.mounts && st.mounted && !ok && t.mounts != nil {
		return fmt.Errorf("/%s was mounted meanwhile: %w", path, ErrForeign)
	}
	return nil
}

// Info says what the folder itself is.
func (d *Dir) Info() Info { return d.info }

// Stat says what a name in the folder stands for, without following it.
func (d *Dir) Stat(name string) (Info, error) {
	if err := d.t.enter(Join(d.Path, name)); err != nil {
		return Info{}, err
	}
	var st Info
	err := d.look(d.fd, name, 0, &st)
	return st, err
}

func (d *Dir) look(fd int, name string, flags int, st *Info) error {
	var x unix.Statx_t
	for {
		err := unix.Statx(fd, name, lookFlags|flags, lookMask, &x)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return &fs.PathError{Op: "statx", Path: "/" + Join(d.Path, name), Err: err}
		}
	}
	*st = Info{
		Mode: uint32(x.Mode), UID: x.Uid, GID: x.Gid, Size: int64(x.Size), Blocks: x.Blocks, Inode: x.Ino, Links: x.Nlink,
		Major: x.Dev_major, Minor: x.Dev_minor, M: at(x.Mtime), C: at(x.Ctime),
		mounts: x.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0, mounted: x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
	}
	if x.Mask&unix.STATX_ATIME != 0 {
		st.A = at(x.Atime)
	}
	if x.Mask&unix.STATX_BTIME != 0 && x.Btime.Sec != 0 { // some file systems promise it and have none
		st.B = at(x.Btime)
	}
	return nil
}

func at(t unix.StatxTimestamp) time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// Readlink says where a link leads.
func (d *Dir) Readlink(name string) (string, error) {
	var b [unix.PathMax]byte
	n, err := unix.Readlinkat(d.fd, name, b[:])
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: "/" + Join(d.Path, name), Err: err}
	}
	return string(b[:n]), nil
}

// open opens something in the folder for reading and reports whether the time of its last
// access stays as it is, which is the owner's and an administrator's to ask for.
func (d *Dir) open(name string, flags int) (fd int, noatime bool, err error) {
	flags |= unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
	for _, noatime = range []bool{true, false} {
		with := flags
		if noatime {
			with |= unix.O_NOATIME
		}
		for {
			if fd, err = unix.Openat(d.fd, name, with, 0); err != unix.EINTR {
				break
			}
		}
		if err != unix.EPERM {
			break
		}
	}
	if err != nil {
		return -1, false, &fs.PathError{Op: "open", Path: "/" + Join(d.Path, name), Err: err}
	}
	return fd, noatime, nil
}

// Names lists at most limit names in their order; more says that there are others.
func (d *Dir) Names(limit int) (names []string, more bool, err error) {
	fd, _, err := d.open(".", unix.O_DIRECTORY)
	if err != nil {
		return nil, false, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 32<<10)
	for len(names) <= limit {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return names, false, &fs.PathError{Op: "list", Path: "/" + d.Path, Err: err}
		}
		if n <= 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	if more = len(names) > limit; more {
		names = names[:limit]
	}
	sorted.Func(names, strings.Compare)
	return names, more, nil
}

// File is an open plain file.
type File struct {
	d    *Dir
	fd   int
	name string
	// Info is of the file when it was opened; NoATime says that reading leaves the time of
	// its last access alone.
	Info    Info
	NoATime bool
}

// Open opens a plain file in the folder. Nothing else is ever opened: not a pipe, and not a
// device, where opening does something.
func (d *Dir) Open(name string) (*File, error) {
	before, err := d.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case before.IsLink():
		return nil, fmt.Errorf("/%s: %w", Join(d.Path, name), ErrLink)
	case !before.IsFile():
		return nil, fmt.Errorf("/%s: %w", Join(d.Path, name), ErrNotRegular)
	}
	if err := d.t.known(Join(d.Path, name), before); err != nil {
		return nil, err
	}
	fd, noatime, err := d.open(name, 0)
	if err != nil {
		if errors.Is(err, unix.ELOOP) {
			err = errors.Join(err, ErrLink)
		}
		return nil, err
	}
	f := &File{d: d, fd: fd, name: name, NoATime: noatime}
	err = d.look(fd, "", unix.AT_EMPTY_PATH, &f.Info)
	switch {
	case err != nil:
	case !f.Info.IsFile():
		err = fmt.Errorf("/%s: %w", Join(d.Path, name), ErrNotRegular)
	case !f.Info.Same(before):
		err = fmt.Errorf("/%s: %w", Join(d.Path, name), ErrReplaced)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close lets go of the file.
func (f *File) Close() { _ = unix.Close(f.fd) }

// ReadAt implements [io.ReaderAt].
func (f *File) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) {
		k, err := unix.Pread(f.fd, b[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, &fs.PathError{Op: "read", Path: "/" + Join(f.d.Path, f.name), Err: err}
		case k == 0:
			return n, io.EOF
		default:
			n += k
		}
	}
	return n, nil
}

// Again looks at the file once more: what it is now, and whether its name still leads to
// it. The error of the name tells whether that is gone.
func (f *File) Again() (now Info, named bool, err error) {
	if err := f.d.look(f.fd, "", unix.AT_EMPTY_PATH, &now); err != nil {
		return now, false, err
	}
	st, err := f.d.Stat(f.name)
	return now, err == nil && st.Same(now), err
}
