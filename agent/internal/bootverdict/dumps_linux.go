package bootverdict

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/artifact/record"
)

// pstore reads the names and the first bytes of what the dying kernel saved: where the
// kernel shows it, and where systemd-pstore puts it early in this boot.
func (s *system) pstore(began time.Time, contained bool) []Finding {
	const live, kept = "sys/fs/pstore", "var/lib/systemd/pstore"
	f := found(sourcePstore, witnessKernel)
	f.Says = "nothing"
	list, err := s.names(live)
	if contained {
		list, err = nil, fs.ErrNotExist // the host's
	}
	for _, e := range list {
		if st, serr := e.Info(); serr == nil && st.Mode().IsRegular() {
			s.dump(&f, live, e.Name(), st.ModTime(), st.Size())
		}
	}
	archived := 0
	for _, name := range s.below(kept, 3) {
		st, serr := s.root.Stat(name)
		// What was put there before this boot is of an earlier end.
		if serr == nil && !began.IsZero() && !st.ModTime().Before(began.Add(-bootRecordSlack)) {
			archived++
			s.dump(&f, path.Dir(name), path.Base(name), time.Time{}, st.Size())
		}
	}
	if err != nil && archived == 0 {
		return s.missed(sourcePstore, witnessKernel, err)
	}
	return []Finding{f}
}

func (s *system) dump(f *Finding, dir, name string, at time.Time, size int64) {
	head := make([]byte, 64)
	n := 0
	if file, _, err := s.open(dir + "/" + name); err == nil {
		n, _ = io.ReadFull(file, head) // what is there is enough to know its kind
		file.Close()
	}
	says, leans := dumpKind(name, head[:n])
	if says == "" {
		return
	}
	f.Dumps = append(f.Dumps, record.BootDump{Name: shorten(name), Size: size, At: at.UTC()})
	if f.Says = worst(f.Says, says); f.Says == says {
		f.Leans, f.At = leans, at.UTC()
	}
}

// below lists the files of a small tree.
func (s *system) below(dir string, depth int) (names []string) {
	list, err := s.names(dir)
	if err != nil {
		return nil
	}
	for _, e := range list {
		name := dir + "/" + e.Name()
		switch {
		case len(names) >= maxNames:
		case e.IsDir() && depth > 1:
			names = append(names, s.below(name, depth-1)...)
		case e.Type().IsRegular():
			names = append(names, name)
		}
	}
	return names
}

// kdump looks for memory dumps that were written between the last boot and this one.
// Anybody may write to /var/crash on some systems, so a dump counts only when nobody but
// root can have put it there.
func (s *system) kdump(began time.Time) []Finding {
	top, err := s.root.Open("var/crash")
	if err != nil {
		return s.missed(sourceKdump, witnessKernel, err)
	}
	defer top.Close()
	f := found(sourceKdump, witnessKernel)
	f.Says = "nothing"
	st, err := top.Stat()
	if err == nil && !s.guarded(st) {
		return []Finding{f}
	}
	folders := 0
	for read := 0; err == nil && read < maxCrash && folders < maxNames; {
		var list []fs.DirEntry
		list, err = top.ReadDir(maxNames) // in the folder's own order: what others put there must not come first
		for _, e := range list {
			if read++; e.IsDir() && folders < maxNames && s.crash(&f, top, e.Name(), began) {
				folders++
			}
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return s.missed(sourceKdump, witnessKernel, err)
	}
	return []Finding{f}
}

// maxCrash is how many entries of /var/crash are looked at.
const maxCrash = 50000

// guarded reports whether only root can put something of root's into a folder: it is
// root's, and others cannot write there, or only what stays theirs (inode(7), sticky bit).
func (s *system) guarded(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && st.IsDir() && sys.Uid == s.owner && (st.Mode().Perm()&0o022 == 0 || st.Mode()&fs.ModeSticky != 0)
}

// crash reads the names of one folder of dumps. It reports whether the folder is root's
// alone.
func (s *system) crash(f *Finding, top *os.File, name string, began time.Time) bool {
	fd, err := unix.Openat(int(top.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	if st, err := dir.Stat(); err != nil || st.Mode().Perm()&0o022 != 0 || !s.guarded(st) {
		return false
	}
	list, err := dir.ReadDir(maxNames)
	if err != nil {
		return true // there is nothing in it
	}
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), "vmcore") && !strings.HasPrefix(e.Name(), "dump.") {
			continue
		}
		var st unix.Stat_t // of the folder's own entry, whatever it is
		if err := unix.Fstatat(fd, e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != s.owner {
			continue
		}
		at := time.Unix(st.Mtim.Unix())
		if began.IsZero() || at.After(began) || at.Before(f.At) || len(f.Dumps) >= maxNames {
			continue
		}
		f.Says, f.Leans, f.At = "memory_dump", leansCrash, at.UTC()
		f.Dumps = append(f.Dumps, record.BootDump{Name: shorten("var/crash/" + name + "/" + e.Name()), Size: st.Size, At: at.UTC()})
	}
	return true
}

// journal reads the system's journal on disk. One that is kept in memory only did not
// live through the boot.
func (s *system) journal(ctx context.Context, bootID string) []Finding {
	const dir = "var/log/journal"
	id, err := s.small("etc/machine-id")
	if err != nil {
		return s.missed(sourceJournal, witnessJournal, err)
	}
	folder := dir + "/" + strings.TrimSpace(string(id))
	if len(folder) != len(dir)+33 || strings.Contains(folder[len(dir)+1:], "/") {
		return s.missed(sourceJournal, witnessJournal, fs.ErrInvalid)
	}
	list, err := fs.ReadDir(s.root.FS(), folder)
	if err != nil {
		return s.missed(sourceJournal, witnessJournal, err)
	}
	var files []*journalFile
	var open []*os.File
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	var broken error
	var brokenAt time.Time
	for _, name := range newestJournals(list) {
		f, st, err := s.open(folder + "/" + name)
		if err == nil {
			open = append(open, f)
			var j *journalFile
			if j, err = openJournal(f, st.Size()); err == nil {
				files = append(files, j)
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			broken = errors.Join(broken, err)
			if st, serr := s.root.Stat(folder + "/" + name); serr == nil && st.ModTime().After(brokenAt) {
				brokenAt = st.ModTime()
			}
		}
	}
	tail, current, err := previous(ctx, files, bootID)
	if err == nil && broken != nil && (tail == nil || !tail.last.After(brokenAt)) {
		err = broken // the end may stand in the very file that could not be read
	}
	if err != nil {
		return s.missed(sourceJournal, witnessJournal, err)
	}
	return []Finding{journalFinding(tail, current)}
}
