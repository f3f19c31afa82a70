package procevent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/recorder/entry"
)

// ackPatience is how long the kernel may take to say yes. It answers within the call
// or, in a foreign PID or user namespace, never.
const ackPatience = 2 * time.Second

// messageRoom holds one datagram; the kernel puts one event of 76 bytes into each.
const messageRoom = 4 << 10

// The texts of gaps.
const (
	gapOverrun  = "the kernel's queue ran over; how much was lost shows in the next gaps of this source"
	gapSequence = "events of any kind, threads' too, counted by the kernel and never delivered"
	gapGarbled  = "a message that is not in the format of process events"
	gapLeft     = "events that waited when the recorder ended, and that there was no time to write"
)

// lastPatience is how long what waits at the end may take to be told. It is some 2 µs
// for each event, so that time runs out only where the disk is slow.
const lastPatience = time.Second / 4

// Connector is one subscription.
type Connector struct {
	f      *os.File // non-blocking, so that a deadline ends a read
	seq    sequence
	buf    []byte
	guard  *Guard
	own    bool // guard is
	budget Budget
}

func open(cfg Config) (*Connector, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("open process connector: %w", known(err))
	}
	f := os.NewFile(uintptr(fd), "process connector")
	c := &Connector{f: f, buf: make([]byte, messageRoom), budget: cfg.Budget, guard: cfg.Guard}
	if err := c.listen(fd, cfg.ReceiveBuffer); err != nil {
		f.Close()
		return nil, fmt.Errorf("ask for process events: %w", known(err))
	}
	if c.guard == nil {
		c.own = true
		if c.guard, err = GuardProc(cfg.Root); err != nil {
			f.Close()
			return nil, err
		}
	}
	return c, nil
}

// known adds what callers look for to an error number.
func known(err error) error {
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// request is the bytes that ask for all events (opListen) or for no more of them
// (opIgnore).
func request(op uint32) []byte {
	ne := binary.NativeEndian
	b := make([]byte, 0, headerLen+cnLen+4)
	b = ne.AppendUint32(b, headerLen+cnLen+4)
	b = ne.AppendUint16(b, typeDone)
	b = append(b, make([]byte, 10)...)
	b = ne.AppendUint32(b, idxProc)
	b = ne.AppendUint32(b, valProc)
	b = ne.AppendUint32(b, 0)
	b = ne.AppendUint32(b, ackMark)
	b = ne.AppendUint16(b, 4)
	b = ne.AppendUint16(b, 0)
	return ne.AppendUint32(b, op)
}

func (c *Connector) listen(fd, buffer int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (idxProc - 1)}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		// As much as the system allows: a smaller buffer loses sooner and says so.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Sendto(fd, request(opListen), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	if err := c.f.SetReadDeadline(time.Now().Add(ackPatience)); err != nil {
		return err
	}
	var said error
	answered := false
	err := c.receive(func(m *message) bool {
		c.seq.lost(m.CPU, m.Seq) // somebody else may listen already: the count runs
		if m.What == whatNone && m.Ack == ackMark+1 && len(m.Body) >= 4 {
			answered = true
			if e := binary.NativeEndian.Uint32(m.Body); e != 0 {
				said = unix.Errno(e)
			}
		}
		return !answered
	}, func(error) {})
	switch {
	case answered:
		return said
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: the kernel does not answer, as in a foreign PID or user namespace", errors.ErrUnsupported)
	}
	return err
}

// receive calls f with each message until it returns false or the deadline passes, and
// trouble with what is lost but does not end the reading.
func (c *Connector) receive(f func(m *message) bool, trouble func(error)) error {
	raw, err := c.f.SyscallConn()
	if err != nil {
		return err
	}
	var broken error
	err = raw.Read(func(fd uintptr) (done bool) {
		done, broken = c.pull(int(fd), f, trouble)
		return done
	})
	return errors.Join(broken, err)
}

// pull is receive for what waits already. done is false when that is all.
func (c *Connector) pull(fd int, f func(m *message) bool, trouble func(error)) (done bool, err error) {
	for more := true; more; {
		n, from, err := unix.Recvfrom(fd, c.buf, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			trouble(err)
			continue
		case err != nil:
			return true, os.NewSyscallError("recvfrom", err)
		}
		if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
			continue // only the kernel is believed
		}
		if n > len(c.buf) {
			trouble(errWire)
			continue
		}
		if err := messages(c.buf[:n], func(m *message) { more = f(m) && more }); err != nil {
			trouble(err)
		}
	}
	return true, nil
}

func (c *Connector) run(ctx context.Context, emit func(*entry.Event)) error {
	if err := c.f.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var e entry.Event
	offset := bootMinusMono()
	lastOffset := time.Now()
	tell := func(m *message, look func(e *entry.Event) (gap string)) {
		ok, err := turn(&c.seq, m, offset, &e, func(lost uint64) { emit(entry.NewGap(entry.SourceConnector, m.MonoNS+offset, lost, gapSequence)) })
		switch {
		case err != nil:
			emit(entry.NewGap(entry.SourceConnector, m.MonoNS+offset, 1, gapGarbled))
		case ok:
			if e.How == entry.HowExec {
				if gap := look(&e); gap != "" {
					emit(entry.NewGap(entry.SourceConnector, e.BootNS, 0, gap))
				}
			}
			emit(&e)
		}
	}
	trouble := func(err error) {
		detail, lost := gapGarbled, uint64(1)
		if errors.Is(err, unix.ENOBUFS) {
			detail, lost = gapOverrun, 0
		}
		emit(entry.NewGap(entry.SourceConnector, clock(unix.CLOCK_BOOTTIME), lost, detail))
	}
	err := c.receive(func(m *message) bool {
		if now := time.Now(); now.Sub(lastOffset) > time.Second {
			offset, lastOffset = bootMinusMono(), now // moves when the PC sleeps
		}
		tell(m, c.look)
		return ctx.Err() == nil
	}, trouble)
	if ctx.Err() != nil {
		c.rest(func(m *message) { tell(m, unlooked) }, trouble, emit)
		return ctx.Err()
	}
	return fmt.Errorf("read process events: %w", err)
}

// rest tells what waits at the end and happened before it; what there is no time for is
// counted.
func (c *Connector) rest(tell func(m *message), trouble func(error), emit func(*entry.Event)) {
	raw, err := c.f.SyscallConn()
	if err != nil {
		return
	}
	end, until := clock(unix.CLOCK_MONOTONIC), time.Now().Add(lastPatience)
	var left uint64
	_ = raw.Control(func(fd uintptr) { // it was read from just now
		_, err = c.pull(int(fd), func(m *message) bool {
			switch {
			case m.MonoNS > end:
				return false
			case time.Now().After(until):
				left += 1 + uint64(c.seq.lost(m.CPU, m.Seq))
			default:
				tell(m)
			}
			return true
		}, trouble)
	})
	if left > 0 || err != nil {
		emit(entry.NewGap(entry.SourceConnector, clock(unix.CLOCK_BOOTTIME), left, gapLeft))
	}
}

// unlooked marks what an exec started as not read.
func unlooked(e *entry.Event) (gap string) {
	e.Unread = entry.UnreadExe | entry.UnreadCmdline | entry.UnreadStat | entry.UnreadIDs | entry.UnreadBudget
	return ""
}

// look reads what an exec started, if there is time; gap is to be told before it.
func (c *Connector) look(e *entry.Event) (gap string) {
	if c.budget == nil {
		return c.guard.Read(e)
	}
	if !c.budget.Allow() {
		return unlooked(e)
	}
	begun := time.Now()
	if gap = c.guard.Read(e); gap == "" { // who waits does not work
		c.budget.Spend(time.Since(begun))
	}
	return gap
}

// close says goodbye: before Linux 6.6 the kernel goes on making events for a listener
// that only closed its socket.
func (c *Connector) close() error {
	raw, err := c.f.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			_ = unix.Sendto(int(fd), request(opIgnore), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		})
	}
	err = errors.Join(err, c.f.Close())
	if c.own {
		err = errors.Join(err, c.guard.Close())
	}
	return err
}

// clock reads a clock of the kernel in nanoseconds; 0 when it cannot.
func clock(id int32) int64 {
	var ts unix.Timespec
	if unix.ClockGettime(id, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

func bootMinusMono() int64 { return clock(unix.CLOCK_BOOTTIME) - clock(unix.CLOCK_MONOTONIC) }
