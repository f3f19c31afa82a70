package exehash

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/probe/scan"
	"hozen/agent/internal/probe/touch"
	"hozen/agent/internal/sorted"
	"hozen/internal/artifact/record"
	"hozen/internal/digest"
)

const (
	// chunk is how much is read between two looks at the context.
	chunk = 256 << 10
	// settled is how old the last change of a file must be for its digest to be kept:
	// a second change within the same tick of the file system's clock would not show.
	settled = 2 * time.Second
)

var (
	errChanged = errors.New("the file changed while it was read")
	errGone    = errors.New("the process ended before its executable was read")
)

// found is a process and the file that it runs.
type found struct {
	p  *record.Process
	st unix.Stat_t
}

// nothing takes no records: a walk that only looks writes none.
type nothing struct{}

func (nothing) Write(probe.Record) error { return nil }

// find groups the processes by the file that they run; missing tells of those whose file
// is not shown to the agent or did not answer.
func (h hasher) find(ctx context.Context) (files []*file, missing *probe.Missing) {
	var mu sync.Mutex
	var list []found
	over := false
	err := h.pass.Walk(ctx, nothing{}, "executables", func(a *scan.At, b []byte) ([]byte, error) {
		f := found{p: a.Process}
		if err := a.Stat("exe", &f.st); err != nil {
			return b, err
		}
		mu.Lock()
		defer mu.Unlock()
		if !over { // one that hung may come back late
			list = append(list, f)
		}
		return b, nil
	})
	mu.Lock()
	over = true
	mu.Unlock()
	sorted.Func(list, func(a, b found) int { return a.p.PID - b.p.PID })
	at := make(map[identity]*file)
	for i := range list {
		p, st := list[i].p, &list[i].st
		id := identityOf(st)
		ref := record.ProcRef{PID: p.PID, StartTicks: p.StartTicks}
		f := at[id]
		if f == nil {
			f = &file{id: id, done: make(chan struct{}), rec: record.ExeHash{
				Path: p.Exe, PathRaw: p.ExeRaw, Deleted: p.ExeDeleted, MemFD: p.ExeMemFD,
				Dev: st.Dev, Inode: st.Ino, Size: st.Size, Mode: st.Mode & 0o7777, UID: int64(st.Uid),
				MTime: time.Unix(st.Mtim.Unix()).UTC(), CTime: time.Unix(st.Ctim.Unix()).UTC(),
			}}
			at[id] = f
			files = append(files, f)
		}
		f.rec.Processes = append(f.rec.Processes, ref)
	}
	// By file: the first process of one may be gone at the next look.
	sorted.Func(files, func(a, b *file) int {
		return cmp.Or(cmp.Compare(a.id.dev, b.id.dev), cmp.Compare(a.id.inode, b.id.inode))
	})
	return files, probe.AsMissing(err)
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

func identityOf(st *unix.Stat_t) identity {
	return identity{dev: st.Dev, inode: st.Ino, size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}
}

// hash fills in the digest of f, or f.err.
func (h hasher) hash(ctx context.Context, f *file, buf []byte) {
	if v, ok := h.cache.get(f.id); ok {
		v.tell(&f.rec)
		return
	}
	f.err = errGone
	for _, p := range f.rec.Processes { // any of them is a door to the file
		d, keep, err := sum(ctx, p, f.id, buf)
		f.err = err
		if err == nil {
			f.rec.SHA256 = d.String()
			if keep {
				h.cache.put(f.id, verdict{digest: d})
			}
		}
		if !errors.Is(err, errGone) {
			return
		}
	}
}

// sum hashes the executable of p, which must be the file id. keep says that the digest
// may be remembered.
func sum(ctx context.Context, p record.ProcRef, id identity, buf []byte) (d digest.Digest, keep bool, err error) {
	if err := ctx.Err(); err != nil {
		return d, false, err
	}
	f, err := touch.Open(ctx, exePath(p.PID))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errGone
		}
		return d, false, err
	}
	defer f.Close()
	fd := int(f.Fd())
	var before, after unix.Stat_t
	if err := unix.Fstat(fd, &before); err != nil {
		return d, false, fmt.Errorf("stat executable: %w", err)
	}
	if identityOf(&before) != id {
		return d, false, errGone // the PID belongs to another, or it runs another program now
	}
	begun := time.Now()
	hash := sha256.New()
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return d, false, err
		}
		k, err := f.Read(buf)
		hash.Write(buf[:k])
		n += int64(k)
		if err == io.EOF {
			break
		}
		if err != nil {
			return d, false, fmt.Errorf("read executable: %w", err)
		}
	}
	if err := unix.Fstat(fd, &after); err != nil {
		return d, false, fmt.Errorf("stat executable: %w", err)
	}
	if identityOf(&after) != id || n != id.size {
		return d, false, errChanged
	}
	newest := time.Unix(0, max(id.ctime, id.mtime))
	return digest.Digest(hash.Sum(nil)), begun.Sub(newest) > settled && tellsChanges(fd), nil
}

// tellsChanges reports whether the file system of fd moves the change time for every
// write. Those in memory do not for writes through a mapping.
func tellsChanges(fd int) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return false
	}
	switch int64(st.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.HUGETLBFS_MAGIC:
		return false
	}
	return true
}
