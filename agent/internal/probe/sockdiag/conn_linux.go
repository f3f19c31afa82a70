package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/artifact/record"
)

const (
	// bufferSize holds the largest datagram that the kernel makes for a dump (32 KiB).
	bufferSize = 64 << 10
	// patience is how long one datagram may take. The kernel answers within the call,
	// so only a broken one needs it.
	patience = 2 * time.Second
	// maxAsks bounds how often a dump is asked for again after the kernel said that it
	// changed meanwhile.
	maxAsks = 4
)

// ErrInterrupted says that the sockets changed under every try: the rows are those of
// the last one, and may repeat or lack a few.
var ErrInterrupted = errors.New("the kernel reports changes during every try")

// Conn asks about the network namespace in which it was made, wherever it is used.
// It is for one goroutine.
type Conn struct {
	fd, route int // route is -1 until the first question about interfaces
	seq       uint32
	buf       []byte
	parser    Parser
}

// Dial makes a Conn for the network namespace of the calling thread.
func Dial() (*Conn, error) {
	fd, err := socket(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	route, err := socket(unix.NETLINK_ROUTE)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Conn{fd: fd, route: route, buf: make([]byte, bufferSize)}, nil
}

func socket(proto int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return -1, fmt.Errorf("open netlink socket: %w", err)
	}
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("limit netlink waits: %w", err)
	}
	return fd, nil
}

// Close ends the Conn.
func (c *Conn) Close() error {
	return errors.Join(unix.Close(c.fd), unix.Close(c.route))
}

// Append appends the sockets that answer r to socks. With an error the rows so far
// are valid; [errors.ErrUnsupported] means that this kernel cannot answer r.
func (c *Conn) Append(ctx context.Context, socks []record.Socket, r Request) ([]record.Socket, error) {
	start := len(socks)
	for ask := 1; ; ask++ {
		socks = socks[:start]
		interrupted, err := c.dump(ctx, c.fd, r.message, func(_ uint16, body []byte) error {
			s, err := c.parser.Socket(r, body)
			if err == nil {
				socks = append(socks, s)
			}
			return err
		})
		switch {
		case unanswerable(err):
			return socks, fmt.Errorf("dump %s sockets: %w: %w", r, errors.ErrUnsupported, err)
		case err != nil:
			return socks, fmt.Errorf("dump %s sockets: %w", r, err)
		case !interrupted:
			return socks, nil
		case ask == maxAsks:
			return socks, fmt.Errorf("dump %s sockets: %w", r, ErrInterrupted)
		}
	}
}

// Rows calls row with the bytes of each socket that answers r, which row must not keep.
// One try only: [ErrInterrupted] says that rows may repeat or lack a few, and
// [errors.ErrUnsupported] that this kernel cannot answer r.
func (c *Conn) Rows(ctx context.Context, r Request, row func(body []byte) error) error {
	interrupted, err := c.dump(ctx, c.fd, r.message, func(_ uint16, body []byte) error { return row(body) })
	switch {
	case unanswerable(err):
		return fmt.Errorf("dump %s sockets: %w: %w", r, errors.ErrUnsupported, err)
	case err != nil:
		return fmt.Errorf("dump %s sockets: %w", r, err)
	case interrupted:
		return fmt.Errorf("dump %s sockets: %w", r, ErrInterrupted)
	}
	return nil
}

func unanswerable(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}

// Interfaces returns the names of the interfaces by number.
func (c *Conn) Interfaces(ctx context.Context) (map[uint32]string, error) {
	names := make(map[uint32]string)
	err := c.Routing(ctx, typeGetLink, make([]byte, 16), func(typ uint16, body []byte) error {
		if typ != typeNewLink {
			return nil
		}
		i, name, err := link(body)
		names[i] = name
		return err
	})
	if err != nil {
		return names, fmt.Errorf("list interfaces: %w", err)
	}
	return names, nil
}

// Routing asks for a whole table of rtnetlink(7): typ is an RTM_GET… and body the
// fixed part of its message. Each row is passed to row, which must not keep it.
func (c *Conn) Routing(ctx context.Context, typ uint16, body []byte, row func(typ uint16, body []byte) error) error {
	message := func(seq uint32) []byte { return header(typ, flagRequest|flagDump, seq, body) }
	_, err := c.dump(ctx, c.route, message, row)
	return err
}

// dump sends one question on fd and passes each row of the answer to row. An answer that
// has begun is heard to its end, for the kernel takes no other question before.
func (c *Conn) dump(ctx context.Context, fd int, message func(seq uint32) []byte, row func(uint16, []byte) error) (interrupted bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c.seq++
	if err := unix.Sendto(fd, message(c.seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, os.NewSyscallError("sendto", err)
	}
	for {
		n, from, err := unix.Recvfrom(fd, c.buf, unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return interrupted, os.NewSyscallError("recvfrom", err)
		case n > len(c.buf):
			return interrupted, errShort
		}
		if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
			continue // another program may send to our port; only the kernel is believed
		}
		reply, err := Messages(c.buf[:n], c.seq, row)
		interrupted = interrupted || reply.Interrupted
		if err != nil || reply.Done {
			return interrupted, err
		}
	}
}
