package tree

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/sorted"
)

const (
	maxMountinfo = 16 << 20
	maxNameBytes = 8 << 20
	lookFlags    = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	lookMask     = unix.STATX_BASIC_STATS | unix.STATX_BTIME
)

// Open returns the files below root, usually "/", with the mounts that its own
// proc/self/mountinfo tells of.
func Open(root string) (*Tree, error) {
	t := &Tree{root: root}
	f, err := os.Open(path.Join(root, "proc/self/mountinfo"))
	if errors.Is(err, fs.ErrNotExist) && root != "/" {
		return t, nil
	}
	var b []byte
	if err == nil {
		defer f.Close()
		b, err = io.ReadAll(io.LimitReader(f, maxMountinfo))
	}
	if err != nil {
		return nil, err
	}
	t.mounts = Mounts(b)
	return t, nil
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
	for links := 0; ; links++ {
		d, on, err := t.descend(path.Join("/", name)[1:])
		switch {
		case err != nil:
			return nil, err
		case d != nil:
			return d, nil
		case links == maxLinks:
			return nil, At(name, ErrLink)
		}
		name = on
	}
}

// descend opens a folder, or says where a link on the way leads on.
func (t *Tree) descend(rest string) (_ *Dir, on string, err error) {
	d := &Dir{t: t}
	if d.fd, err = unix.Open(t.root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, "", At("", err)
	}
	err = d.look(d.fd, "", unix.AT_EMPTY_PATH, &d.info)
	var st Info
	for rest != "" && err == nil {
		part, after, _ := strings.Cut(rest, "/")
		var next *Dir
		if err = d.Stat(part, &st); err == nil && st.IsLink() {
			on, err = d.follow(part, &st)
			if err == nil {
				d.Close()
				return nil, path.Join(on, after), nil
			}
		}
		if err == nil {
			next, err = d.Sub(part)
		}
		if err == nil {
			d.Close()
			d, rest = next, after
		}
	}
	if err != nil {
		d.Close()
		return nil, "", err
	}
	return d, "", nil
}

// follow says where a link leads that root made.
func (d *Dir) follow(name string, st *Info) (string, error) {
	target, err := d.Readlink(name)
	if err == nil && st.UID != 0 {
		err = At(Join(d.Path, name), ErrLink)
	}
	if !path.IsAbs(target) {
		target = path.Join("/", d.Path, target)
	}
	return target, err
}

// Sub opens a folder in this one, which no link may stand for.
func (d *Dir) Sub(name string) (*Dir, error) {
	s := &Dir{t: d.t, Path: Join(d.Path, name)}
	err := d.t.enter(s.Path)
	if err != nil {
		return nil, err
	}
	if s.fd, err = unix.Openat(d.fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
		return nil, At(s.Path, err)
	}
	if err = s.look(s.fd, "", unix.AT_EMPTY_PATH, &s.info); err == nil {
		err = d.t.known(s.Path, &s.info)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// known refuses what was mounted after the mounts were read: nobody knows what it is.
func (t *Tree) known(path string, st *Info) error {
	if _, ok := t.mounts[path]; st.strange && !ok && t.mounts != nil {
		return At(path, ErrForeign)
	}
	return nil
}

// Info says what the folder itself is.
func (d *Dir) Info() *Info { return &d.info }

// Stat fills st with what a name in the folder stands for, without following it.
func (d *Dir) Stat(name string, st *Info) error {
	if err := d.t.enter(Join(d.Path, name)); err != nil {
		return err
	}
	return d.look(d.fd, name, 0, st)
}

func (d *Dir) look(fd int, name string, flags int, st *Info) error {
	var x unix.Statx_t
	err := unix.Statx(fd, name, lookFlags|flags, lookMask, &x)
	for err == unix.EINTR {
		err = unix.Statx(fd, name, lookFlags|flags, lookMask, &x)
	}
	if err != nil {
		return At(Join(d.Path, name), err)
	}
	st.Mode, st.UID, st.GID, st.Links, st.Size, st.Blocks, st.Inode = uint32(x.Mode), x.Uid, x.Gid, x.Nlink, int64(x.Size), x.Blocks, x.Ino
	st.Major, st.Minor = x.Dev_major, x.Dev_minor
	st.A = Stamp{x.Atime.Sec, x.Atime.Nsec, x.Mask&unix.STATX_ATIME != 0}
	st.M = Stamp{x.Mtime.Sec, x.Mtime.Nsec, true}
	st.C = Stamp{x.Ctime.Sec, x.Ctime.Nsec, true}
	// Some file systems promise a birth and have none.
	st.B = Stamp{x.Btime.Sec, x.Btime.Nsec, x.Mask&unix.STATX_BTIME != 0 && x.Btime.Sec != 0}
	st.strange = x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	return nil
}

// Readlink says where a link leads.
func (d *Dir) Readlink(name string) (string, error) {
	var b [unix.PathMax]byte
	n, err := unix.Readlinkat(d.fd, name, b[:])
	if err != nil {
		return "", At(Join(d.Path, name), err)
	}
	return string(b[:n]), nil
}

// open opens something in the folder for reading and reports whether the time of its last
// access stays as it is, which is the owner's and an administrator's to ask for.
func (d *Dir) open(name string, flags int) (fd int, noatime bool, err error) {
	flags |= unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NOATIME
	for {
		switch fd, err = unix.Openat(d.fd, name, flags, 0); {
		case err == nil:
			d.t.opened.One()
			return fd, flags&unix.O_NOATIME != 0, nil
		case err == unix.EPERM && flags&unix.O_NOATIME != 0:
			flags &^= unix.O_NOATIME
		case err != unix.EINTR:
			return fd, flags&unix.O_NOATIME != 0, At(path.Join(d.Path, name), err) // without the "." of a folder itself
		}
	}
}

// Names lists at most limit names in their order, of maxNameBytes together; more says that
// there are others.
func (d *Dir) Names(limit int) (names []string, more bool, err error) {
	fd, _, err := d.open(".", unix.O_DIRECTORY)
	if err != nil {
		return nil, false, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 32<<10)
	for size := 0; len(names) <= limit && !more; {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return names, false, At(d.Path, err)
		}
		if n <= 0 {
			break
		}
		at := len(names)
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
		for ; at < len(names) && !more; at++ {
			if size += len(names[at]); size > maxNameBytes || at >= limit {
				names, more = names[:at], true
			}
		}
	}
	sorted.Func(names, strings.Compare)
	return names, more, nil
}

// File is an open plain file.
type File struct {
	// Dir is the folder in which it was opened, which must stay open as long.
	Dir  *Dir
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
	f := &File{Dir: d, name: name}
	err := d.Stat(name, &f.Info)
	if err == nil {
		err = f.plain()
	}
	if err != nil {
		return nil, err
	}
	before := f.Info
	if f.fd, f.NoATime, err = d.open(name, 0); err != nil {
		return nil, err
	}
	if err = d.look(f.fd, "", unix.AT_EMPTY_PATH, &f.Info); err == nil {
		err = f.plain()
	}
	if err == nil && !f.Info.Same(&before) {
		err = At(Join(d.Path, name), ErrReplaced)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// plain says why a file is not read.
func (f *File) plain() error {
	path := Join(f.Dir.Path, f.name)
	switch {
	case f.Info.IsLink():
		return At(path, ErrLink)
	case !f.Info.IsFile():
		return At(path, ErrNotRegular)
	}
	return f.Dir.t.known(path, &f.Info)
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
			return n, At(Join(f.Dir.Path, f.name), err)
		case k == 0:
			return n, io.EOF
		default:
			n += k
		}
	}
	return n, nil
}

// Again fills now with what the file is now, and says whether its name still leads to it.
// The error of the name tells whether that is gone.
func (f *File) Again(now *Info) (named bool, err error) {
	if err := f.Dir.look(f.fd, "", unix.AT_EMPTY_PATH, now); err != nil {
		return false, err
	}
	var st Info
	err = f.Dir.Stat(f.name, &st)
	return err == nil && st.Same(now), err
}
