package sever

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// Config is what a Kernel is built from.
type Config struct {
	// NetNS is the file descriptor of the network namespace to work in. Default 0: the
	// one of this process.
	NetNS int
	// Others passes on every other network namespace of this endpoint, such as those of
	// containers, each once: a descriptor, which fn closes, its inode and who has it. It
	// returns how many were left out because there are too many. Optional: without it their
	// connections are not touched.
	Others func(ctx context.Context, fn func(file *os.File, inode uint64, who string)) (unseen int)
	// Proc is where processes are looked for. Default "/proc".
	Proc string
}

// Kernel is isolate.Connections by sock_diag(7): it needs CAP_NET_ADMIN and a kernel
// with CONFIG_INET_DIAG_DESTROY (Linux 4.5), and CAP_SYS_ADMIN for other namespaces.
type Kernel struct {
	cfg  Config
	look time.Duration // for the processes that have what is to be ended
}

var _ isolate.Connections = (*Kernel)(nil)

// New returns a Kernel; it touches nothing.
func New(c Config) *Kernel {
	c.Proc = cmp.Or(c.Proc, "/proc")
	return &Kernel{cfg: c, look: holdersLimit}
}

// Message types of linux/sock_diag.h.
const (
	typeByFamily = 20
	typeDestroy  = 21
)

// The states that are asked for. A TIME_WAIT carries no data any more, and what
// listens or is not connected is no connection.
const (
	tcpStates = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<8 | 1<<9 | 1<<11 | 1<<12
	udpStates = 1 << 1 // connect(2) was called
)

// questions are asked in this order: TCP first, where an intruder's sessions are.
var questions = [...]struct {
	name             string
	family, protocol byte
	states           uint32
}{
	{tcp, unix.AF_INET, unix.IPPROTO_TCP, tcpStates},
	{tcp, unix.AF_INET6, unix.IPPROTO_TCP, tcpStates},
	{udp, unix.AF_INET, unix.IPPROTO_UDP, udpStates},
	{udp, unix.AF_INET6, unix.IPPROTO_UDP, udpStates},
}

// Sever implements [isolate.Connections].
func (k *Kernel) Sever(ctx context.Context, p isolate.Policy) (isolate.Severed, error) {
	start := time.Now()
	var s isolate.Severed
	err := k.sever(ctx, p.Clean(), &s)
	s.At, s.Took = time.Now().UTC(), time.Since(start)
	s.Unsupported = errors.Is(err, errors.ErrUnsupported)
	return s, err
}

func (k *Kernel) sever(ctx context.Context, p isolate.Policy, s *isolate.Severed) error {
	here := place{fd: k.cfg.NetNS}
	errs := []error{here.list(ctx, p)}
	k.holders(ctx, here.found, k.look) // before they are ended: a program that is told so may be gone
	errs = append(errs, here.end(ctx, s))
	here.found = nil
	return errors.Join(append(errs, told(k.others(ctx, p, s)))...)
}

// place is a network namespace, and what is to be ended in it.
type place struct {
	fd    int    // 0: ours
	inode uint64 // 0 for the endpoint's own
	found []socket
}

// list finds what p does not allow. What was found until an error is ended all the same.
func (o *place) list(ctx context.Context, p isolate.Policy) error {
	own, err := o.addresses(ctx)
	if err != nil {
		return err
	}
	c, end, err := o.dial(ctx, unix.NETLINK_INET_DIAG)
	if err != nil {
		return err
	}
	defer end()
	var errs []error
	for _, q := range questions {
		seen := map[uint64]bool{} // sockets that change under the dump are listed twice
		err := dump(c, typeByFamily, request(q.family, q.protocol, q.states, [idSize]byte{}), func(b []byte) error {
			one, err := parse(q.name, b)
			if err == nil && !seen[one.Cookie] && !one.allowed(p, own) {
				seen[one.Cookie] = true
				one.NetNS = o.inode
				o.found = append(o.found, one)
			}
			return err
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("list %s connections of family %d: %w", q.name, q.family, explain(ctx, err)))
		}
	}
	return errors.Join(errs...)
}

// end ends what was found.
func (o *place) end(ctx context.Context, s *isolate.Severed) error {
	if len(o.found) == 0 {
		return nil
	}
	c, end, err := o.dial(ctx, unix.NETLINK_INET_DIAG)
	if err != nil {
		s.Failed += len(o.found)
		return err
	}
	defer end()
	var failure error // the first one stands for all
	for i := range o.found {
		one := &o.found[i]
		if err := destroy(c, one, s); err != nil && failure == nil {
			failure = fmt.Errorf("end %s connection with %s: %w", one.Protocol, one.Remote, explain(ctx, err))
		}
		s.Add(one.Connection)
		if ctx.Err() != nil {
			s.Failed += len(o.found) - i - 1
			return errors.Join(failure, ctx.Err())
		}
	}
	return failure
}

func destroy(c *netlink.Conn, o *socket, s *isolate.Severed) error {
	protocol := byte(unix.IPPROTO_TCP)
	if o.Protocol == udp {
		protocol = unix.IPPROTO_UDP
	}
	_, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: typeDestroy, Flags: netlink.Request | netlink.Acknowledge},
		Data:   request(o.family, protocol, 0, o.id),
	})
	switch {
	case err == nil:
		o.Outcome = "destroyed"
		s.Destroyed++
	case errors.Is(err, unix.ENOENT):
		o.Outcome = "gone"
		s.Gone++
		err = nil
	case errors.Is(err, unix.EOPNOTSUPP):
		o.Outcome = "unsupported"
		s.Failed++
	default:
		o.Outcome = "failed"
		s.Failed++
	}
	return err
}

// explain turns the kernel's refusal into isolate's words.
func explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: %w", isolate.ErrNeedsRoot, err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// addresses lists this endpoint's own addresses.
func (o *place) addresses(ctx context.Context) (map[netip.Addr]bool, error) {
	c, end, err := o.dial(ctx, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer end()
	own := map[netip.Addr]bool{}
	err = dump(c, unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), func(b []byte) error {
		if len(b) < unix.SizeofIfAddrmsg {
			return fmt.Errorf("address of %d bytes: %w", len(b), errReply)
		}
		a, err := ownAddress(b[unix.SizeofIfAddrmsg:])
		if a.IsValid() {
			own[a] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list own addresses: %w", explain(ctx, err))
	}
	return own, nil
}

// dump asks for a whole table and passes on each row, which must not be kept.
func dump(c *netlink.Conn, typ netlink.HeaderType, body []byte, row func([]byte) error) error {
	req, err := c.Send(netlink.Message{
		Header: netlink.Header{Type: typ, Flags: netlink.Request | netlink.Dump}, Data: body,
	})
	if err != nil {
		return err
	}
	var rerr error
	for m, err := range c.ReceiveIter() {
		if err != nil {
			return err
		}
		if m.Header.Sequence != req.Header.Sequence || m.Header.Type == netlink.Done {
			continue
		}
		if err := row(m.Data); err != nil && rerr == nil {
			rerr = err // one row that is not understood does not hide the others
		}
	}
	return rerr
}

func (o *place) dial(ctx context.Context, family int) (c *netlink.Conn, end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	c, err = netlink.Dial(family, &netlink.Config{NetNS: o.fd})
	if err != nil {
		return nil, nil, fmt.Errorf("open netlink: %w", explain(ctx, err))
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return c, func() { stop(); _ = c.Close() }, nil
}

// request is struct inet_diag_req_v2: either a question for all sockets in states, or
// the one with an id.
func request(family, protocol byte, states uint32, id [idSize]byte) []byte {
	const info = 1 << (attrInfo - 1)
	b := append(make([]byte, 0, 8+idSize), family, protocol, info, 0)
	b = binary.NativeEndian.AppendUint32(b, states)
	return append(b, id[:]...)
}
