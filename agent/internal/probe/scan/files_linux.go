package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

// fileList is the descriptors of one process.
type fileList struct {
	fds     []record.FD
	cut     bool
	refused bool // some targets were not shown
	sockets []socketFD
}

// socketFD is a descriptor that refers to a socket.
type socketFD struct {
	inode uint64
	fd    int
}

// fdEnd is a descriptor whose target ends at end in the arena of a worker.
type fdEnd struct{ fd, end int }

// walk reads the descriptors of every process, as far as they are not read yet.
func (p *Pass) walk(ctx context.Context) error {
	if _, err := p.processes(ctx); err != nil && p.state.all == nil {
		return err
	}
	if ctx.Err() == nil {
		p.each(ctx, &p.state.nextFD, len(p.state.slots), p.readFiles)
	}
	return nil
}

// readFiles reads the descriptors of one process and publishes them in its slot.
func (p *Pass) readFiles(w *worker, i int) {
	sl := &p.state.slots[i]
	r := sl.core.Load()
	if r == nil || sl.files.Load() != nil {
		return
	}
	dir, e := openat(int(p.state.proc.Fd()), appendPID(w.path[:0], sl.pid), unix.O_PATH|unix.O_DIRECTORY)
	if e != 0 {
		sl.gone.Store(true)
		return
	}
	defer closeFD(dir)
	if !p.same(dir, w, sl, r) {
		sl.gone.Store(true)
		return
	}
	fd, e := w.openat(dir, append(w.path[:0], "fd\x00"...), unix.O_RDONLY|unix.O_DIRECTORY)
	if e != 0 {
		if gone(e) {
			sl.gone.Store(true)
		} else {
			sl.denied.Store(true)
		}
		return
	}
	defer closeFD(fd)
	sl.files.Store(w.fds(fd, p.opt.MaxFDs))
}

// same reports whether dir is still the process that was read as r. The number of a
// /proc directory belongs to one process; the kernel may forget and renumber it, and
// then the moment of start tells.
func (p *Pass) same(dir int, w *worker, sl *slot, r *record.Process) bool {
	var st unix.Stat_t
	if fstat(dir, &st) == 0 && st.Ino == sl.inode && sl.inode != 0 {
		return true
	}
	b, e := w.file(dir, "stat\x00")
	if e != 0 {
		return false
	}
	now, err := procfs.ParseStat(b)
	return err == nil && now.StartTicks == r.StartTicks
}

// fds reads the links of an open /proc/PID/fd.
func (w *worker) fds(dir, limit int) *fileList {
	l := new(fileList)
	w.arena, w.ends = w.arena[:0], w.ends[:0]
	for !l.cut {
		n, e := getdents(dir, w.dents)
		if e != 0 || n == 0 {
			break
		}
		names(w.dents[:n], func(name []byte) bool {
			no, ok := fdNumber(name)
			if !ok {
				return true
			}
			if len(w.ends) >= limit {
				l.cut = true
				return false
			}
			n, e := readlinkat(dir, name, w.buf)
			if gone(e) {
				return true // closed since it was listed
			}
			if e != 0 { // the list of numbers is shown to root, the targets need not be
				l.refused, n = true, 0
			}
			target := w.buf[:n]
			if ino := procfs.SocketInode(target); ino != 0 {
				l.sockets = append(l.sockets, socketFD{ino, no})
			}
			w.arena = append(w.arena, target...)
			w.ends = append(w.ends, fdEnd{no, len(w.arena)})
			return true
		})
	}
	// One string for all targets of the process: they are written together anyway.
	all, from := string(w.arena), 0
	plain := utf8.ValidString(all)
	l.fds = make([]record.FD, len(w.ends))
	for i, e := range w.ends {
		f := &l.fds[i]
		f.FD, f.Target = e.fd, all[from:e.end]
		if !plain {
			f.Target, f.TargetRaw = record.TextOf(f.Target)
		}
		from = e.end
	}
	return l
}

// fdNumber reads a name of /proc/PID/fd, its NUL included.
func fdNumber(name []byte) (int, bool) {
	n := 0
	for _, c := range name[:len(name)-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(name) > 1
}

func (p *Pass) files(ctx context.Context) ([]record.OpenFiles, error) {
	s := &p.state
	if err := p.walk(ctx); err != nil {
		return nil, err
	}
	out := make([]record.OpenFiles, 0, len(s.slots))
	var denied, missing, cut int64
	for i := range s.slots {
		sl := &s.slots[i]
		r, l := sl.core.Load(), sl.files.Load()
		switch {
		case r == nil:
		case l == nil && sl.denied.Load():
			denied++
		case l == nil && !sl.gone.Load():
			missing++
		case l == nil, r.KernelOnly && len(l.fds) == 0:
		default:
			if l.refused {
				denied++
			}
			if l.cut {
				cut++
			}
			out = append(out, record.OpenFiles{PID: r.PID, StartTicks: r.StartTicks, Comm: r.Comm, FDs: l.fds, Cut: l.cut})
		}
	}
	if denied+missing+cut == 0 {
		return out, ctx.Err()
	}
	return out, &probe.Missing{Skipped: denied + missing + cut, Err: fmt.Errorf("read descriptors: %s: %w", told(
		lack{denied, "those of %d processes refused"},
		lack{missing, "those of %d not reached"},
		lack{cut, fmt.Sprintf("those of %%d cut at %d", p.opt.MaxFDs)},
	), reason(ctx, denied))}
}

// reason is what kept the rest away.
func reason(ctx context.Context, denied int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if denied > 0 {
		return fs.ErrPermission
	}
	return errors.New("the kernel did not answer in time")
}

// sockets joins the socket tables with the descriptors.
func (p *Pass) sockets(ctx context.Context) ([]record.Socket, error) {
	s := &p.state
	if err := p.walk(ctx); err != nil {
		return nil, err
	}
	var out []record.Socket
	var why error
	var unreached int64
	spaces := append([]*namespace{&s.nets.own}, s.nets.others...)
	total := 0
	for _, n := range spaces {
		total += len(n.socks)
	}
	out = make([]record.Socket, 0, total)
	for _, n := range spaces {
		out = append(out, n.socks...)
		if n.err != nil || !n.done {
			unreached++
			why = errors.Join(why, n.err)
		}
	}
	denied, missing := s.owners(out)
	if unreached+s.nets.unknown+denied+missing == 0 {
		return out, ctx.Err()
	}
	if why == nil || ctx.Err() != nil {
		why = errors.Join(reason(ctx, denied+s.nets.unknown), why)
	}
	return out, &probe.Missing{Skipped: unreached + max(s.nets.unknown, denied+missing), Err: fmt.Errorf("read sockets: %s: %w", told(
		lack{unreached, "%d network namespaces not whole"},
		lack{s.nets.unknown, "network namespace of %d processes not told"},
		lack{denied, "owners may be missing: descriptors of %d processes refused"},
		lack{missing, "owners may be missing: descriptors of %d processes not reached"},
	), why)}
}

// owners fills in who holds each socket and the names of their makers. It counts the
// processes whose descriptors were refused or not reached.
func (s *state) owners(socks []record.Socket) (denied, missing int64) {
	at := make(map[uint64]int32, len(socks))
	for i := range socks {
		socks[i].User = s.users[socks[i].UID]
		if socks[i].Inode != 0 {
			at[socks[i].Inode] = int32(i)
		}
	}
	type hold struct {
		sock int32
		slot int32
		fd   int
	}
	var holds []hold
	count := make([]int32, len(socks))
	for i := range s.slots {
		sl := &s.slots[i]
		if sl.core.Load() == nil {
			continue
		}
		l := sl.files.Load()
		if l == nil {
			switch {
			case sl.denied.Load():
				denied++
			case !sl.gone.Load():
				missing++
			}
			continue
		}
		if l.refused {
			denied++
		}
		for _, f := range l.sockets {
			if k, ok := at[f.inode]; ok {
				holds = append(holds, hold{k, int32(i), f.fd})
				count[k]++
			}
		}
	}
	room := make([]record.Owner, len(holds)) // one piece of memory, cut into a slice per socket
	for i := range socks {
		if n := count[i]; n > 0 {
			socks[i].Owners, room = room[:0:n], room[n:]
		}
	}
	for _, h := range holds {
		r := s.slots[h.slot].core.Load()
		k := &socks[h.sock]
		k.Owners = append(k.Owners, record.Owner{PID: r.PID, StartTicks: r.StartTicks, Comm: r.Comm, FD: h.fd})
	}
	return denied, missing
}

func sorted(m map[uint64][]int) []uint64 { return slices.Sorted(maps.Keys(m)) }
