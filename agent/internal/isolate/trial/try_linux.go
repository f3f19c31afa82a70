package trial

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

var _ isolate.Trials = (*Prober)(nil)

// inside runs fn where the endpoint is.
func (p *Prober) inside(fn func()) error {
	if p.cfg.NetNS == 0 {
		fn()
		return nil
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: a thread that was elsewhere is not given back
		err := unix.Setns(p.cfg.NetNS, unix.CLONE_NEWNET)
		if err == nil {
			fn()
		} else {
			err = fmt.Errorf("enter network namespace: %w", err)
		}
		done <- err
	}()
	return <-done
}

// round is what is tried at once, and the tap that sees what comes and goes at the
// devices: what arrives before any rule, what leaves after all of them.
type round struct {
	scene scene
	tap   int // -1 without the right to have one
	raw   int // sends frames; -1 until then
	as    []*attempt
	err   error // what kept it from looking around
}

func (p *Prober) round(ctx context.Context) *round {
	r := &round{tap: -1, raw: -1}
	r.scene, r.err = p.look(ctx)
	// The protocol stands in the address in network order (packet(7)).
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(all)); err == nil {
		r.tap = fd
	}
	return r
}

func (r *round) close() {
	for _, a := range r.as {
		a.close()
	}
	for _, fd := range []int{r.tap, r.raw} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// await takes what comes until enough says so, limit is over or ctx ends. It looks once
// at least.
func (r *round) await(ctx context.Context, limit time.Duration, enough func() bool) {
	end := time.Now().Add(limit)
	wait := time.Duration(0)
	fds := make([]unix.PollFd, 0, len(r.as)+1)
	for {
		fds = append(fds[:0], unix.PollFd{Fd: int32(r.tap), Events: unix.POLLIN})
		for _, a := range r.as {
			fd := unix.PollFd{Fd: -1, Events: unix.POLLIN} // passed over
			if len(a.fds) > 0 && !a.done() && !a.raw() {
				fd.Fd = int32(a.fds[len(a.fds)-1])
			}
			if a.kind == kindTCP || a.kind == kindLoopback || a.kind == kindOwn {
				fd.Events = unix.POLLOUT
			}
			fds = append(fds, fd)
		}
		n, err := unix.Poll(fds, int(wait.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if n > 0 {
			if fds[0].Revents != 0 {
				r.drain()
			}
			for i, a := range r.as {
				if fds[i+1].Fd >= 0 && fds[i+1].Revents != 0 {
					a.hear()
				}
			}
		}
		left := time.Until(end)
		if left <= 0 || ctx.Err() != nil || enough() {
			return
		}
		// Not longer at once, so that the end of ctx is noticed; rounded up, so that the
		// last bit is no busy loop.
		wait = min(left+time.Millisecond, 20*time.Millisecond)
	}
}

// drain takes what the tap saw. Its bound keeps a flood from holding up everything.
func (r *round) drain() {
	b := make([]byte, 512)
	for range 2048 {
		n, from, err := unix.Recvfrom(r.tap, b, unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Hatype == unix.ARPHRD_LOOPBACK {
			continue
		}
		p, ok := parsePacket(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, ll.Protocol)), b[:n])
		if !ok {
			continue
		}
		for _, a := range r.as {
			switch {
			case a.kind == kindLoopback || a.kind == kindOwn:
			case ll.Pkttype == unix.PACKET_OUTGOING:
				a.left = a.left || slices.ContainsFunc(a.flows, func(f flow) bool { return f.sent(p) })
			case !a.back && slices.ContainsFunc(a.flows, func(f flow) bool { return f.answers(p) }):
				a.back, a.over = true, time.Now()
			}
		}
	}
}
