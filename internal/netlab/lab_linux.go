package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Lab is a set of hosts and the cables between them.
type Lab struct {
	hosts  []*Host
	cables []*Cable
}

// Pair is the usual lab: two hosts and one cable, A at PC and B at Peer.
type Pair struct {
	Lab
	PC, Peer *Host
	*Cable
}

// NewPair makes two hosts joined by a cable. The error wraps fs.ErrPermission
// without the rights.
func NewPair() (*Pair, error) {
	p := &Pair{}
	err := func() (err error) {
		if p.PC, err = p.AddHost(); err != nil {
			return err
		}
		if p.Peer, err = p.AddHost(); err != nil {
			return err
		}
		p.Cable, err = p.Join(p.PC, p.Peer)
		return err
	}()
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// AddHost adds a host without cables.
func (l *Lab) AddHost() (*Host, error) {
	h, err := NewHost()
	if err == nil {
		l.hosts = append(l.hosts, h)
	}
	return h, err
}

// Join lays a cable between two hosts: a gets the addresses A, b the addresses B.
// Devices are called eth0, eth1, … in the order of the lab's cables.
func (l *Lab) Join(a, b *Host) (*Cable, error) {
	n := len(l.cables)
	name := fmt.Sprintf("eth%d", n)
	c, err := join(a.fd, b.fd, name, name, subnet(n))
	if err == nil {
		l.cables = append(l.cables, c)
	}
	return c, err
}

// Close removes everything. It may be called more than once.
func (l *Lab) Close() error {
	var errs []error
	for _, c := range l.cables {
		errs = append(errs, c.Cut())
	}
	for _, h := range l.hosts {
		errs = append(errs, h.Close())
	}
	return errors.Join(errs...)
}

// AddRoute sends packets for dst by way of via, an address at the other end of one
// of the host's cables.
func (h *Host) AddRoute(dst netip.Prefix, via netip.Addr) error {
	n, err := handle(h.fd)
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.RouteAdd(&netlink.Route{Dst: ipNet(dst), Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("add route to %s by %s: %w", dst, via, err)
	}
	return nil
}

// Sysctl sets a network parameter of the namespace, such as "net.ipv4.ip_forward".
func (h *Host) Sysctl(name, value string) error {
	return h.Do(func() error {
		path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
		return nil
	})
}

// AddAddr gives a device of the host one more address.
func (h *Host) AddAddr(device string, p netip.Prefix) error {
	return h.device(device, func(n *netlink.Handle, l netlink.Link) error {
		return n.AddrAdd(l, &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD})
	})
}

// SetMTU sets the largest packet, in bytes, that a device of the host sends.
func (h *Host) SetMTU(device string, mtu int) error {
	return h.device(device, func(n *netlink.Handle, l netlink.Link) error { return n.LinkSetMTU(l, mtu) })
}

// ForgetNeighbours makes a device of the host ask again for the link-layer address of
// everybody (ARP, neighbour discovery).
func (h *Host) ForgetNeighbours(device string) error {
	return h.device(device, func(n *netlink.Handle, l netlink.Link) error {
		ns, err := n.NeighList(l.Attrs().Index, netlink.FAMILY_ALL)
		for _, e := range ns {
			if e.State&(netlink.NUD_NOARP|netlink.NUD_PERMANENT) == 0 {
				err = errors.Join(err, n.NeighDel(&e))
			}
		}
		return err
	})
}

// AddBridge makes a bridge in the host and puts devices of the host on it.
func (h *Host) AddBridge(name string, ports ...string) error {
	n, err := handle(h.fd)
	if err != nil {
		return err
	}
	defer n.Close()
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := n.LinkAdd(br); err != nil {
		return fmt.Errorf("make bridge %s: %w", name, err)
	}
	for _, p := range ports {
		if err := h.device(p, func(n *netlink.Handle, l netlink.Link) error { return n.LinkSetMaster(l, br) }); err != nil {
			return err
		}
	}
	return h.device(name, func(n *netlink.Handle, l netlink.Link) error { return n.LinkSetUp(l) })
}

func (h *Host) device(name string, do func(*netlink.Handle, netlink.Link) error) error {
	n, err := handle(h.fd)
	if err != nil {
		return err
	}
	defer n.Close()
	l, err := n.LinkByName(name)
	if err == nil {
		err = do(n, l)
	}
	if err != nil {
		return fmt.Errorf("change device %s: %w", name, err)
	}
	return nil
}
