package machine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
)

// Names of devices in the namespace of a wire.
const (
	wireCable  = "eth0"
	wireBridge = "br0"
	wireTap    = "tap0"
)

// Wire is the network of a virtual machine, boot after boot: a cable between the guest
// and outside. It leads nowhere else and is gone with this process.
type Wire struct {
	// Inside are the guest's addresses, Outside those that it reaches.
	Inside, Outside netlab.Addrs

	lab *netlab.Practice
}

// NewWire makes a wire to outside, or, when outside is nil, to the network namespace
// of this process.
func NewWire(outside *netlab.Host) (*Wire, error) {
	lab, err := netlab.NewPractice(outside)
	if err != nil {
		return nil, err
	}
	w := &Wire{Inside: lab.Inside, Outside: lab.Outside, lab: lab}
	err = lab.PC.AddBridge(wireBridge, wireCable)
	if err == nil {
		err = w.handle(func(h *netlink.Handle) error { return w.bare(h) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a wire: %w", err), lab.Close())
	}
	return w, nil
}

// bare takes the addresses from the cable's end: they are the guest's.
func (w *Wire) bare(h *netlink.Handle) error {
	l, err := h.LinkByName(wireCable)
	if err != nil {
		return err
	}
	addrs, err := h.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		err = errors.Join(err, h.AddrDel(l, &a))
	}
	return err
}

// plug puts the guest's device on the wire as soon as it is there.
func (w *Wire) plug(ctx context.Context, guest *rig.Proc) error {
	return rig.Until(ctx, "the guest's network device", func() (bool, error) {
		err := w.handle(func(h *netlink.Handle) error {
			tap, err := h.LinkByName(wireTap)
			if err != nil {
				return err
			}
			bridge, err := h.LinkByName(wireBridge)
			if err != nil {
				return err
			}
			return errors.Join(h.LinkSetMaster(tap, bridge), h.LinkSetUp(tap))
		})
		return err == nil, err
	}, guest)
}

func (w *Wire) handle(do func(*netlink.Handle) error) error {
	h, err := netlink.NewHandleAt(netns.NsHandle(w.lab.PC.FD()), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	return do(h)
}

// settings are the file by which the guest's systemd-networkd sets its device up.
func (w *Wire) settings() string {
	var b strings.Builder
	b.WriteString("[Match]\nName=eth0\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n")
	for _, p := range []netip.Prefix{netip.PrefixFrom(w.Inside.V4, 24), netip.PrefixFrom(w.Inside.V6, 64)} {
		if p.IsValid() {
			fmt.Fprintf(&b, "Address=%s\n", p)
		}
	}
	return b.String()
}

// Close cuts the wire.
func (w *Wire) Close() error { return w.lab.Close() }

// wireFile is where the settings lie in the guest.
const wireFile = "/etc/systemd/network/10-wire.network"
