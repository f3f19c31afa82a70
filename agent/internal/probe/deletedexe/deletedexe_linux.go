package deletedexe

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/probe/scan"
	"hozen/agent/internal/sorted"
	"hozen/internal/artifact/record"
)

var errGone = errors.New("the process ended before its executable was read")

// seen is what was found behind the executable of one process.
type seen struct {
	proc *record.Process
	st   unix.Statx_t
}

// find groups the processes whose executable has no name by the file that they run. The
// error follows the contract of probe.Probe: a file that does not answer costs its
// process alone.
func find(ctx context.Context, pass *scan.Pass) ([]*file, error) {
	var mu sync.Mutex
	var all []*seen
	err := pass.Walk(ctx, nothing{}, "executables", func(a *scan.At, b []byte) ([]byte, error) {
		p := a.Process
		if !p.ExeDeleted {
			return b, nil
		}
		s := &seen{proc: p}
		// What the kernel knows will do, without asking the server of the file.
		if err := unix.Statx(unix.AT_FDCWD, exePath(p.PID), unix.AT_STATX_DONT_SYNC, unix.STATX_BASIC_STATS, &s.st); err != nil {
			return b, err
		}
		if same(p.PID, p.StartTicks) {
			mu.Lock()
			all = append(all, s)
			mu.Unlock()
		}
		return b, nil
	})
	mu.Lock()
	list := slices.Clone(all) // one that hung may still come
	mu.Unlock()
	sorted.Func(list, func(a, b *seen) int { return cmp.Compare(a.proc.PID, b.proc.PID) })
	return group(list), err
}

// nothing takes records that nobody wants.
type nothing struct{}

func (nothing) Write(probe.Record) error { return nil }

func group(list []*seen) (files []*file) {
	type identity struct{ dev, inode uint64 }
	at := make(map[identity]*file)
	for _, s := range list {
		p := s.proc
		id := identity{unix.Mkdev(s.st.Dev_major, s.st.Dev_minor), s.st.Ino}
		f := at[id]
		if f == nil {
			f = &file{uid: p.UID, rec: record.DeletedFile{
				Path: p.Exe, PathRaw: p.ExeRaw, MemFD: p.ExeMemFD, Dev: id.dev, Inode: id.inode, Size: int64(s.st.Size),
				MTime: time.Unix(s.st.Mtime.Sec, int64(s.st.Mtime.Nsec)).UTC(), Mode: uint32(s.st.Mode) & 0o7777, UID: int64(s.st.Uid),
			}}
			at[id] = f
			files = append(files, f)
		}
		f.rec.Processes = append(f.rec.Processes, record.ProcRef{PID: p.PID, StartTicks: p.StartTicks})
	}
	return files
}

// open opens the file through any of its processes.
func open(f *file) (io.ReadCloser, error) {
	err := errGone
	for _, p := range f.rec.Processes {
		src, oerr := os.Open(exePath(p.PID))
		if oerr != nil {
			if !errors.Is(oerr, fs.ErrNotExist) {
				err = oerr
			}
			continue
		}
		var st unix.Stat_t
		if unix.Fstat(int(src.Fd()), &st) == nil && st.Dev == f.rec.Dev && st.Ino == f.rec.Inode {
			return src, nil
		}
		src.Close()
	}
	return nil, err
}

func exePath(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/exe" }

// same reports whether the PID still belongs to the process that started at ticks.
func same(pid int, ticks uint64) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	st, err := procfs.ParseStat(b)
	return err == nil && st.StartTicks == ticks
}
