package machine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// image returns what the disk of a virtual machine begins as.
func (d *Disk) image(ctx context.Context) (image, error) {
	return imageOf(ctx, d.lowers[len(d.lowers)-1])
}

// overlay is what a virtual machine has written.
func (d *Disk) overlay() string { return filepath.Join(d.dir, "overlay") }

// pack moves what was put on the disk since the last boot into an archive for the
// next one and returns the archive's file, "" when there is nothing.
func (d *Disk) pack() (string, error) {
	from := []string{d.upper()}
	if !exists(d.overlay()) { // the first boot: with what this disk was cloned from
		for _, l := range d.lowers[:len(d.lowers)-1] {
			from = append([]string{l}, from...)
		}
	}
	to := filepath.Join(d.dir, "given.tar")
	f, err := os.Create(to)
	if err != nil {
		return "", fmt.Errorf("pack files for the guest: %w", err)
	}
	w := tar.NewWriter(f)
	count := 0
	for _, dir := range from {
		n, e := packTree(w, dir)
		count, err = count+n, errors.Join(err, e)
	}
	err = errors.Join(err, w.Close(), f.Close())
	if err == nil && count > 0 {
		err = errors.Join(os.RemoveAll(d.upper()), os.Mkdir(d.upper(), 0o755))
	}
	if err != nil {
		return "", fmt.Errorf("pack files for the guest: %w", err)
	}
	if count == 0 {
		return "", os.Remove(to)
	}
	return to, nil
}

// packTree adds what lies below dir, and returns how many entries that were.
func packTree(w *tar.Writer, dir string) (count int, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		target := ""
		if fi.Mode()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(path); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(fi, target)
		if err != nil {
			return err
		}
		if h.Name, err = filepath.Rel(dir, path); err != nil {
			return err
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			h.Uid, h.Gid = int(st.Uid), int(st.Gid)
		}
		h.Uname, h.Gname = "", "" // names of this machine say nothing there
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		count++
		if !fi.Mode().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	})
	return count, err
}
