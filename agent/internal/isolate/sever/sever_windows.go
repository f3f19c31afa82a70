package sever

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/internal/winapi/tcptable"
)

// Config is what a Kernel is built from.
type Config struct{}

// Kernel is isolate.Connections by Windows' tables of TCP connections. IPv4 connections are
// ended (SetTcpEntry, which needs administrator rights); Windows has no such call for IPv6,
// and no table of whom UDP sockets talk to.
type Kernel struct{}

var _ isolate.Connections = (*Kernel)(nil)

// New returns a Kernel; it touches nothing.
func New(Config) *Kernel { return &Kernel{} }

// errNoCall means that Windows cannot end what is of IPv6.
var errNoCall = fmt.Errorf("windows has no call to end IPv6 connections: %w", errors.ErrUnsupported)

// Sever implements [isolate.Connections].
func (k *Kernel) Sever(ctx context.Context, p isolate.Policy) (isolate.Severed, error) {
	start := time.Now()
	var s isolate.Severed
	err := k.sever(ctx, p.Clean(), &s)
	s.At, s.Took = time.Now().UTC(), time.Since(start)
	return s, err
}

func (k *Kernel) sever(ctx context.Context, p isolate.Policy, s *isolate.Severed) error {
	own := map[netip.Addr]bool{}
	as, err := net.InterfaceAddrs()
	for _, a := range as {
		if n, ok := a.(*net.IPNet); ok {
			if o, ok := netip.AddrFromSlice(n.IP); ok {
				own[o.Unmap()] = true
			}
		}
	}
	var errs []error
	if err != nil { // what is sent to an own address is then taken for others', and ended
		errs = append(errs, fmt.Errorf("list own addresses: %w", err))
	}
	self := uint32(os.Getpid())
	for _, six := range []bool{false, true} {
		b, err := tcptable.Read(six)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found, err := parseTable(b, six)
		errs = append(errs, err)
		var failure error // the first one stands for all
		for _, e := range found {
			e.foreign = e.PID != self
			if e.allowed(p, own) {
				continue
			}
			if ctx.Err() != nil {
				return errors.Join(append(errs, failure, ctx.Err())...)
			}
			if err := end(&e, six, s); err != nil && failure == nil {
				failure = fmt.Errorf("with %s: %w", e.Remote, err)
			}
			s.Add(e.Connection)
		}
		errs = append(errs, failure)
	}
	return errors.Join(errs...)
}

// end ends one connection.
func end(e *entry, six bool, s *isolate.Severed) error {
	err := errNoCall
	if !six {
		err = tcptable.End(e.key[0], e.key[1], e.key[2], e.key[3])
	}
	switch {
	case err == nil:
		e.Outcome = "destroyed"
		s.Destroyed++
	case errors.Is(err, tcptable.ErrGone):
		e.Outcome = "gone"
		s.Gone++
		return nil
	case errors.Is(err, errors.ErrUnsupported):
		e.Outcome = "unsupported"
		s.Failed++
	default:
		e.Outcome = "failed"
		s.Failed++
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", isolate.ErrNeedsRoot, err)
	}
	return err
}
