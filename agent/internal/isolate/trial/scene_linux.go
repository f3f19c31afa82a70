package trial

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// look finds out with whom this endpoint talks. What cannot be read is missing: then
// less is tried, and nothing else.
func (p *Prober) look(ctx context.Context) (scene, error) {
	s := p.configured()
	ifs, err := net.Interfaces()
	if err != nil {
		return s, fmt.Errorf("list network devices: %w", err)
	}
	for _, i := range ifs {
		d := device{name: i.Name, index: i.Index}
		if len(i.HardwareAddr) == 6 && i.Flags&net.FlagLoopback == 0 {
			d.mac = i.HardwareAddr
		}
		s.devices = append(s.devices, d)
	}
	as, err := net.InterfaceAddrs()
	if err != nil {
		return s, fmt.Errorf("list own addresses: %w", err)
	}
	for _, a := range as {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && !own.IsLoopback() {
				s.own = append(s.own, own.Unmap())
			}
		}
	}
	c, end, err := dial(ctx)
	if err != nil {
		return s, err
	}
	defer end()
	err = dump(c, unix.RTM_GETROUTE, sizeofRtmsg, func(b []byte) error {
		hops, err := parseDefault(b)
		for _, h := range hops {
			s.addGateway(h)
		}
		return err
	})
	if err != nil {
		return s, fmt.Errorf("list routes: %w", err)
	}
	return s, neighbours(c, &s)
}

func (s *scene) addGateway(h hop) {
	i := slices.IndexFunc(s.devices, func(d device) bool { return d.index == h.index })
	if i < 0 || len(s.gateways) == most {
		return
	}
	if h.addr.IsLinkLocalUnicast() && h.addr.Is6() {
		h.addr = h.addr.WithZone(s.devices[i].name)
	}
	if !slices.ContainsFunc(s.gateways, func(g gateway) bool { return g.addr == h.addr && g.dev.index == h.index }) {
		s.gateways = append(s.gateways, gateway{addr: h.addr, dev: s.devices[i]})
	}
}

// neighbours fills in the link-layer addresses of the gateways, as far as they are known.
func neighbours(c *netlink.Conn, s *scene) error {
	if len(s.gateways) == 0 {
		return nil
	}
	err := dump(c, unix.RTM_GETNEIGH, sizeofNdmsg, func(b []byte) error {
		n, err := parseNeighbour(b)
		for i := range s.gateways {
			if g := &s.gateways[i]; g.dev.index == n.index && g.addr.WithZone("") == n.addr && n.mac != nil {
				g.mac = n.mac
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list neighbours: %w", err)
	}
	return nil
}

// maxRows bounds how much of a table is looked at: a router's may have a million routes.
const maxRows = 20_000

// dump asks for a whole table and passes on each row, which must not be kept.
func dump(c *netlink.Conn, typ netlink.HeaderType, body int, row func([]byte) error) error {
	req, err := c.Send(netlink.Message{
		Header: netlink.Header{Type: typ, Flags: netlink.Request | netlink.Dump}, Data: make([]byte, body),
	})
	if err != nil {
		return err
	}
	var rerr error
	rows := 0
	for m, err := range c.ReceiveIter() {
		if err != nil {
			return err
		}
		if m.Header.Sequence != req.Header.Sequence || m.Header.Type == netlink.Done {
			continue
		}
		if rows++; rows > maxRows {
			continue // the rest has to be read all the same
		}
		if err := row(m.Data); err != nil && rerr == nil {
			rerr = err // one row that is not understood does not hide the others
		}
	}
	return rerr
}

// The files that say who the resolvers and time servers are. A resolver on this endpoint
// (systemd-resolved, NetworkManager's dnsmasq) keeps those behind it in a file of its own.
var (
	resolverFiles = [...]string{"etc/resolv.conf", "run/systemd/resolve/resolv.conf", "run/NetworkManager/resolv.conf"}
	clockFiles    = [...]string{"etc/systemd/timesyncd.conf", "run/systemd/netif/state", "etc/chrony/chrony.conf", "etc/chrony.conf", "etc/ntp.conf", "etc/ntpsec/ntp.conf"}
)

func (p *Prober) configured() (s scene) {
	collect := func(files []string, parse func([]byte) []netip.Addr, to *[]netip.Addr) {
		for _, name := range files {
			for _, a := range parse(small(filepath.Join(p.cfg.Root, name))) {
				if !slices.Contains(*to, a) && len(*to) < most {
					*to = append(*to, a)
				}
			}
		}
	}
	collect(resolverFiles[:], parseResolvers, &s.resolvers)
	collect(clockFiles[:], parseClocks, &s.clocks)
	return s
}

// small reads the beginning of a regular file; nil if there is none.
func small(name string) []byte {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(f, 64<<10))
	return b
}

// resolveAgain looks anew for the link-layer addresses of the gateways.
func resolveAgain(ctx context.Context, s *scene) error {
	c, end, err := dial(ctx)
	if err != nil {
		return err
	}
	defer end()
	return neighbours(c, s)
}

func dial(ctx context.Context) (c *netlink.Conn, end func(), err error) {
	c, err = netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("open netlink: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return c, func() { stop(); _ = c.Close() }, nil
}
