//go:build linux

package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/internal/netlab"
)

const collectorPort = 7443

// lab is a PC to isolate and a firewall that works in it. On the other end of its
// cable are, at one host, a peer and a collector with addresses of their own.
type lab struct {
	*netlab.Pair
	fw        *Firewall
	collector netlab.Addrs
	policy    isolate.Policy
}

func newLab(t testing.TB) *lab {
	t.Helper()
	var l *lab
	if err := netlab.Available(); err != nil {
		t.Skip("needs root: ", err)
	}
	p, err := netlab.NewPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		check(t, l.fw.Close())
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	l = &lab{Pair: p, fw: New(Config{NetNS: p.PC.FD()}), collector: p.Host(3)}
	check(t, p.Peer.AddAddr(p.NameB, netip.PrefixFrom(l.collector.V4, 24)))
	check(t, p.Peer.AddAddr(p.NameB, netip.PrefixFrom(l.collector.V6, 64)))
	l.policy = isolate.Policy{Mode: isolate.Standard, Collectors: []netip.AddrPort{
		l.collector.AddrPort(4, collectorPort), l.collector.AddrPort(6, collectorPort),
	}}
	return l
}

// stranger is another program with the same rights.
func (l *lab) stranger(t testing.TB) *Firewall {
	f := New(Config{NetNS: l.PC.FD()})
	t.Cleanup(func() { check(t, f.Close()) })
	return f
}

// plain is a kernel that cannot hold tables.
var plain = features{netdev: true, egress: true}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (l *lab) observe(t *testing.T, p *isolate.Policy) isolate.Observation {
	t.Helper()
	o, err := l.fw.Observe(t.Context(), p)
	check(t, err)
	return o
}

func (l *lab) isolated(t *testing.T) {
	t.Helper()
	if o := l.observe(t, &l.policy); !o.Present || !o.Complete {
		t.Fatalf("not isolated: %+v", o)
	}
}

// patience is how long a packet that should arrive may take, and how long one that
// should not is waited for. Nothing on a cable takes a tenth of it.
const patience = 400 * time.Millisecond

var errNothing = errors.New("nothing arrived")

// tcp dials and exchanges a word in both directions.
func tcp(from, to *netlab.Host, address string, control ...func(string, string, syscall.RawConn) error) error {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	ln, err := to.Listen(ctx, "tcp", address)
	if err != nil {
		panic(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 1)
		if _, err := c.Read(b); err == nil {
			c.Write(b)
		}
	}()
	d := net.Dialer{}
	if len(control) > 0 {
		d.Control = control[0]
	}
	return from.Do(func() error {
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		b := []byte("x")
		if _, err := c.Write(b); err != nil {
			return err
		}
		_, err = c.Read(b)
		return err
	})
}

// udp sends one datagram; local may be empty.
func udp(from, to *netlab.Host, local, address string) error {
	a := netip.MustParseAddrPort(address)
	listen := address
	if a.Addr() == broadcast4 {
		listen = fmt.Sprint("0.0.0.0:", a.Port())
	}
	in, err := to.ListenPacket(context.Background(), "udp", listen)
	if err != nil {
		panic(err)
	}
	defer in.Close()
	out, err := from.ListenPacket(context.Background(), "udp", local)
	if err != nil {
		panic(err)
	}
	defer out.Close()
	if _, err := out.WriteTo([]byte("datagram"), net.UDPAddrFromAddrPort(a)); err != nil {
		return err
	}
	return await(in, "datagram")
}

func await(c net.PacketConn, word string) error {
	b := make([]byte, 2048)
	c.SetReadDeadline(time.Now().Add(patience))
	for {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			return errNothing
		}
		if strings.Contains(string(b[:n]), word) {
			return nil
		}
	}
}

// ping sends an echo request and waits for the answer.
func ping(from *netlab.Host, to netip.Addr) error {
	network, typ, answer := "ip4:icmp", byte(8), byte(0)
	if to.Is6() {
		network, typ, answer = "ip6:ipv6-icmp", 128, 129
	}
	c, err := from.ListenPacket(context.Background(), network, "")
	if err != nil {
		panic(err)
	}
	defer c.Close()
	m := []byte{typ, 0, 0, 0, 'p', 'i', 0, 1, 'n', 'g'}
	if to.Is4() {
		binary.BigEndian.PutUint16(m[2:], checksum(m))
	}
	if _, err := c.WriteTo(m, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	b := make([]byte, 2048)
	c.SetReadDeadline(time.Now().Add(patience))
	for {
		n, who, err := c.ReadFrom(b)
		if err != nil {
			return errNothing
		}
		if n >= len(m) && b[0] == answer && strings.HasPrefix(who.String(), to.String()) {
			return nil
		}
	}
}

func checksum(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// raw writes a UDP datagram as an Ethernet frame straight to the device.
func raw(l *lab, family, port int, bypass bool) error {
	in, err := l.Peer.ListenPacket(context.Background(), "udp", l.B.At(family, port))
	if err != nil {
		panic(err)
	}
	defer in.Close()
	var mac net.HardwareAddr
	if err := l.Peer.Do(func() error {
		i, err := net.InterfaceByName(l.NameB)
		mac = i.HardwareAddr
		return err
	}); err != nil {
		panic(err)
	}
	err = l.PC.Do(func() error {
		dev, err := net.InterfaceByName(l.NameA)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if bypass {
			if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
				return err
			}
		}
		return unix.Sendto(fd, frame(dev.HardwareAddr, mac, l, family, port), 0, &unix.SockaddrLinklayer{Ifindex: dev.Index})
	})
	if err != nil {
		return err
	}
	return await(in, "rawframe")
}

func frame(src, dst net.HardwareAddr, l *lab, family, port int) []byte {
	word := []byte("rawframe")
	u := append(be16(40000), be16(uint16(port))...)
	u = append(u, be16(uint16(8+len(word)))...)
	u = append(append(u, 0, 0), word...)
	a, b := l.A.AddrPort(family, 0).Addr(), l.B.AddrPort(family, 0).Addr()
	var ip, eth []byte
	if family == 4 {
		ip = []byte{0x45, 0, 0, byte(20 + len(u)), 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}
		ip = append(append(ip, a.AsSlice()...), b.AsSlice()...)
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
		eth = be16(unix.ETH_P_IP)
	} else {
		pseudo := append(append(a.AsSlice(), b.AsSlice()...), 0, 0, 0, byte(len(u)), 0, 0, 0, unix.IPPROTO_UDP)
		binary.BigEndian.PutUint16(u[6:], checksum(append(pseudo, u...)))
		ip = []byte{0x60, 0, 0, 0, 0, byte(len(u)), unix.IPPROTO_UDP, 64}
		ip = append(append(ip, a.AsSlice()...), b.AsSlice()...)
		eth = be16(unix.ETH_P_IPV6)
	}
	f := append(append([]byte{}, dst...), src...)
	return append(append(append(f, eth...), ip...), u...)
}

// wire listens to every frame that reaches the peer's end of the cable.
type wire struct {
	fd   int
	done chan struct{}
	wg   sync.WaitGroup
	mu   sync.Mutex
	seen []string // frames that may not leave an isolated PC
}

func (l *lab) tap(t *testing.T) *wire {
	t.Helper()
	w := &wire{done: make(chan struct{})}
	check(t, l.Peer.Do(func() (err error) {
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(binary.NativeEndian.Uint16(be16(unix.ETH_P_ALL))))
		if err != nil {
			return err
		}
		return unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000})
	}))
	w.wg.Go(func() {
		b := make([]byte, 70000)
		for {
			n, from, err := unix.Recvfrom(w.fd, b, 0)
			if ll, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && ll.Pkttype != unix.PACKET_OUTGOING {
				if why := l.forbidden(b[:n]); why != "" {
					w.mu.Lock()
					w.seen = append(w.seen, why)
					w.mu.Unlock()
				}
				continue
			}
			select {
			case <-w.done:
				return
			default:
			}
		}
	})
	return w
}

// close returns the frames that should not have left.
func (w *wire) close() []string {
	close(w.done)
	w.wg.Wait()
	unix.Close(w.fd)
	return w.seen
}

// forbidden says what is wrong with a frame that left an isolated PC, in words of its
// own: it shares nothing with the rules.
func (l *lab) forbidden(f []byte) string {
	if len(f) < 14 {
		return "short frame"
	}
	p := f[14:]
	switch binary.BigEndian.Uint16(f[12:]) {
	case unix.ETH_P_ARP:
		return ""
	case unix.ETH_P_IP:
		if len(p) < 24 {
			break
		}
		to := netip.AddrFrom4([4]byte(p[16:20]))
		ports := p[20:]
		if p[9] == unix.IPPROTO_UDP && to == broadcast4 && string(ports[:4]) == "\x00\x44\x00\x43" {
			return ""
		}
		if p[9] == unix.IPPROTO_TCP && to == l.collector.V4 && binary.BigEndian.Uint16(ports[2:]) == collectorPort {
			return ""
		}
		return fmt.Sprintf("IPv4 protocol %d to %s, %x", p[9], to, ports[:4])
	case unix.ETH_P_IPV6:
		if len(p) < 44 {
			break
		}
		to := netip.AddrFrom16([16]byte(p[24:40]))
		ports := p[40:]
		switch {
		case p[6] == unix.IPPROTO_ICMPV6 && p[7] == 255 && (ports[0] == 133 || ports[0] == 135 || ports[0] == 136):
			if to.IsLinkLocalMulticast() || to.IsLinkLocalUnicast() || to == l.collector.V6 {
				return ""
			}
		case p[6] == 0 && p[7] == 1 && len(ports) > 8 && ports[8] == 143: // multicast report
			return ""
		case p[6] == unix.IPPROTO_TCP && to == l.collector.V6 && binary.BigEndian.Uint16(ports[2:]) == collectorPort:
			return ""
		case p[6] == unix.IPPROTO_UDP && to == dhcpServers6 && string(ports[:4]) == "\x02\x22\x02\x23":
			return ""
		}
		return fmt.Sprintf("IPv6 protocol %d to %s, %x", p[6], to, ports[:4])
	}
	return fmt.Sprintf("frame of type %x", f[12:14])
}

// tcpFrom is tcp from a given local address.
func tcpFrom(from, to *netlab.Host, local netip.AddrPort, address string) error {
	return tcp(from, to, address, func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(local.Port()), Addr: addr4(local.Addr())}
			if local.Addr().Is6() {
				sa = &unix.SockaddrInet6{Port: int(local.Port()), Addr: local.Addr().As16()}
			}
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			err = unix.Bind(int(fd), sa)
		})
		return errors.Join(cerr, err)
	})
}

func addr4(a netip.Addr) [4]byte {
	if a.Is4() {
		return a.As4()
	}
	return [4]byte{}
}
