package security

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

// patience is how long the kernel's audit may take to answer.
const patience = time.Second

// audit asks the kernel for the state of its audit, and counts its rules.
func audit(ctx context.Context, s *record.SecurityTool) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		s.State, s.Detail = record.SecurityAbsent, "this kernel has none"
		return nil
	}
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	got := false
	err = question(ctx, fd, auditGet, 1, func(b []byte) (bool, error) {
		got = true
		return true, parseStatus(b, s)
	})
	switch {
	case errors.Is(err, unix.ECONNREFUSED): // it answers in the first user namespace alone
		return fmt.Errorf("not from within a user namespace: %w", unix.EPERM)
	case err != nil:
		return err
	case !got:
		return errShort
	}
	rules := 0
	err = question(ctx, fd, auditListRules, 2, func([]byte) (bool, error) {
		rules++
		return rules == maxRules, nil
	})
	if err != nil {
		return fmt.Errorf("count its rules: %w", err)
	}
	s.Mode += fmt.Sprintf(", %d rules", rules)
	return nil
}

// question asks and hands each row of the answer to row, which says whether it was enough.
func question(ctx context.Context, fd int, typ uint16, seq uint32, row func(b []byte) (enough bool, err error)) error {
	if err := unix.Sendto(fd, header(typ, seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 64<<10)
	for until := time.Now().Add(patience); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, from, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("recvfrom", err)
		case time.Now().After(until):
			return os.ErrDeadlineExceeded
		}
		if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
			continue // only the kernel is believed
		}
		enough := false
		reply, err := sockdiag.Messages(buf[:n], seq, func(_ uint16, b []byte) error {
			if enough {
				return nil
			}
			var err error
			enough, err = row(b)
			return err
		})
		if err != nil || reply.Done || enough {
			return err
		}
	}
}
