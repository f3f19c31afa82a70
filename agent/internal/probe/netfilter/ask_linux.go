package netfilter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ask sends a question and hands each row of the answer, without the netlink header, to
// row, which must not keep it.
func ask(ctx context.Context, q question, row func(b []byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	_, err = c.Send(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(uint16(q.subsystem)<<8 | uint16(q.typ)), Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{q.family, 0, 0, 0}, q.attrs...), // struct nfgenmsg
	})
	if err != nil {
		return fmt.Errorf("ask the packet filter: %w", errors.Join(err, c.Close()))
	}
	err = rows(ctx, c, row)
	// Whoever stops before the end would have to read the rest, unless nobody listens.
	return errors.Join(err, c.Close())
}

func rows(ctx context.Context, c *netlink.Conn, row func(b []byte) error) error {
	n, changed := 0, false
	var stopped error
	for m, err := range c.ReceiveIter() {
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		changed = changed || m.Header.Flags&netlink.DumpInterrupted != 0
		if n++; n > maxMessages {
			stopped = errMany
		} else if stopped = ctx.Err(); stopped == nil {
			stopped = row(m.Data)
		}
		if stopped != nil {
			_ = c.SetDeadline(time.Unix(1, 0)) // ends what the iterator would still read
			break
		}
	}
	switch {
	case stopped != nil:
		return stopped
	case changed:
		return errChanged
	}
	return ctx.Err()
}

// unanswered reports whether the kernel has no such table.
func unanswered(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPROTONOSUPPORT)
}
