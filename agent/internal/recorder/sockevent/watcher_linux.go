package sockevent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/sockdiag"
	"hozen/agent/internal/recorder/entry"
)

const (
	// allGroups are the four destroy groups, 1 to 4, as a mask.
	allGroups = 0xf
	// noticeRoom holds one notice: the addresses and struct tcp_info.
	noticeRoom = 8 << 10
	// statRoom holds /proc/net/sockstat.
	statRoom = 1 << 10
)

// forcedEvery is after how many looks at the counters all sockets are asked for even
// though nothing moved.
const forcedEvery = 20

// All processes are searched for the holders of new sockets once in a second at most,
// and for holders that were not found once in ten.
const (
	walkEvery  = time.Second
	againEvery = 10 * time.Second
)

// The texts of gaps.
const (
	gapOverrun = "the kernel's notices of ended sockets ran over; some that opened and closed since the last look are not on record"
	gapGarbled = "a notice of an ended socket that is not in its format"
	gapPolled  = "the kernel does not tell ended sockets: what opened and closed between two looks is not on record"
	gapMost    = "more sockets than are kept in mind"
	gapAsk     = "the list of sockets could not be read whole: "
)

// Watcher watches one network namespace.
type Watcher struct {
	cfg   Config
	conn  *sockdiag.Conn
	ends  *os.File // non-blocking; nil where the kernel does not tell ends
	stats [2]*os.File
	table *table
	buf   []byte
	stat  []byte

	counters [2]uint64
	moved    bool // one ended since the last pass
	looks    int
	lookedNS int64     // when all sockets were asked for
	walked   time.Time // when all processes were searched
	pending  bool      // they are to be searched again soon
}

func open(cfg Config) (*Watcher, error) {
	conn, err := sockdiag.Dial()
	if err != nil {
		return nil, fmt.Errorf("watch sockets: %w", err)
	}
	w := &Watcher{cfg: cfg, conn: conn, table: newTable(cfg.Most), buf: make([]byte, noticeRoom), stat: make([]byte, statRoom), moved: true}
	// Without notices or counters it is enough to ask more often.
	w.ends, _ = notices(cfg.ReceiveBuffer)
	for i, name := range []string{"sockstat", "sockstat6"} {
		w.stats[i], _ = os.Open(filepath.Join(cfg.Root, "proc/thread-self/net", name))
	}
	return w, nil
}

// notices subscribes to the ends of sockets.
func notices(buffer int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "socket ends")
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer) // a smaller one loses sooner and says so
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: allGroups}); err != nil {
		f.Close()
		return nil, os.NewSyscallError("bind", err)
	}
	return f, nil
}

func (w *Watcher) close() error {
	err := w.conn.Close()
	for _, f := range []*os.File{w.ends, w.stats[0], w.stats[1]} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

func (w *Watcher) run(ctx context.Context, emit func(*entry.Event)) error {
	if w.ends == nil {
		emit(entry.NewGap(entry.SourceDestroy, w.cfg.Boot(), 0, gapPolled))
	} else {
		stop := context.AfterFunc(ctx, func() { w.ends.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
	}
	for ctx.Err() == nil {
		if err := w.look(ctx, emit); err != nil {
			return err
		}
		if err := w.wait(ctx, time.Now().Add(w.cfg.Every), emit); err != nil {
			return err
		}
	}
	if w.ends != nil { // what ended before ctx did
		if err := w.read(emit, true); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// wait tells ends until the time is come.
func (w *Watcher) wait(ctx context.Context, until time.Time, emit func(*entry.Event)) error {
	if w.ends == nil {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		return nil
	}
	if err := w.ends.SetReadDeadline(until); err != nil {
		return fmt.Errorf("wait for ends of sockets: %w", err)
	}
	if ctx.Err() != nil {
		return nil // its deadline may have come before ours
	}
	err := w.read(emit, false)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// read tells the ends that wait; without now it waits for more until the deadline.
func (w *Watcher) read(emit func(*entry.Event), now bool) error {
	raw, err := w.ends.SyscallConn()
	if err != nil {
		return err
	}
	var broken error
	drain := func(fd uintptr) bool {
		for {
			n, from, err := unix.Recvfrom(int(fd), w.buf, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
			switch {
			case errors.Is(err, unix.EAGAIN):
				return now
			case errors.Is(err, unix.EINTR):
				continue
			case errors.Is(err, unix.ENOBUFS):
				w.moved = true
				emit(entry.NewGap(entry.SourceDestroy, w.cfg.Boot(), 0, gapOverrun))
				continue
			case err != nil:
				broken = os.NewSyscallError("recvfrom", err)
				return true
			}
			if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
				continue // only the kernel is believed
			}
			if n > len(w.buf) {
				err = errWire
			} else {
				err = ends(w.buf[:n], func(e *ended) { w.ended(e, emit) })
			}
			if err != nil {
				emit(entry.NewGap(entry.SourceDestroy, w.cfg.Boot(), 1, gapGarbled))
			}
		}
	}
	if now {
		err = raw.Control(func(fd uintptr) { drain(fd) })
	} else {
		err = raw.Read(drain)
	}
	return errors.Join(broken, err)
}

// ended tells one end.
func (w *Watcher) ended(n *ended, emit func(*entry.Event)) {
	w.moved = true
	s, known := w.table.end(n.cookie)
	if !known {
		if n.local.Port() == 0 {
			return // was never anybody's
		}
		s = n.socket
	}
	e := s.event(entry.ConnectionClosed, entry.SourceDestroy)
	e.BootNS = w.cfg.Boot()
	if !known {
		// Nobody looked while it was open. The notice does not say whose it was.
		e.UID, e.Inode, e.AfterNS = -1, 0, w.lookedNS
	}
	e.HasBytes, e.BytesSent, e.BytesReceived = n.hasBytes, n.sent, n.received
	emit(&e)
}

// quiet reports whether the kernel's counters stand where they stood when all sockets
// were asked for.
func (w *Watcher) quiet() bool {
	same := true
	for i, f := range w.stats {
		if f == nil {
			if i == 0 {
				same = false // no counters at all; IPv6 may be off
			}
			continue
		}
		n, err := f.ReadAt(w.stat, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return false
		}
		v := inUse(w.stat[:n])
		same = same && v == w.counters[i]
		w.counters[i] = v
	}
	return same && !w.moved && w.ends != nil
}

// look asks for all sockets, if something moved.
func (w *Watcher) look(ctx context.Context, emit func(*entry.Event)) error {
	w.looks++
	forced := w.looks%forcedEvery == 1
	if quiet := w.quiet(); quiet && !forced {
		if w.pending {
			w.spend(func() { w.owners(w.cfg.Boot(), emit) })
		}
		return nil
	}
	if !forced && w.cfg.Budget != nil && !w.cfg.Budget.Allow() {
		w.moved = true
		return nil
	}
	var err error
	w.spend(func() { err = w.ask(ctx, emit) })
	return err
}

func (w *Watcher) spend(f func()) {
	begun := time.Now()
	f()
	if w.cfg.Budget != nil {
		w.cfg.Budget.Spend(time.Since(begun))
	}
}

// ask asks for all sockets and tells what is new.
func (w *Watcher) ask(ctx context.Context, emit func(*entry.Event)) error {
	w.moved = false
	w.table.begin()
	after, at := w.lookedNS, w.cfg.Boot()
	whole := true
	var fresh []news
	for _, r := range []sockdiag.Request{sockdiag.TCP, sockdiag.TCP6, sockdiag.UDP, sockdiag.UDP6} {
		proto := uint8(r) // the low byte of a Request
		err := w.conn.Rows(ctx, r, func(body []byte) error {
			s, err := parse(body, proto)
			if err != nil || !s.worth() {
				return err
			}
			if t := w.table.saw(s); t != 0 {
				fresh = append(fresh, news{s.cookie, t})
			}
			return nil
		})
		switch {
		case err == nil, errors.Is(err, errors.ErrUnsupported) && (r == sockdiag.TCP6 || r == sockdiag.UDP6):
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, sockdiag.ErrInterrupted):
			whole, w.moved = false, true
		default:
			whole, w.moved = false, true
			emit(entry.NewGap(entry.SourceSockDiag, at, 0, gapAsk+err.Error()))
		}
	}
	if over := w.table.over; over > 0 {
		emit(entry.NewGap(entry.SourceSockDiag, at, over, gapMost))
	}
	told := make(map[uint64]bool, len(fresh)) // those that are told with their holder right away
	for _, n := range fresh {
		told[n.cookie] = true
	}
	w.owners(at, func(e *entry.Event) {
		if !told[e.Cookie] {
			emit(e)
		}
	})
	for _, n := range fresh {
		s := w.table.open[n.cookie]
		e := s.event(n.what, entry.SourceSockDiag)
		e.BootNS, e.AfterNS = at, after
		emit(&e)
	}
	if w.ends != nil { // what ended meanwhile is told by its notice, before it is missed
		if err := w.read(emit, true); err != nil {
			return fmt.Errorf("read ends of sockets: %w", err)
		}
	}
	if whole {
		for _, s := range w.table.missing() {
			e := s.event(entry.ConnectionClosed, entry.SourceSockDiag)
			e.BootNS, e.AfterNS = at, after
			emit(&e)
		}
		w.lookedNS = at
	}
	return nil
}

// news is what a pass found.
type news struct {
	cookie uint64
	what   entry.Type
}

// owners finds who holds the new sockets: first among those who hold others, for most
// come from the same few, and then among all, the youngest first.
func (w *Watcher) owners(at int64, emit func(*entry.Event)) {
	if w.cfg.Owners == nil {
		return
	}
	since := time.Since(w.walked)
	again := since >= againEvery
	want := w.table.unowned(again)
	if len(want) == 0 {
		return
	}
	found := make(map[uint32]int)
	ask := func(pids []int) {
		// Processes come and go while they are asked; what is not found is asked for again.
		_ = w.cfg.Owners.Find(pids, want, func(inode uint32, pid int) { found[inode] = pid })
	}
	if usual := w.table.holders(); len(usual) > 0 {
		ask(usual)
	}
	all := len(found) < len(want) && (again || since >= walkEvery && (w.cfg.Budget == nil || w.cfg.Budget.Allow()))
	w.pending = len(found) < len(want) && !all
	if all {
		w.walked = time.Now()
		ask(nil)
	}
	for _, s := range w.table.own(want, found, all) {
		e := s.event(entry.ConnectionChanged, entry.SourceProcFS)
		e.BootNS = at
		emit(&e)
	}
}
