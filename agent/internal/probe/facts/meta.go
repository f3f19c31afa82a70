package facts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"hozen/internal/artifact/record"
)

// Info tells of a file without opening or following it. name is relative to the root;
// the record's path is absolute.
func (r Root) Info(name string) (record.FileInfo, error) {
	st, err := r.Lstat(name)
	if err != nil {
		return record.FileInfo{}, err
	}
	f := info(st)
	f.Path, f.PathRaw = record.TextOf("/" + name)
	if f.FileKind == "link" {
		target, err := r.Readlink(name)
		if err == nil {
			f.Target, f.TargetRaw = record.TextOf(target)
		}
	}
	return f, nil
}

func info(st fs.FileInfo) record.FileInfo {
	m := st.Mode()
	bits := m.Perm()
	for _, b := range []struct{ from, to fs.FileMode }{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.from != 0 {
			bits |= b.to
		}
	}
	f := record.FileInfo{FileKind: kindOf(m), Mode: fmt.Sprintf("%04o", uint32(bits)), UID: record.Unknown, GID: record.Unknown, Size: st.Size(), Modified: st.ModTime().UTC()}
	own(&f, st)
	return f
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "dir"
	case m&fs.ModeSymlink != 0:
		return "link"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// Sum returns the SHA-256 of a regular file of at most limit bytes. The time of the last
// access stays where the system allows that.
func (r Root) Sum(name string, limit int64) (string, error) {
	f, err := r.open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !st.Mode().IsRegular():
		return "", fmt.Errorf("hash %s: not a regular file: %w", name, fs.ErrInvalid)
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return "", err
	case n > limit:
		return "", fmt.Errorf("hash %s: longer than %d bytes", name, limit)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// open opens a file without waiting for a pipe, and without touching the time of its
// last access where that is the owner's or an administrator's to say.
func (r Root) open(name string) (*os.File, error) {
	f, err := r.OpenFile(name, os.O_RDONLY|nonblock|noatime, 0)
	if errors.Is(err, fs.ErrPermission) && noatime != 0 {
		f, err = r.OpenFile(name, os.O_RDONLY|nonblock, 0)
	}
	return f, err
}

// Walk calls f for what lies below dir, in the order of names, folders before what is in
// them, down to depth folders, and follows no link. It stops after most entries, or when
// f fails; what cannot be listed is told to miss. It returns how many entries are left
// of most.
func (r Root) Walk(dir string, depth, most int, miss func(error), f func(name string) error) (left int, err error) {
	names, err := r.List(dir, most)
	miss(err)
	for _, n := range names {
		if most == 0 {
			miss(fmt.Errorf("list %s: not all of it", dir))
			return 0, nil
		}
		most--
		name := path.Join(dir, n)
		if err := f(name); err != nil {
			return most, err
		}
		if st, err := r.Lstat(name); err == nil && st.IsDir() && depth > 1 {
			if most, err = r.Walk(name, depth-1, most, miss, f); err != nil {
				return most, err
			}
		}
	}
	return most, nil
}
