package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
)

// floodBeat is the time between two packets of each kind, and so how exactly a gap is
// measured.
const floodBeat = 5 * time.Millisecond

// floodKinds are what a flood is made of.
var floodKinds = [...]string{"UDP/IPv4", "UDP/IPv6", "raw frames", "raw frames past the queue"}

// way is from where to where a flood goes.
type way struct {
	from    *netlab.Host
	device  string // that raw frames are written to
	local   netlab.Addrs
	outside *netlab.Host // nil: this process's namespace
	to      netlab.Addrs
	hop     net.HardwareAddr // that raw frames are for; nil: the device that has to
}

// flood sends as long as it is not stopped and notes when what it sent arrives outside.
type flood struct {
	way
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	arrived [len(floodKinds)][]time.Time
	why     [len(floodKinds)]error // why the last one could not be sent
}

// startFlood floods until the test or, before that, halt ends it.
func startFlood(t *testing.T, w way) *flood {
	t.Helper()
	f := &flood{way: w, stop: make(chan struct{})}
	var at [len(floodKinds)]int // ports outside
	for kind := range floodKinds {
		family := 4
		if kind == 1 {
			family = 6
		}
		var c net.PacketConn
		err := w.there(func() (err error) {
			c, err = net.ListenPacket("udp", w.to.At(family, 0))
			return err
		})
		must(t, err)
		at[kind] = c.LocalAddr().(*net.UDPAddr).Port
		f.wg.Go(func() { f.receive(c, kind) })
		f.wg.Go(func() {
			<-f.stop
			c.Close()
		})
	}
	peer := w.hop
	if peer == nil {
		must(t, w.there(func() (err error) {
			peer, err = hardwareOf(w.to.V4)
			return err
		}))
	}
	ready := make(chan error, 1)
	f.wg.Go(func() {
		if err := w.from.Do(func() error { return f.send(at, peer, ready) }); err != nil {
			ready <- err
		}
	})
	must(t, <-ready)
	t.Cleanup(f.halt)
	return f
}

func (w way) there(fn func() error) error {
	if w.outside == nil {
		return fn()
	}
	return w.outside.Do(fn)
}

// hardwareOf returns the link-layer address of the device of this namespace that has an
// address.
func hardwareOf(a netip.Addr) (net.HardwareAddr, error) {
	d, err := interfaceOf(a)
	return d.HardwareAddr, err
}

// deviceOf returns its index.
func deviceOf(a netip.Addr) (int, error) {
	d, err := interfaceOf(a)
	return d.Index, err
}

func interfaceOf(a netip.Addr) (net.Interface, error) {
	devices, err := net.Interfaces()
	if err != nil {
		return net.Interface{}, err
	}
	for _, d := range devices {
		list, err := d.Addrs()
		if err != nil {
			return d, err
		}
		for _, got := range list {
			if strings.HasPrefix(got.String(), a.String()+"/") {
				return d, nil
			}
		}
	}
	return net.Interface{}, fmt.Errorf("no device has the address %s", a)
}

func (f *flood) receive(c net.PacketConn, kind int) {
	b := make([]byte, 64)
	for {
		if _, _, err := c.ReadFrom(b); err != nil {
			return
		}
		f.mu.Lock()
		f.arrived[kind] = append(f.arrived[kind], time.Now())
		f.mu.Unlock()
	}
}

// send runs in the namespace that it floods from. Sockets without a peer are no
// connections, so nobody ends them.
func (f *flood) send(at [len(floodKinds)]int, peer net.HardwareAddr, ready chan<- error) error {
	dev, err := net.InterfaceByName(f.device)
	if err != nil {
		return err
	}
	var fds [len(floodKinds)]int
	for kind := range fds {
		family, typ := unix.AF_PACKET, unix.SOCK_RAW
		switch kind {
		case 0:
			family, typ = unix.AF_INET, unix.SOCK_DGRAM
		case 1:
			family, typ = unix.AF_INET6, unix.SOCK_DGRAM
		}
		fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		fds[kind] = fd
	}
	if err := unix.SetsockoptInt(fds[3], unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return err
	}
	to := [len(floodKinds)]unix.Sockaddr{
		&unix.SockaddrInet4{Port: at[0], Addr: f.to.V4.As4()}, &unix.SockaddrInet6{Port: at[1], Addr: f.to.V6.As16()},
		&unix.SockaddrLinklayer{Ifindex: dev.Index}, &unix.SockaddrLinklayer{Ifindex: dev.Index},
	}
	word := []byte("flood")
	what := [len(floodKinds)][]byte{word, word}
	for kind := 2; kind < len(what); kind++ {
		what[kind] = ethernet(peer, dev.HardwareAddr, unix.ETH_P_IP, udp4(netip.AddrPortFrom(f.local.V4, 40000), netip.AddrPortFrom(f.to.V4, uint16(at[kind])), word))
	}
	ready <- nil
	beat := time.NewTicker(floodBeat)
	defer beat.Stop()
	for {
		select {
		case <-f.stop:
			return nil
		case <-beat.C:
		}
		for kind, fd := range fds {
			err := unix.Sendto(fd, what[kind], 0, to[kind])
			f.mu.Lock()
			f.why[kind] = err
			f.mu.Unlock()
		}
	}
}

// ethernet is a frame.
func ethernet(to, from net.HardwareAddr, typ uint16, payload []byte) []byte {
	b := append(append([]byte{}, to...), from...)
	return append(binary.BigEndian.AppendUint16(b, typ), payload...)
}

// udp4 is a datagram with its IPv4 header (RFC 768, RFC 791).
func udp4(from, to netip.AddrPort, data []byte) []byte {
	b := []byte{0x45, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(28+len(data)))
	b = append(b, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0)
	b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(b[10:], internetSum(b))
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(data)))
	return append(append(b, 0, 0), data...) // no checksum
}

// udp6 is a datagram for IPv6, whose checksum nobody on the way looks at.
func udp6(from, to uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(data)))
	return append(append(b, 0, 0), data...)
}

// ip6 puts an IPv6 header before a payload (RFC 8200).
func ip6(from, to netip.Addr, hops, next byte, payload []byte) []byte {
	b := []byte{0x60, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	b = append(b, next, hops)
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	return append(b, payload...)
}

// internetSum is the checksum of RFC 1071.
func internetSum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i]) << 8
		if i+1 < len(b) {
			s += uint32(b[i+1])
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// since returns what arrived after a moment: how many of each kind, and the moments of
// the first and the last.
func (f *flood) since(mark time.Time) (n [len(floodKinds)]int, first, last time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for kind, list := range f.arrived {
		for _, at := range list {
			if at.Before(mark) {
				continue
			}
			n[kind]++
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
		}
	}
	return n, first, last
}

// flows waits until every kind arrives: what is said to be cut later was open.
func (f *flood) flows(t *testing.T, ctx context.Context) {
	t.Helper()
	mark := time.Now()
	err := rig.Until(ctx, "the flood", func() (bool, error) {
		n, _, _ := f.since(mark)
		for _, n := range n {
			if n == 0 {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		n, _, _ := f.since(mark)
		t.Fatalf("%v; arrived %v, could not be sent because of %v", err, n, f.why)
	}
}

// dry waits for a time in which dozens of each kind are due and fails the test when one
// arrives.
func dry(t *testing.T, when string, floods ...*flood) {
	t.Helper()
	mark := time.Now()
	<-time.After(30 * floodBeat)
	for _, f := range floods {
		if n, _, _ := f.since(mark); n != [len(floodKinds)]int{} {
			t.Errorf("%s: passed from %s: %s", when, f.device, said(n))
		}
	}
}

func (f *flood) halt() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	f.wg.Wait()
}

// said spells how many of each kind arrived.
func said(n [len(floodKinds)]int) string {
	var parts []string
	for kind, n := range n {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, floodKinds[kind]))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
