//go:build linux

package nft

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// Table flags that x/sys does not name (nf_tables.h). An owned table is changed by the
// netlink socket that made it and by nobody else; "nft flush ruleset" passes it by. It
// vanishes with its owner, which would open the endpoint when the agent dies, so
// ownership is never asked for without persistence (Linux 6.9): then the rules stay,
// and whoever comes next adopts them.
const (
	flagOwner   uint32 = 0x2
	flagPersist uint32 = 0x4
	flagsHeld          = flagOwner | flagPersist
)

// nftaTableOwner is the netlink port of a table's owner.
const nftaTableOwner = 7

// effective are the flags that say something of what the table drops: a table that
// outlives its owner, or has none, drops the same as one that is held.
func (t table) effective() uint32 {
	switch t.flags {
	case flagPersist, flagsHeld:
		return 0
	}
	return t.flags
}

// held says who may change the tables that were found. mine is the netlink port of this
// Firewall, 0 if it has none.
func held(found []table, canHold bool, mine uint32) isolate.Held {
	free, here := false, false
	for _, t := range found {
		switch {
		case t.flags&flagOwner == 0:
			free = true
		case mine == 0 || t.owner != mine:
			return isolate.HeldElsewhere
		default:
			here = true
		}
	}
	switch {
	case free && canHold:
		return isolate.HeldByNobody
	case here && !free:
		return isolate.HeldHere
	}
	return ""
}

// changer returns the socket through which all changes go. It stays open, because the
// kernel takes the tables for abandoned when it closes. The lock is held by the caller.
func (f *Firewall) changer() (*netlink.Conn, error) {
	if f.conn != nil {
		return f.conn, nil
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: f.cfg.NetNS})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	_ = c.SetOption(netlink.ExtendedAcknowledge, true)
	f.conn = c
	f.port.Store(c.PID())
	return c, nil
}

// Close lets go of the rules without changing them: they stay in force, and another
// Firewall may change them. An agent that ends need not call it.
func (f *Firewall) Close() error {
	f.closeElsewhere()
	return f.letGo()
}

func (f *Firewall) letGo() error {
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.conn == nil {
		return nil
	}
	err := f.conn.Close()
	f.conn = nil
	f.port.Store(0)
	if err != nil {
		return fmt.Errorf("let go of isolation: %w", err)
	}
	return nil
}

// until makes calls on c end with ctx. The returned function must be called before the
// next use of c.
func until(ctx context.Context, c *netlink.Conn) (end func()) {
	_ = c.SetDeadline(time.Time{})
	set := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.SetDeadline(time.Unix(1, 0))
		close(set)
	})
	return func() {
		if !stop() {
			<-set
		}
	}
}

// drain throws away what is left of earlier answers: after an error the kernel may have
// said more than was read, and an answer may have come after its deadline.
func drain(c *netlink.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("drain netlink: %w", err)
	}
	var rerr error
	err = raw.Control(func(fd uintptr) {
		var b [1]byte // the rest of a datagram is cut off
		for rerr == nil || errors.Is(rerr, unix.EINTR) || errors.Is(rerr, unix.ENOBUFS) {
			_, _, rerr = unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT)
		}
	})
	if err == nil && !errors.Is(rerr, unix.EAGAIN) {
		err = rerr
	}
	if err != nil {
		return fmt.Errorf("drain netlink: %w", err)
	}
	return nil
}
