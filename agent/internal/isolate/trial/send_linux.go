package trial

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// attempt is one way that is being tried.
type attempt struct {
	way
	result
	fds     []int // the last one is the one that sends
	flows   []flow
	began   time.Time
	over    time.Time
	dropped uint64
}

// close lets go of the sockets. A connection is reset, so that nothing of it is left at
// either end.
func (a *attempt) close() {
	for _, fd := range a.fds {
		_ = unix.Close(fd)
	}
	a.fds = nil
}

// done reports whether nothing more can come back.
func (a *attempt) done() bool { return a.back || a.reason != "" }

// send sends what there is to send.
func (r *round) send(a *attempt) {
	devices := r.scene.devices // tell the index of a link-local address's device
	if a.began.IsZero() {
		a.began = time.Now()
	}
	a.sent, a.refused, a.counted, a.reason = 0, false, false, ""
	var n nonce
	_, _ = rand.Read(n[:]) // never fails (crypto/rand)
	var opened bool
	var err error
	switch a.kind {
	case kindTCP:
		opened, err = a.connect(n, address(a.to, devices))
	case kindUDP, kindDNS:
		opened, err = a.datagram(n, address(a.to, devices))
	case kindICMP:
		opened, err = a.ping(n, address(a.to, devices))
	case kindRaw, kindBypass:
		opened, err = r.frame(a, n, address(a.to, devices))
	case kindLoopback, kindOwn:
		opened, err = a.local()
	}
	switch {
	case err == nil:
	case opened && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOBUFS)):
		// What a rule drops on the way out is refused to the sender (NF_DROP), at the device
		// as if its queue were full.
		a.sent, a.refused = 1, a.raw() == errors.Is(err, unix.ENOBUFS)
	default:
		a.reason = reasonOf(err, opened)
	}
	if a.reason != "" {
		a.over = time.Now()
	}
}

func reasonOf(err error, opened bool) string {
	for _, e := range []error{unix.EAFNOSUPPORT, unix.EADDRNOTAVAIL, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.ENODEV, unix.ENXIO} {
		if errors.Is(err, e) {
			return NoAddress
		}
	}
	if !opened && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)) {
		return NoRights
	}
	return Failed
}

func address(to netip.AddrPort, devices []device) unix.Sockaddr {
	a := to.Addr()
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: a.As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(to.Port()), Addr: a.As16()}
	if i := slices.IndexFunc(devices, func(d device) bool { return d.name == a.Zone() }); i >= 0 {
		sa.ZoneId = uint32(devices[i].index)
	}
	return sa
}

func (a *attempt) open(family, typ, proto int) (int, error) {
	fd, err := unix.Socket(family, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err == nil {
		a.fds = append(a.fds, fd)
	}
	return fd, err
}

func (a *attempt) family() int {
	if a.six() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// own is the local end of a connected socket.
func own(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), err
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), err
	}
	return netip.AddrPort{}, err
}

// note remembers by what the packets of the last socket are known.
func (a *attempt) note(fd int, proto byte, n nonce) error {
	me, err := own(fd)
	a.flows = append(a.flows, flow{proto: proto, remote: a.to.Addr().WithZone(""), remotePort: a.to.Port(), local: me.Port(), nonce: n})
	return err
}

func (a *attempt) connect(n nonce, to unix.Sockaddr) (bool, error) {
	fd, err := a.open(a.family(), unix.SOCK_STREAM, unix.IPPROTO_TCP)
	if err != nil {
		return false, err
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return true, err
	}
	err = unix.Connect(fd, to)
	switch {
	case err == nil, errors.Is(err, unix.EINPROGRESS):
	case errors.Is(err, unix.ECONNREFUSED):
		a.back = true
	default:
		return true, err
	}
	a.sent = 1
	return true, a.note(fd, protoTCP, n)
}

func (a *attempt) datagram(n nonce, to unix.Sockaddr) (bool, error) {
	fd, err := a.open(a.family(), unix.SOCK_DGRAM, unix.IPPROTO_UDP)
	if err != nil {
		return false, err
	}
	if err := unix.Connect(fd, to); err != nil { // sends nothing
		return true, err
	}
	if err := a.note(fd, protoUDP, n); err != nil {
		return true, err
	}
	return true, a.write(fd, n.query(a.to.Port()))
}

func (a *attempt) write(fd int, b []byte) error {
	_, err := unix.Write(fd, b)
	if err == nil {
		a.sent = 1
	}
	return err
}

func (a *attempt) icmp() byte {
	if a.six() {
		return protoICMP6
	}
	return protoICMP
}

// ping needs CAP_NET_RAW, or a group that may have unprivileged sockets for this
// (net.ipv4.ping_group_range, icmp(7)).
func (a *attempt) ping(n nonce, to unix.Sockaddr) (bool, error) {
	fd, err := a.open(a.family(), unix.SOCK_RAW, int(a.icmp()))
	if err != nil {
		if fd, err = a.open(a.family(), unix.SOCK_DGRAM, int(a.icmp())); err != nil {
			return false, err
		}
		// Here the kernel sets the identifier, to the local port.
		id := netip.AddrPortFrom(netip.IPv4Unspecified(), binary.BigEndian.Uint16(n[:]))
		if a.six() {
			id = netip.AddrPortFrom(netip.IPv6Unspecified(), id.Port())
		}
		_ = unix.Bind(fd, address(id, nil)) // else an error that quotes it is not recognised
	}
	if sa, ok := to.(*unix.SockaddrInet6); ok {
		sa.Port = 0
	}
	if err := unix.Connect(fd, to); err != nil {
		return true, err
	}
	if err := a.note(fd, a.icmp(), n); err != nil {
		return true, err
	}
	return true, a.write(fd, n.echo(a.six()))
}

// frame writes an Ethernet frame. Its answer reaches the tap before any rule sees it.
func (r *round) frame(a *attempt, n nonce, to unix.Sockaddr) (bool, error) {
	if a.via.mac == nil || a.via.dev.mac == nil {
		return true, unix.EHOSTUNREACH // the other end's address at the link is not known
	}
	src, err := a.source(to)
	if err != nil {
		return true, err
	}
	if r.raw < 0 {
		// One for all: the kernel takes some 15 ms to close such a socket.
		if r.raw, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			return false, err
		}
	}
	bypass := 0
	if a.kind == kindBypass {
		bypass = 1
	}
	if err := unix.SetsockoptInt(r.raw, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, bypass); err != nil {
		return true, err
	}
	a.flows = append(a.flows, flow{proto: a.icmp(), remote: a.to.Addr().WithZone(""), nonce: n})
	err = unix.Sendto(r.raw, n.frame(a.way, src), 0, &unix.SockaddrLinklayer{Ifindex: a.via.dev.index})
	if err == nil {
		a.sent = 1
	}
	return true, err
}

// source asks the kernel from which address it would send, by connecting a UDP socket,
// which sends nothing.
func (a *attempt) source(to unix.Sockaddr) (netip.Addr, error) {
	switch sa := to.(type) {
	case *unix.SockaddrInet4:
		sa.Port = portClosed
	case *unix.SockaddrInet6:
		sa.Port = portClosed
	}
	fd, err := unix.Socket(a.family(), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return netip.Addr{}, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, to); err != nil {
		return netip.Addr{}, err
	}
	me, err := own(fd)
	return me.Addr(), err
}

// local connects to this endpoint itself, at a port of its own.
func (a *attempt) local() (bool, error) {
	l, err := a.open(a.family(), unix.SOCK_STREAM, unix.IPPROTO_TCP)
	if err != nil {
		return false, err
	}
	if err := unix.Bind(l, address(a.to, nil)); err != nil {
		return true, err
	}
	if err := unix.Listen(l, 1); err != nil {
		return true, err
	}
	at, err := own(l)
	if err != nil {
		return true, err
	}
	fd, err := a.open(a.family(), unix.SOCK_STREAM, unix.IPPROTO_TCP)
	if err != nil {
		return false, err
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return true, err
	}
	err = unix.Connect(fd, address(at, nil))
	if err == nil || errors.Is(err, unix.EINPROGRESS) {
		a.sent, err = 1, nil
	}
	return true, err
}

// hear takes what came back on the last socket.
func (a *attempt) hear() {
	fd := a.fds[len(a.fds)-1]
	switch a.kind {
	case kindTCP, kindLoopback, kindOwn:
		n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
		case n == 0:
			if _, err := unix.Getpeername(fd); err == nil {
				a.back = true
			}
		case unix.Errno(n) == unix.ECONNREFUSED && a.kind == kindTCP:
			a.back = true
		default:
			a.reason = reasonOf(unix.Errno(n), true)
		}
	case kindUDP, kindDNS, kindICMP:
		a.receive(fd)
	}
	if a.done() {
		a.over = time.Now()
	}
}

func (a *attempt) receive(fd int) {
	b := make([]byte, 256) // the rest is cut off
	for range 64 {
		n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.ECONNREFUSED):
			a.back = true // "port unreachable" came back
			return
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil:
			continue // an error that waited; the next call says more
		case a.kind != kindICMP:
			a.back = true
			return
		}
		body := b[:n]
		if !a.six() && n >= 20 && body[0]>>4 == 4 { // a raw socket brings the IP header
			body = body[min(n, int(body[0]&0xf)*4):]
		}
		p := packet{src: a.to.Addr().WithZone(""), proto: a.icmp(), body: body}
		if n > 0 && len(body) > 0 && a.flows[len(a.flows)-1].answers(p) {
			a.back = true
			return
		}
	}
}
