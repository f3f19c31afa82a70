package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
)

// stride is how many processes a walk reads before it writes them: what they told is all
// that it holds.
const stride = 16

// place is an open /proc/PID.
type place struct {
	w   *worker
	dir int
}

// toldOf is what came of one process. A worker publishes it when it is whole.
type toldOf struct {
	b   []byte
	err error
}

// stroll is [Pass.Walk].
func (p *Pass) stroll(ctx context.Context, w probe.Writer, what string, read Reader) error {
	if _, err := p.processes(ctx); err != nil && p.state.all == nil {
		return err
	}
	var list []int // of slots
	for i := range p.state.slots {
		if r := p.state.slots[i].core.Load(); r != nil && !r.KernelOnly {
			list = append(list, i)
		}
	}
	var free [stride][]byte // buffers, for the next stride
	var denied, silent, broken, unreached int64
	var first error
	for from := 0; from < len(list); from += stride {
		if ctx.Err() != nil {
			unreached += int64(len(list) - from)
			break
		}
		part := list[from:min(from+stride, len(list))]
		got := make([]atomic.Pointer[toldOf], len(part)) // made anew: one that hangs may still answer into the old one
		var next atomic.Int64
		buffers := free
		p.each(ctx, &next, len(part), func(wk *worker, i int) {
			t := new(toldOf)
			t.b, t.err = p.visit(wk, part[i], buffers[i][:0], read)
			got[i].Store(t)
		})
		for i := range got {
			t := got[i].Load()
			if t == nil { // it hangs, with its buffer, or its turn did not come
				free[i] = nil
				if ctx.Err() != nil {
					unreached++
				} else {
					silent++
				}
				continue
			}
			free[i] = t.b
			if cap(t.b) > 1<<20 {
				free[i] = nil
			}
			switch {
			case t.err == nil || errors.Is(t.err, unix.ENOENT) || errors.Is(t.err, unix.ESRCH):
			case errors.Is(t.err, fs.ErrPermission):
				denied++
			default:
				broken++
				if first == nil {
					first = t.err
				}
			}
			if len(t.b) == 0 {
				continue
			}
			if err := w.Write(rendered(t.b)); err != nil {
				return err
			}
		}
	}
	if denied+silent+broken+unreached == 0 {
		return nil
	}
	why := reason(ctx, denied)
	if first != nil && denied == 0 && ctx.Err() == nil {
		why = first
	}
	return &probe.Missing{Skipped: denied + silent + broken + unreached, Err: fmt.Errorf("read %s: %s: %w", what, told(
		lack{denied, "those of %d processes refused"},
		lack{broken, "those of %d not whole"},
		lack{silent, "those of %d not answered"},
		lack{unreached, "those of %d not reached"},
	), why)}
}

// visit opens the process of a slot and lets read at it.
func (p *Pass) visit(w *worker, slot int, b []byte, read Reader) ([]byte, error) {
	sl := &p.state.slots[slot]
	r := sl.core.Load()
	dir, e := openat(int(p.state.proc.Fd()), appendPID(w.path[:0], sl.pid), unix.O_PATH|unix.O_DIRECTORY)
	if e != 0 {
		return b, e
	}
	defer closeFD(dir)
	if !p.same(dir, w, sl, r) {
		return b, unix.ESRCH
	}
	return read(&At{Process: r, place: place{w, dir}}, b)
}

// File reads a text below /proc/PID; cut says that there was more than limit bytes.
func (a *At) File(name string, limit int) (b []byte, cut bool, err error) {
	w := a.w
	w.path = append(append(w.path[:0], name...), 0)
	fd, e := w.openat(a.dir, w.path, unix.O_RDONLY)
	if e != 0 {
		return nil, false, e
	}
	defer closeFD(fd)
	n := 0
	for n <= limit {
		if n == len(w.buf) {
			w.buf = append(w.buf, make([]byte, len(w.buf))...)
		}
		k, e := read(fd, w.buf[n:min(len(w.buf), limit+1)])
		if e != 0 {
			return w.buf[:n], false, e
		}
		if k == 0 { // a text that is made while it is read comes in pieces
			return w.buf[:n], false, nil
		}
		n += k
	}
	return w.buf[:limit], true, nil
}

// Link reads where a link of the process leads.
func (a *At) Link(name string) ([]byte, error) {
	b, e := a.w.link(a.dir, name+"\x00")
	if e != 0 {
		return nil, e
	}
	return b, nil
}

// Stat fills st with the status of what a link of the process leads to.
func (a *At) Stat(name string, st *unix.Stat_t) error {
	if err := unix.Fstatat(a.dir, name, st, 0); err != nil {
		return err
	}
	return nil
}

// Names calls f with each name in a folder below /proc/PID, until it returns false; f may
// call File.
func (a *At) Names(name string, f func(name string) bool) error {
	a.w.path = append(append(a.w.path[:0], name...), 0)
	fd, e := a.w.openat(a.dir, a.w.path, unix.O_RDONLY|unix.O_DIRECTORY)
	if e != 0 {
		return e
	}
	defer closeFD(fd)
	for {
		n, e := getdents(fd, a.w.dents)
		if e != 0 {
			return e
		}
		if n == 0 {
			return nil
		}
		goOn := true
		names(a.w.dents[:n], func(name []byte) bool {
			if name[0] != '.' {
				goOn = f(string(name[:len(name)-1]))
			}
			return goOn
		})
		if !goOn {
			return nil
		}
	}
}

// Text splits bytes of the system into text and, where that is not the whole truth, the
// bytes themselves; the same text is kept once.
func (a *At) Text(b []byte) (string, []byte) { return a.w.shown(b) }
