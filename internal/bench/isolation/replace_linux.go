package isolation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/bench"
	"hozen/internal/netlab"
)

// floodPace is the time between two bursts of a flood, floodBurst how many packets each
// has: five floods send more than [rateBar] together, also where the machine is slow.
const (
	floodPace  = time.Millisecond
	floodBurst = 4
)

// patience is how long a flood that nothing stops may take to arrive.
const patience = 10 * time.Second

// Replace puts other rules in force again and again while ten thousand packets a second
// try to pass, datagrams over IPv4 and IPv6 out of the PC and into it, and frames written
// straight to the device, with and without its queue. Each flood must arrive when nothing
// is isolated, before and afterwards. It needs root, Go, and to be called inside the module.
func Replace(ctx context.Context, c Config) (err error) {
	replacements := 200
	if c.Quick {
		replacements = 20
	}
	l, err := newLab(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	fs, err := l.floods(ctx)
	if err != nil {
		return err
	}
	defer fs.close()
	if err := fs.arrive(ctx); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	if _, err := l.order("apply"); err != nil {
		return err
	}
	if err := wait(ctx, quiet); err != nil { // what had passed already is read
		return err
	}
	sentBefore, gotBefore := fs.counts()
	begun := time.Now()
	d, err := l.order(fmt.Sprintf("replace %d", replacements))
	if err != nil {
		return err
	}
	took := time.Since(begun)
	sent, _ := fs.counts()
	if err := wait(ctx, quiet); err != nil {
		return err
	}
	_, got := fs.counts()
	if _, err := l.order("restore"); err != nil {
		return err
	}
	if err := fs.arrive(ctx); err != nil {
		return fmt.Errorf("afterwards: %w", err)
	}
	c.Print(bench.Figure{Name: "isolation.replace.leaked", Value: float64(got - gotBefore), Unit: fmt.Sprintf("packets in %d replacements", replacements), Bar: bench.Exactly(0)})
	c.Print(bench.Figure{Name: "isolation.replace.control", Value: float64(len(fs)), Unit: "floods that arrive without", Bar: bench.Exactly(floods)})
	c.Print(bench.Figure{Name: "isolation.replace.sent", Value: float64(sent - sentBefore), Unit: "packets"})
	c.Print(bench.Figure{Name: "isolation.replace.rate", Value: float64(sent-sentBefore) / took.Seconds(), Unit: "packets/s", Bar: bench.AtLeast(rateBar)})
	c.Print(bench.Figure{Name: "isolation.replace.each.ms", Value: bench.Milliseconds(time.Duration(d.Returned-d.Called)) / float64(replacements), Unit: "ms"})
	return nil
}

// floods is how many there are.
const floods = 5

// flood sends packets and counts those that arrive.
type flood struct {
	name      string
	sent, got atomic.Int64
	in        net.PacketConn
	send      func() error
	end       func() error
}

type floodSet []*flood

func (l *lab) floods(ctx context.Context) (fs floodSet, err error) {
	defer func() {
		if err != nil {
			fs.close()
		}
	}()
	add := func(name string, to *netlab.Host, address string, sender func() (send, end func() error, err error)) {
		if err != nil {
			return
		}
		f := &flood{name: name}
		if f.in, err = to.ListenPacket(ctx, "udp", address); err != nil {
			return
		}
		fs = append(fs, f)
		f.send, f.end, err = sender()
	}
	datagrams := func(from *netlab.Host, local, address string) func() (func() error, func() error, error) {
		return func() (func() error, func() error, error) {
			out, err := from.ListenPacket(ctx, "udp", local)
			if err != nil {
				return nil, nil, err
			}
			to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address))
			return func() error { _, err := out.WriteTo([]byte("flood"), to); return err }, out.Close, nil
		}
	}
	add("IPv4 out", l.Peer, l.B.At(4, 6000), datagrams(l.PC, l.A.At(4, 0), l.B.At(4, 6000)))
	add("IPv6 out", l.Peer, l.B.At(6, 6000), datagrams(l.PC, l.A.At(6, 0), l.B.At(6, 6000)))
	add("IPv4 in", l.PC, l.A.At(4, 6001), datagrams(l.Peer, l.B.At(4, 0), l.A.At(4, 6001)))
	add("frames", l.Peer, l.B.At(4, 6002), func() (func() error, func() error, error) { return l.frames(6002, false) })
	add("frames past the queue", l.Peer, l.B.At(4, 6003), func() (func() error, func() error, error) { return l.frames(6003, true) })
	for _, f := range fs {
		if err == nil {
			go f.count()
			go f.run()
		}
	}
	return fs, err
}

// frames sends a datagram as an Ethernet frame straight to the PC's device (packet(7)).
func (l *lab) frames(port uint16, bypass bool) (send, end func() error, err error) {
	mac := func(h *netlab.Host, device string) (i *net.Interface, err error) {
		err = h.Do(func() error { i, err = net.InterfaceByName(device); return err })
		return i, err
	}
	from, err := mac(l.PC, l.NameA)
	if err != nil {
		return nil, nil, fmt.Errorf("find device: %w", err)
	}
	to, err := mac(l.Peer, l.NameB)
	if err != nil {
		return nil, nil, fmt.Errorf("find device: %w", err)
	}
	fd := -1
	err = l.PC.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err == nil && bypass {
			err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
		}
		return err
	})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open packet socket: %w", err), unix.Close(fd))
	}
	frame := append(append(append([]byte{}, to.HardwareAddr...), from.HardwareAddr...), 0x08, 0x00)
	frame = append(frame, datagram(l.A.V4, l.B.V4, port, "flood")...)
	at := &unix.SockaddrLinklayer{Ifindex: from.Index, Halen: 6}
	copy(at.Addr[:], to.HardwareAddr)
	return func() error { return unix.Sendto(fd, frame, 0, at) }, func() error { return unix.Close(fd) }, nil
}

// datagram is an IPv4 packet (RFC 791) with a UDP datagram (RFC 768) without checksum.
func datagram(from, to netip.Addr, port uint16, words string) []byte {
	b := []byte{0x45, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(28+len(words)))
	b = append(b, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0)
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	b = binary.BigEndian.AppendUint16(b, 6999)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(words)))
	return append(append(b, 0, 0), words...)
}

// count counts until the socket closes.
func (f *flood) count() {
	b := make([]byte, 64)
	for {
		if _, _, err := f.in.ReadFrom(b); err != nil {
			return
		}
		f.got.Add(1)
	}
}

// run sends until the flood is closed. What a rule refuses to send was sent for all that
// is measured.
func (f *flood) run() {
	tick := time.NewTicker(floodPace)
	defer tick.Stop()
	for range tick.C {
		for range floodBurst {
			if err := f.send(); errors.Is(err, net.ErrClosed) || errors.Is(err, unix.EBADF) {
				return
			}
			f.sent.Add(1)
		}
	}
}

// arrive waits until some of every flood arrive.
func (fs floodSet) arrive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for _, f := range fs {
		for from := f.got.Load(); f.got.Load() == from; {
			select {
			case <-look.C:
			case <-ctx.Done():
				return fmt.Errorf("%s does not arrive although nothing is isolated", f.name)
			}
		}
	}
	return nil
}

func (fs floodSet) counts() (sent, got int64) {
	for _, f := range fs {
		sent, got = sent+f.sent.Load(), got+f.got.Load()
	}
	return sent, got
}

func (fs floodSet) close() {
	for _, f := range fs {
		_ = f.in.Close() // nothing is kept
		if f.end != nil {
			_ = f.end() // likewise
		}
	}
}
