package tunnel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// Finder asks the kernel which devices lead to the collector and what carries them, by
// rtnetlink(7), generic netlink, sock_diag(7) and proc(5). It changes nothing.
type Finder struct {
	cfg Config

	mu   sync.Mutex
	last map[string][]int // who held a TUN device when it was last looked for
}

// New returns a Finder; it touches nothing.
func New(c Config) *Finder {
	if c.Proc == "" {
		c.Proc = "/proc"
	}
	return &Finder{cfg: c, last: map[string][]int{}}
}

// Tunnels returns the outer ends of the tunnels through which the way to p's collectors
// goes now, and says in English what could not be found out. What it found counts even if
// ctx ended.
func (f *Finder) Tunnels(ctx context.Context, p isolate.Policy) (found []isolate.Tunnel, limits []string) {
	p = p.Clean()
	if len(p.Collectors) == 0 {
		return nil, nil
	}
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: f.cfg.NetNS})
	if err != nil {
		return nil, []string{fmt.Sprintf("which devices lead to the collector is not known: open netlink: %v", err)}
	}
	defer func() { _ = c.Close() }()
	defer until(ctx, c)()
	return find(ctx, &system{ctx: ctx, f: f, rt: c}, p)
}

// until ends what c waits for when ctx ends.
func until(ctx context.Context, c *netlink.Conn) (stop func()) {
	end := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return func() { end() }
}

// system is the running kernel, for one search.
type system struct {
	ctx context.Context
	f   *Finder
	rt  *netlink.Conn
}

// attr appends a netlink attribute: length, type, value, padding (netlink(7)).
func attr(b []byte, typ uint16, v []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(v)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func native(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// route implements kernel by RTM_GETROUTE, which asks for one address.
func (s *system) route(t towards) (route, error) {
	family := byte(unix.AF_INET)
	if t.to.Is6() {
		family = unix.AF_INET6
	}
	b := make([]byte, rtmsgSize, 64)
	b[0], b[1] = family, byte(t.to.BitLen())
	b = attr(b, rtaDst, t.to.AsSlice())
	if t.mark != 0 {
		b = attr(b, rtaMark, native(t.mark))
	}
	if t.via != 0 {
		b = attr(b, rtaOIF, native(t.via))
	}
	m, err := s.one(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, b)
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES),
		errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENODEV): // also the answer of prohibited and blackhole routes
		return route{}, fmt.Errorf("%w: %w", errNoRoute, err)
	case err != nil:
		return route{}, err
	}
	return parseRoute(m)
}

// link implements kernel by RTM_GETLINK.
func (s *system) link(index uint32) (link, error) {
	b := make([]byte, ifinfomsgSize)
	binary.NativeEndian.PutUint32(b[4:], index)
	m, err := s.one(unix.RTM_GETLINK, unix.RTM_NEWLINK, b)
	if err != nil {
		return link{}, err
	}
	return parseLink(m)
}

// one asks for one thing.
func (s *system) one(ask, answer netlink.HeaderType, b []byte) ([]byte, error) {
	msgs, err := s.rt.Execute(netlink.Message{Header: netlink.Header{Type: ask, Flags: netlink.Request}, Data: b})
	if err != nil {
		return nil, err
	}
	for _, m := range msgs {
		if m.Header.Type == answer {
			return m.Data, nil
		}
	}
	return nil, errReply
}

// wireGuard implements kernel by WG_CMD_GET_DEVICE.
func (s *system) wireGuard(index uint32) (d peers, err error) {
	c, err := netlink.Dial(unix.NETLINK_GENERIC, &netlink.Config{NetNS: s.f.cfg.NetNS})
	if err != nil {
		return d, fmt.Errorf("open netlink: %w", err)
	}
	defer func() { _ = c.Close() }()
	defer until(s.ctx, c)()
	msgs, err := generic(c, "wireguard", unix.WG_CMD_GET_DEVICE, attr(nil, unix.WGDEVICE_A_IFINDEX, native(index)))
	if err != nil {
		return d, err
	}
	for _, m := range msgs {
		err = errors.Join(err, d.add(m.Data))
		clear(m.Data) // the private key is in it
	}
	return d, err
}

// generic asks one of the families of generic netlink for all of something.
func generic(c *netlink.Conn, family string, command byte, attrs []byte) ([]netlink.Message, error) {
	// Without an acknowledgement, which would be the answer to what is asked next.
	msgs, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.GENL_ID_CTRL, Flags: netlink.Request},
		Data:   attr([]byte{unix.CTRL_CMD_GETFAMILY, 1, 0, 0}, unix.CTRL_ATTR_FAMILY_NAME, append([]byte(family), 0)),
	})
	if err != nil {
		return nil, fmt.Errorf("find netlink family %q: %w", family, err)
	}
	if len(msgs) != 1 {
		return nil, fmt.Errorf("find netlink family %q: %d answers: %w", family, len(msgs), errReply)
	}
	id, err := parseFamily(msgs[0].Data)
	if err != nil {
		return nil, fmt.Errorf("find netlink family %q: %w", family, err)
	}
	return c.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(id), Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{command, 1, 0, 0}, attrs...),
	})
}

// held implements kernel: the processes that hold a TUN device, and their sockets.
func (s *system) held(name string) (held, error) {
	pids, cut, err := s.f.holders(s.ctx, name)
	h := held{cut: cut}
	if err != nil {
		return h, err
	}
	mine := map[uint32]bool{}
	for _, pid := range pids {
		inodes, more := s.f.sockets(pid)
		for _, n := range inodes {
			mine[n] = true
		}
		h.cut = h.cut || more
		h.holders = append(h.holders, fmt.Sprintf("%.15q, process %d", s.f.command(pid), pid))
	}
	if len(mine) == 0 {
		return h, nil
	}
	c, err := netlink.Dial(unix.NETLINK_INET_DIAG, &netlink.Config{NetNS: s.f.cfg.NetNS})
	if err != nil {
		return h, fmt.Errorf("open netlink: %w", err)
	}
	defer func() { _ = c.Close() }()
	defer until(s.ctx, c)()
	// TCP that is being opened or is open, and UDP.
	const tcpStates, udpStates = 1<<1 | 1<<2, 1<<1 | 1<<diagUDPLoose
	for _, q := range []struct {
		family, protocol byte
		states           uint32
	}{
		{unix.AF_INET, unix.IPPROTO_UDP, udpStates}, {unix.AF_INET6, unix.IPPROTO_UDP, udpStates},
		{unix.AF_INET, unix.IPPROTO_TCP, tcpStates}, {unix.AF_INET6, unix.IPPROTO_TCP, tcpStates},
	} {
		err = errors.Join(err, s.list(c, q.family, q.protocol, q.states, mine, &h))
	}
	return h, err
}

// typeByFamily is SOCK_DIAG_BY_FAMILY (linux/sock_diag.h).
const typeByFamily = 20

// flowsMax bounds the connections of one device's holders that are opened.
const flowsMax = 8

func (s *system) list(c *netlink.Conn, family, protocol byte, states uint32, mine map[uint32]bool, h *held) error {
	b := append(make([]byte, 0, 56), family, protocol, 0, 0)
	b = append(binary.NativeEndian.AppendUint32(b, states), make([]byte, 48)...)
	req, err := c.Send(netlink.Message{Header: netlink.Header{Type: typeByFamily, Flags: netlink.Request | netlink.Dump}, Data: b})
	if err != nil {
		return err
	}
	for m, err := range c.ReceiveIter() {
		if err != nil {
			return err
		}
		if m.Header.Sequence != req.Header.Sequence || m.Header.Type != typeByFamily {
			continue
		}
		f, state, err := parseSocket(protocol, m.Data)
		same := func(o flow) bool { return o.protocol == f.protocol && o.remote == f.remote }
		switch {
		case err != nil || !mine[f.inode]:
		case protocol == unix.IPPROTO_UDP && state == diagUDPLoose:
			h.loose++
		case !f.outside() || slices.ContainsFunc(h.flows, same):
		case len(h.flows) >= flowsMax:
			h.cut = true
		default:
			h.flows = append(h.flows, f)
		}
	}
	return nil
}

var _ kernel = (*system)(nil)
