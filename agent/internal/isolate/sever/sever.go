// Package sever ends the connections of an isolated endpoint that its rules do not
// allow, so that none of them goes on after release. It knows nothing of rules, orders
// or files.
package sever

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"hozen/agent/internal/isolate"
)

// errReply means that the kernel's answer does not have the form that we know.
var errReply = errors.New("kernel's answer is not understood")

// What is used of linux/inet_diag.h.
const (
	messageSize = 72 // struct inet_diag_msg
	idOffset    = 4  // of struct inet_diag_sockid in it
	idSize      = 48

	attrInfo = 2  // struct tcp_info
	attrMark = 15 // SO_MARK, told to those who may set it

	infoAcked    = 120 // tcpi_bytes_acked, Linux 4.1
	infoReceived = 128
)

// stateNames are the TCP states of the kernel (net/tcp_states.h), as netstat(8) names
// them.
var stateNames = [...]string{1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2",
	6: "TIME_WAIT", 7: "CLOSE", 8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RECV"}

func stateName(n byte) string {
	if int(n) < len(stateNames) {
		return stateNames[n]
	}
	return fmt.Sprint(n)
}

// socket is one answer of the kernel.
type socket struct {
	isolate.Connection
	family byte
	id     [idSize]byte // struct inet_diag_sockid, by which it is destroyed
	mark   uint32
	// foreign: of another process than the agent's, where that can be told.
	foreign bool
}

// parse reads struct inet_diag_msg and its attributes.
func parse(protocol string, b []byte) (socket, error) {
	if len(b) < messageSize {
		return socket{}, fmt.Errorf("socket of %d bytes: %w", len(b), errReply)
	}
	ne, be := binary.NativeEndian, binary.BigEndian
	s := socket{family: b[0], id: [idSize]byte(b[idOffset:])}
	var local, remote netip.Addr
	switch s.family {
	case familyInet:
		local, remote = netip.AddrFrom4([4]byte(b[8:])), netip.AddrFrom4([4]byte(b[24:]))
	case familyInet6:
		local, remote = netip.AddrFrom16([16]byte(b[8:])).Unmap(), netip.AddrFrom16([16]byte(b[24:])).Unmap()
	default:
		return socket{}, fmt.Errorf("socket of family %d: %w", s.family, errReply)
	}
	s.Connection = isolate.Connection{
		Protocol: protocol, State: stateName(b[1]),
		Local:  netip.AddrPortFrom(local, be.Uint16(b[4:])),
		Remote: netip.AddrPortFrom(remote, be.Uint16(b[6:])),
		UID:    ne.Uint32(b[64:]), Inode: ne.Uint32(b[68:]),
		Cookie: uint64(ne.Uint32(b[48:]))<<32 | uint64(ne.Uint32(b[44:])),
	}
	return s, attrs(b[messageSize:], func(typ uint16, v []byte) {
		switch {
		case typ == attrMark && len(v) == 4:
			s.mark = ne.Uint32(v)
		case typ == attrInfo && len(v) >= infoReceived+8:
			s.Sent, s.Received = ne.Uint64(v[infoAcked:]), ne.Uint64(v[infoReceived:])
		}
	})
}

const (
	familyInet  = 2
	familyInet6 = 10
)

// attrs calls fn with each netlink attribute of b (netlink(7)).
func attrs(b []byte, fn func(typ uint16, v []byte)) error {
	for len(b) > 0 {
		if len(b) < 4 {
			return fmt.Errorf("%d bytes after the last attribute: %w", len(b), errReply)
		}
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return fmt.Errorf("attribute of %d bytes in %d: %w", n, len(b), errReply)
		}
		fn(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[4:n])
		b = b[min(len(b), (n+3)&^3):]
	}
	return nil
}

// parseLink reads what a descriptor of a socket is a link to, "socket:[4711]"
// (proc_pid_fd(5)).
func parseLink(to []byte) (inode uint32, ok bool) {
	number, ok := bytes.CutPrefix(to, []byte("socket:["))
	number, end := bytes.CutSuffix(number, []byte("]"))
	n, err := strconv.ParseUint(string(number), 10, 32)
	return uint32(n), ok && end && err == nil
}

// allowed reports whether a connection is one of those that rules for p let through,
// or never meets them. own are the addresses of this endpoint: what is sent to them
// stays on it.
func (s socket) allowed(p isolate.Policy, own map[netip.Addr]bool) bool {
	remote := s.Remote.Addr().WithZone("")
	switch {
	case remote.IsLoopback(), s.Local.Addr().IsLoopback(), own[remote]:
		return true
	case s.Remote.Port() == 0 || remote.IsUnspecified():
		return true // not a connection with anybody
	case s.Protocol == udp && s.keepsAddress():
		return true
	}
	to := netip.AddrPortFrom(remote, s.Remote.Port())
	for _, m := range p.Permits {
		// Rules keep no state: a connection that the other end opened goes on too.
		if m.Covers(isolate.Protocol(s.Protocol), to) {
			return true
		}
	}
	for _, t := range p.Tunnels {
		if t.Carries(isolate.Protocol(s.Protocol), to) {
			return true // with it the way home would go
		}
	}
	if s.Protocol != tcp {
		return false
	}
	for _, c := range p.Collectors {
		if c == to {
			return (p.Mark == 0 || s.mark == p.Mark) && !s.foreign
		}
	}
	return false
}

// keepsAddress reports whether it is DHCP; the rules bound where that may go (RFC 2131,
// RFC 8415).
func (s socket) keepsAddress() bool {
	l, r := s.Local.Port(), s.Remote.Port()
	return l == 68 && r == 67 || l == 546 && r == 547
}

// ownAddress reads the attributes of one address of this endpoint (rtnetlink(7)). On a
// point-to-point link IFA_ADDRESS is the other end's, and IFA_LOCAL ours; IPv6 has no
// IFA_LOCAL elsewhere.
func ownAddress(b []byte) (netip.Addr, error) {
	const ifaAddress, ifaLocal = 1, 2
	var address, local netip.Addr
	err := attrs(b, func(typ uint16, v []byte) {
		a, _ := netip.AddrFromSlice(v)
		switch typ {
		case ifaAddress:
			address = a
		case ifaLocal:
			local = a
		}
	})
	if local.IsValid() {
		return local, err
	}
	return address, err
}

const (
	tcp = "tcp"
	udp = "udp"
)
