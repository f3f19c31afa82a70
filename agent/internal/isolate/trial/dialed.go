package trial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Codes of Windows Sockets (winsock2.h).
const (
	wsaAccess       = syscall.Errno(10013)
	wsaAddress      = syscall.Errno(10049)
	wsaNoNetwork    = syscall.Errno(10051)
	wsaReset        = syscall.Errno(10054)
	wsaRefused      = syscall.Errno(10061)
	wsaNoHost       = syscall.Errno(10065)
	wsaNoSuchFamily = syscall.Errno(10047)
)

// heard says what an attempt came to by the error that a socket of Windows gave. There a
// filter that blocks a connection at ALE_AUTH_CONNECT makes the call fail at once with
// WSAEACCES: that is the kernel's word that it dropped what it was given. Nothing counts
// what a filter drops, so it stands for the counter too; without it nothing is shown.
func heard(err error) result {
	r := result{sent: 1}
	var code syscall.Errno
	switch {
	case err == nil:
		r.back = true
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
	case !errors.As(err, &code):
		r.sent, r.reason = 0, Failed
	case code == wsaRefused || code == wsaReset:
		r.back = true // somebody answered
	case code == wsaAccess:
		r.refused, r.counted = true, true
	case code == wsaNoNetwork || code == wsaNoHost || code == wsaAddress || code == wsaNoSuchFamily:
		r.sent, r.reason = 0, NoAddress
	default:
		r.sent, r.reason = 0, Failed
	}
	return r
}

// dialed tries one way with a socket of the system, until something comes back or ctx
// ends.
func dialed(ctx context.Context, w way) result {
	switch w.kind {
	case kindTCP:
		return heard(dialTCP(ctx, w.to))
	case kindUDP, kindDNS:
		return heard(ask(ctx, w))
	case kindLoopback, kindOwn:
		return heard(local(ctx, w.to.Addr()))
	}
	return result{reason: NoRights}
}

func dialTCP(ctx context.Context, to netip.AddrPort) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return err
	}
	return c.Close()
}

// ask sends one datagram and waits for what comes back, be it that nobody listens there.
func ask(ctx context.Context, w way) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "udp", w.to.String())
	if err != nil {
		return err
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(end); err != nil {
			return err
		}
	}
	if _, err := c.Write(question(w)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 512))
	return err
}

// question is what a way is asked. The DNS question is for the root's name servers
// (RFC 1035); time servers answer a client's request (RFC 5905).
func question(w way) []byte {
	if w.to.Port() == portClock {
		return append([]byte{0x23}, make([]byte, 47)...)
	}
	return []byte{0x48, 0x5a, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1}
}

// local connects with a port of this process at an address of this endpoint.
func local(ctx context.Context, a netip.Addr) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", netip.AddrPortFrom(a, 0).String())
	if err != nil {
		return err
	}
	defer l.Close()
	to, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return err
	}
	return dialTCP(ctx, to)
}

// dialKinds are those that can be tried without frames of one's own, with how many targets
// of one IP version.
var dialKinds = [...]struct {
	kind kind
	name string
	most int
}{{kindTCP, "tcp", 1}, {kindUDP, "udp", 1}, {kindDNS, "dns", 3}, {kindLoopback, "loopback", 1}, {kindOwn, "own", 1}}

// cannot are the names of what this system lets nobody send, in each IP version.
var cannot = [...]string{"icmp", "raw"}

// tried is one way with what came of it.
type tried struct {
	way
	result
	began, over time.Time
}

// all tries ways at once.
func all(ctx context.Context, limit time.Duration, ws []way, try func(context.Context, way) result) []tried {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	out := make([]tried, len(ws))
	done := make(chan int)
	for i, w := range ws {
		out[i] = tried{way: w, began: time.Now()}
		go func() {
			out[i].result = try(ctx, w)
			out[i].over = time.Now()
			done <- i
		}()
	}
	for range ws {
		<-done
	}
	return out
}
