package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Disk is what a guest boots from: a root file system that stays as it is, and above
// it what this guest has written (overlayfs). Booting the same Disk again finds what
// the boot before has left.
type Disk struct {
	dir    string   // holds upper, work and root
	lowers []string // what lies below, topmost first
}

func newDisk(dir string, lowers []string) (*Disk, error) {
	d := &Disk{dir, lowers}
	for _, sub := range []string{d.upper(), d.work(), d.root()} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return nil, fmt.Errorf("make disk: %w", err)
		}
	}
	return d, nil
}

func (d *Disk) upper() string { return filepath.Join(d.dir, "upper") }
func (d *Disk) work() string  { return filepath.Join(d.dir, "work") }
func (d *Disk) root() string  { return filepath.Join(d.dir, "root") }

// Write puts a file on the disk of a guest that is not running. Folders that are
// missing are made; mode and owner of those that exist stay.
func (d *Disk) Write(path, content string, mode fs.FileMode) error {
	to, err := d.parent(path)
	if err == nil {
		err = os.WriteFile(to, []byte(content), mode)
	}
	if err == nil {
		err = os.Chmod(to, mode) // whatever this process's umask is
	}
	if err != nil {
		return fmt.Errorf("put file on disk: %w", err)
	}
	return nil
}

// Copy puts a program of this machine on the disk of a guest that is not running.
func (d *Disk) Copy(path, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("put program on disk: %w", err)
	}
	return d.Write(path, string(b), 0o755)
}

// Link puts a symbolic link on the disk of a guest that is not running.
func (d *Disk) Link(path, target string) error {
	to, err := d.parent(path)
	if err == nil {
		err = os.Symlink(target, to)
	}
	if err != nil {
		return fmt.Errorf("put link on disk: %w", err)
	}
	return nil
}

// Put puts all of these on the disk of a guest that is not running.
func (d *Disk) Put(files []File) error {
	var errs []error
	for _, f := range files {
		if f.Target != "" {
			errs = append(errs, d.Link(f.Path, f.Target))
		} else {
			errs = append(errs, d.Write(f.Path, f.Content, f.Mode))
		}
	}
	return errors.Join(errs...)
}

// parent makes the folders above path as they are below, and returns where path lies.
func (d *Disk) parent(path string) (string, error) {
	at := d.upper()
	dir := filepath.Dir(filepath.Clean(path))
	for name := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if name == "" {
			continue
		}
		at = filepath.Join(at, name)
		if exists(at) {
			continue
		}
		rel := strings.TrimPrefix(at, d.upper())
		mode, uid, gid := fs.FileMode(0o755), 0, 0
		if fi, err := os.Lstat(d.below(rel)); err == nil {
			if !fi.IsDir() {
				return "", fmt.Errorf("%s: %w", rel, syscall.ENOTDIR)
			}
			mode = fi.Mode()
			if st, ok := fi.Sys().(*syscall.Stat_t); ok {
				uid, gid = int(st.Uid), int(st.Gid)
			}
		}
		if err := errors.Join(os.Mkdir(at, mode), os.Chown(at, uid, gid), os.Chmod(at, mode)); err != nil {
			return "", err
		}
	}
	return filepath.Join(d.upper(), path), nil
}

// below returns where path lies under what this disk's guest has written.
func (d *Disk) below(path string) string {
	for _, l := range d.lowers {
		if p := filepath.Join(l, path); exists(p) {
			return p
		}
	}
	return filepath.Join(d.lowers[len(d.lowers)-1], path)
}

// Path returns where a file of the disk lies on this machine, to be read only.
func (d *Disk) Path(path string) string {
	if p := filepath.Join(d.upper(), path); exists(p) {
		return p
	}
	return d.below(path)
}

// options are the mount options of the disk.
func (d *Disk) options() string {
	return fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(d.lowers, ":"), d.upper(), d.work())
}
