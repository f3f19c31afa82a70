package deletedexe

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

var errGone = errors.New("the process ended before its executable was read")

// find groups the processes whose executable has no name by the file that they run.
// unread counts those whose file is not shown to the agent.
func find(ctx context.Context, procs []*record.Process) (files []*file, unread int64) {
	type identity struct{ dev, inode uint64 }
	at := make(map[identity]*file)
	for _, p := range procs {
		if !p.ExeDeleted || ctx.Err() != nil {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(exePath(p.PID), &st); err != nil || !same(p.PID, p.StartTicks) {
			if errors.Is(err, fs.ErrPermission) {
				unread++
			}
			continue // ended since
		}
		id := identity{st.Dev, st.Ino}
		f := at[id]
		if f == nil {
			f = &file{record.DeletedFile{
				Path: p.Exe, PathRaw: p.ExeRaw, MemFD: p.ExeMemFD, Dev: st.Dev, Inode: st.Ino, Size: st.Size,
				MTime: time.Unix(st.Mtim.Unix()).UTC(), Mode: st.Mode & 0o7777, UID: int64(st.Uid),
			}}
			at[id] = f
			files = append(files, f)
		}
		f.rec.Processes = append(f.rec.Processes, record.ProcRef{PID: p.PID, StartTicks: p.StartTicks})
	}
	return files, unread
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
