package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
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

// The kinds of packets that a flood is made of. What is of TCP goes to ports at which
// nobody listens, so that the first packet is all that it needs to be noticed.
const (
	udpOver4      = iota
	udpOver6      // datagrams
	frames        // written to the device (AF_PACKET)
	framesPast    // the same, past its queue (PACKET_QDISC_BYPASS)
	connectsOver4 // connections that are begun
	connectsOver6
	segmentsOver4 // data as of an established connection
	segmentsOver6
	echoesOver4 // echo requests
	echoesOver6
	allKinds
)

var floodKinds = [allKinds]string{"UDP/IPv4", "UDP/IPv6", "raw frames", "raw frames past the queue", "new TCP/IPv4", "new TCP/IPv6", "established TCP/IPv4", "established TCP/IPv6", "echo/IPv4", "echo/IPv6"}

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
	arrived [allKinds][]time.Time
	why     [allKinds]error // why the last one could not be sent
}

// startFlood floods until the test or, before that, halt ends it.
func startFlood(t *testing.T, w way) *flood {
	t.Helper()
	f, o := heardFlood(t, w)
	ready := make(chan error, 1)
	f.wg.Go(func() {
		if err := w.from.Do(func() error { return f.send(o, ready) }); err != nil {
			ready <- err
		}
	})
	must(t, <-ready)
	return f
}

// heardFlood is a flood that somebody else sends, and what whoever does must know.
func heardFlood(t *testing.T, w way) (*flood, floodOrder) {
	t.Helper()
	f := &flood{way: w, stop: make(chan struct{})}
	t.Cleanup(f.halt)
	o := floodOrder{Device: w.device, From: w.local, To: w.to, Ports: f.hear(t), Hop: w.hop, Beat: floodBeat}
	if o.Hop == nil {
		must(t, w.there(func() (err error) {
			o.Hop, err = hardwareOf(w.to.V4)
			return err
		}))
	}
	return f, o
}

// floodOrder says what to send where.
type floodOrder struct {
	Device   string
	From, To netlab.Addrs
	Ports    [allKinds]int
	Hop      net.HardwareAddr
	Beat     time.Duration
}

// floodVar holds the order for a copy of this program that floods from a guest.
const floodVar = "HOZEN_FLOOD"

// TestFloodFromAGuest floods until it is killed.
func TestFloodFromAGuest(t *testing.T) {
	order := os.Getenv(floodVar)
	if order == "" {
		t.Skip("is run inside of guests by other tests")
	}
	var o floodOrder
	decode(t, []byte(order), &o)
	must(t, (&flood{}).send(o, make(chan error, 1)))
}

// hear listens outside for every kind and returns their ports. Echo requests have a
// number that is as good as one.
func (f *flood) hear(t *testing.T) (at [allKinds]int) {
	t.Helper()
	listen := func(network, address string) (c net.PacketConn) {
		t.Helper()
		must(t, f.there(func() (err error) {
			c, err = net.ListenPacket(network, address)
			return err
		}))
		f.wg.Go(func() {
			<-f.stop
			c.Close()
		})
		return c
	}
	for kind := range at {
		family := 4
		switch kind {
		case udpOver6, connectsOver6, segmentsOver6, echoesOver6:
			family = 6
		}
		c := listen("udp", f.to.At(family, 0)) // holds the port, whatever arrives at it
		at[kind] = c.LocalAddr().(*net.UDPAddr).Port
		if kind <= framesPast {
			f.wg.Go(func() { f.receive(c, func([]byte) int { return kind }) })
		}
	}
	for _, x := range []struct {
		network string
		to      netip.Addr
		kindOf  func([]byte) int
	}{
		{"ip4:tcp", f.to.V4, func(b []byte) int { return tcpKind(b, at[connectsOver4], at[segmentsOver4], connectsOver4) }},
		{"ip6:tcp", f.to.V6, func(b []byte) int { return tcpKind(b, at[connectsOver6], at[segmentsOver6], connectsOver6) }},
		{"ip4:icmp", f.to.V4, func(b []byte) int { return echoKind(b, 8, at[echoesOver4], echoesOver4) }},
		{"ip6:ipv6-icmp", f.to.V6, func(b []byte) int { return echoKind(b, 128, at[echoesOver6], echoesOver6) }},
	} {
		c := listen(x.network, x.to.String())
		f.wg.Go(func() { f.receive(c, x.kindOf) })
	}
	return at
}

// tcpKind says of a TCP segment which kind it is: the first if it begins a connection to
// one port, the one two further on if it has data for the other, -1 if it is not ours.
func tcpKind(b []byte, begins, data, first int) int {
	if len(b) < 20 {
		return -1
	}
	switch to, flags := int(binary.BigEndian.Uint16(b[2:])), b[13]; {
	case to == begins && flags&synFlag != 0:
		return first
	case to == data && flags&pshFlag != 0:
		return first + segmentsOver4 - connectsOver4
	}
	return -1
}

// echoKind says of an ICMP message whether it is the echo request with a number.
func echoKind(b []byte, typ byte, number, kind int) int {
	if len(b) < 8 || b[0] != typ || int(binary.BigEndian.Uint16(b[4:])) != number {
		return -1
	}
	return kind
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

func (f *flood) receive(c net.PacketConn, kindOf func([]byte) int) {
	b := make([]byte, 64)
	for {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		kind := kindOf(b[:n])
		if kind < 0 {
			continue
		}
		f.mu.Lock()
		f.arrived[kind] = append(f.arrived[kind], time.Now())
		f.mu.Unlock()
	}
}

// send runs in the namespace that it floods from. But for the connections that are only
// begun its sockets have no peer, so nobody ends them.
func (f *flood) send(o floodOrder, ready chan<- error) error {
	at := o.Ports
	dev, err := net.InterfaceByName(o.Device)
	if err != nil {
		return err
	}
	four := func(port int) unix.Sockaddr { return &unix.SockaddrInet4{Port: port, Addr: o.To.V4.As4()} }
	six := func(port int) unix.Sockaddr { return &unix.SockaddrInet6{Port: port, Addr: o.To.V6.As16()} }
	device := &unix.SockaddrLinklayer{Ifindex: dev.Index}
	word := []byte("flood")
	frame := func(kind int) []byte {
		return ethernet(o.Hop, dev.HardwareAddr, unix.ETH_P_IP, udp4(netip.AddrPortFrom(o.From.V4, 40000), netip.AddrPortFrom(o.To.V4, uint16(at[kind])), word))
	}
	ways := [allKinds]struct {
		family, typ, protocol int
		to                    unix.Sockaddr
		what                  []byte // nil: begin a connection
	}{
		udpOver4:      {unix.AF_INET, unix.SOCK_DGRAM, 0, four(at[udpOver4]), word},
		udpOver6:      {unix.AF_INET6, unix.SOCK_DGRAM, 0, six(at[udpOver6]), word},
		frames:        {unix.AF_PACKET, unix.SOCK_RAW, 0, device, frame(frames)},
		framesPast:    {unix.AF_PACKET, unix.SOCK_RAW, 0, device, frame(framesPast)},
		connectsOver4: {unix.AF_INET, unix.SOCK_STREAM, 0, four(at[connectsOver4]), nil},
		connectsOver6: {unix.AF_INET6, unix.SOCK_STREAM, 0, six(at[connectsOver6]), nil},
		segmentsOver4: {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP, four(0), segment(o.From.V4, o.To.V4, at[segmentsOver4], word)},
		segmentsOver6: {unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_TCP, six(0), segment(o.From.V6, o.To.V6, at[segmentsOver6], word)},
		echoesOver4:   {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, four(0), echo(at[echoesOver4], word)},
		echoesOver6:   {unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, six(0), append([]byte{128, 0, 0, 0, byte(at[echoesOver6] >> 8), byte(at[echoesOver6]), 0, 1}, word...)}, // the kernel sums
	}
	var fds [allKinds]int
	open := func(kind int) (err error) {
		w := ways[kind]
		fds[kind], err = unix.Socket(w.family, w.typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, w.protocol)
		return err
	}
	for kind := range fds {
		if err := open(kind); err != nil {
			return err
		}
		defer func() { unix.Close(fds[kind]) }()
	}
	if err := unix.SetsockoptInt(fds[framesPast], unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return err
	}
	ready <- nil
	beat := time.NewTicker(o.Beat)
	defer beat.Stop()
	for {
		select {
		case <-f.stop:
			return nil
		case <-beat.C:
		}
		for kind, w := range ways {
			var err error
			if w.what != nil {
				err = unix.Sendto(fds[kind], w.what, 0, w.to)
			} else {
				unix.Close(fds[kind]) // the one before
				if err = open(kind); err == nil {
					err = unix.Connect(fds[kind], w.to)
				}
			}
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

// Flags of TCP (RFC 9293).
const (
	synFlag = 2
	pshFlag = 8
	ackFlag = 16
)

// segment is data in the middle of a TCP connection.
func segment(from, to netip.Addr, port int, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, 40000)
	b = binary.BigEndian.AppendUint16(b, uint16(port))
	b = append(b, 0, 0, 1, 0, 0, 0, 1, 0, 5<<4, pshFlag|ackFlag, 0xff, 0xff, 0, 0, 0, 0)
	b = append(b, data...)
	pseudo := append(from.AsSlice(), to.AsSlice()...)
	pseudo = append(pseudo, 0, unix.IPPROTO_TCP, 0, byte(len(b)))
	binary.BigEndian.PutUint16(b[16:], internetSum(append(pseudo, b...)))
	return b
}

// echo is an echo request of IPv4 (RFC 792).
func echo(number int, data []byte) []byte {
	b := append([]byte{8, 0, 0, 0, byte(number >> 8), byte(number), 0, 1}, data...)
	binary.BigEndian.PutUint16(b[2:], internetSum(b))
	return b
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
func (f *flood) since(mark time.Time) (n [allKinds]int, first, last time.Time) {
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
		if n, _, _ := f.since(mark); n != [allKinds]int{} {
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
func said(n [allKinds]int) string {
	if slices.Min(n[:]) > 0 {
		sum := 0
		for _, n := range n {
			sum += n
		}
		return fmt.Sprintf("%d of all kinds", sum)
	}
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
