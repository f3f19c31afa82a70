package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Cable is a pair of virtual Ethernet devices (veth(4)), A at one host and B at the
// other.
type Cable struct {
	Subnet
	NameA, NameB string // device names
	A, B         Addrs  // host 1 and host 2 of the subnet
	end          *netlink.Handle
}

// here stands for the namespace of the calling process.
const here = -1

// join lays a cable between two namespaces and gives both ends their addresses,
// ready for use: duplicate address detection is off (IFA_F_NODAD). fdA may be here.
func join(fdA, fdB int, nameA, nameB string, s Subnet) (c *Cable, err error) {
	ha, err := handle(fdA)
	if err != nil {
		return nil, err
	}
	hb, err := handle(fdB)
	if err != nil {
		ha.Close()
		return nil, err
	}
	defer hb.Close()
	c = &Cable{Subnet: s, NameA: nameA, NameB: nameB, A: s.Host(1), B: s.Host(2), end: ha}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Cut())
		}
	}()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: nameA, TxQLen: 1000}, PeerName: nameB, PeerNamespace: netlink.NsFd(fdB)}
	if err = ha.LinkAdd(veth); err != nil {
		return c, fmt.Errorf("lay cable %s–%s: %w", nameA, nameB, err)
	}
	six, err := configure(ha, fdA, nameA, c.A, s)
	if err != nil {
		return c, err
	}
	if _, err = configure(hb, fdB, nameB, c.B, s); err != nil {
		return c, err
	}
	if err = errors.Join(awaitUp(ha, nameA), awaitUp(hb, nameB)); err != nil {
		return c, err
	}
	if !six {
		c.A.V6, c.B.V6 = netip.Addr{}, netip.Addr{}
	}
	return c, nil
}

// Cut removes the cable at once, both ends. It may be called more than once.
func (c *Cable) Cut() error {
	if c.end == nil {
		return nil
	}
	defer func() { c.end.Close(); c.end = nil }()
	l, err := c.end.LinkByName(c.NameA)
	if err == nil {
		err = c.end.LinkDel(l)
	}
	if err == nil || errors.As(err, new(netlink.LinkNotFoundError)) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return fmt.Errorf("remove cable %s: %w", c.NameA, err)
}

func handle(fd int) (*netlink.Handle, error) {
	var h *netlink.Handle
	var err error
	if fd == here {
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
	} else {
		h, err = netlink.NewHandleAt(netns.NsHandle(fd), unix.NETLINK_ROUTE)
	}
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return h, nil
}

// configure gives a device its addresses and brings it up. It reports whether the
// kernel has IPv6.
func configure(h *netlink.Handle, fd int, name string, a Addrs, s Subnet) (six bool, err error) {
	l, err := h.LinkByName(name)
	if err != nil {
		return false, fmt.Errorf("find device %s: %w", name, err)
	}
	six, err = enableIPv6(fd, name)
	if err != nil {
		return false, err
	}
	addrs := []netip.Prefix{netip.PrefixFrom(a.V4, s.V4.Bits())}
	if six {
		addrs = append(addrs, netip.PrefixFrom(a.V6, s.V6.Bits()))
	}
	for _, p := range addrs {
		if err := h.AddrAdd(l, &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}); err != nil {
			return six, fmt.Errorf("give %s the address %s: %w", name, p, err)
		}
	}
	if err := h.LinkSetUp(l); err != nil {
		return six, fmt.Errorf("bring %s up: %w", name, err)
	}
	return six, nil
}

// awaitUp waits until the kernel has noticed the carrier, which takes some 300 µs:
// before that it drops IPv6 packets, and whoever sent one tries again a second later.
func awaitUp(h *netlink.Handle, name string) error {
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Second); ; <-tick.C {
		l, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find device %s: %w", name, err)
		}
		if l.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("device %s has no carrier after 5 s", name)
		}
	}
}

// enableIPv6 turns IPv6 on for one device, where a machine has turned it off for all,
// and duplicate address detection off, so that the link-local address is ready too.
func enableIPv6(fd int, name string) (bool, error) {
	dir := "/proc/sys/net/ipv6/conf/" + name
	six := false
	set := func() error {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		six = true
		for _, kv := range [][2]string{{"disable_ipv6", "0"}, {"accept_dad", "0"}, {"accept_ra", "0"}} {
			if err := os.WriteFile(dir+"/"+kv[0], []byte(kv[1]), 0); err != nil {
				return fmt.Errorf("set %s of %s: %w", kv[0], name, err)
			}
		}
		return nil
	}
	if fd == here {
		err := set()
		return six, err
	}
	err := (&Host{fd: fd}).Do(set)
	return six, err
}

func loopbackUp(fd int) error {
	h, err := handle(fd)
	if err != nil {
		return err
	}
	defer h.Close()
	l, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	return h.LinkSetUp(l)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
