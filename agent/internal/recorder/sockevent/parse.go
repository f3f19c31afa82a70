package sockevent

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"hozen/agent/internal/probe/sockdiag"
)

// What is used of linux/netlink.h, linux/inet_diag.h, linux/tcp.h and
// include/net/tcp_states.h.
const (
	headerLen    = 16
	typeDiag     = 20 // SOCK_DIAG_BY_FAMILY
	msgLen       = 72 // struct inet_diag_msg
	attrInfo     = 2  // INET_DIAG_INFO
	attrProtocol = 10 // INET_DIAG_PROTOCOL
	ackedAt      = 120
	receivedAt   = 128
	familyInet   = 2
	familyInet6  = 10
	protoTCP     = 6
	protoUDP     = 17

	stateEstablished = 1
	stateSynSent     = 2
	stateTimeWait    = 6
	stateClose       = 7
	stateListen      = 10
	stateNewSynRecv  = 12
)

var errWire = errors.New("read socket event: not its format")

// socket is one socket as the kernel shows it.
type socket struct {
	cookie        uint64
	inode         uint32
	uid           uint32
	ifindex       uint32
	pid           int32 // who holds it; 0 when not known
	proto, state  uint8
	asked         uint8 // how often it was asked who holds it
	pass          uint32
	local, remote netip.AddrPort
}

// worth reports whether s is on record: not the remains of a connection, and not a
// socket that is nobody's yet.
func (s *socket) worth() bool {
	if s.cookie == 0 || s.local.Port() == 0 {
		return false
	}
	return s.proto == protoUDP || s.state != stateTimeWait && s.state != stateNewSynRecv && s.state != stateClose
}

// parse reads struct inet_diag_msg.
func parse(b []byte, proto uint8) (s socket, err error) {
	if len(b) < msgLen {
		return s, errWire
	}
	ne, be := binary.NativeEndian, binary.BigEndian
	var local, remote netip.Addr
	switch b[0] {
	case familyInet:
		local, remote = netip.AddrFrom4([4]byte(b[8:12])), netip.AddrFrom4([4]byte(b[24:28]))
	case familyInet6:
		local, remote = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	default:
		return s, errWire
	}
	s = socket{
		proto: proto, state: b[1],
		local: netip.AddrPortFrom(local, be.Uint16(b[4:])), ifindex: ne.Uint32(b[40:]),
		cookie: uint64(ne.Uint32(b[44:])) | uint64(ne.Uint32(b[48:]))<<32,
		uid:    ne.Uint32(b[64:]), inode: ne.Uint32(b[68:]),
	}
	if port := be.Uint16(b[6:]); port != 0 || !remote.IsUnspecified() {
		s.remote = netip.AddrPortFrom(remote, port)
	}
	return s, nil
}

// ended is a socket's end.
type ended struct {
	socket
	hasBytes       bool
	sent, received uint64
}

// ends calls f with each end that a datagram of the destroy groups tells.
func ends(b []byte, f func(e *ended)) error {
	ne := binary.NativeEndian
	for len(b) > 0 {
		if len(b) < headerLen {
			return errWire
		}
		n := int64(ne.Uint32(b))
		if n < headerLen || n > int64(len(b)) {
			return errWire
		}
		typ, body := ne.Uint16(b[4:]), b[headerLen:n]
		b = b[min(int64(len(b)), (n+3)&^3):]
		if typ != typeDiag {
			continue
		}
		s, err := parse(body, 0)
		if err != nil {
			return err
		}
		e := ended{socket: s}
		err = sockdiag.Attrs(body[msgLen:], func(typ uint16, v []byte) {
			switch {
			case typ == attrProtocol && len(v) >= 1:
				e.proto = v[0]
			case typ == attrInfo && len(v) >= receivedAt+8:
				e.hasBytes, e.sent, e.received = true, ne.Uint64(v[ackedAt:]), ne.Uint64(v[receivedAt:])
			}
		})
		if err != nil {
			return errors.Join(errWire, err)
		}
		f(&e)
	}
	return nil
}

// inUse reads the counters of sockets in use from /proc/net/sockstat or sockstat6 into
// a number that moves when one of them does.
func inUse(b []byte) (sum uint64) {
	for i := 0; i < len(b); {
		end := i
		for end < len(b) && b[end] != '\n' {
			end++
		}
		line := b[i:end]
		i = end + 1
		if len(line) < 4 || string(line[:3]) != "TCP" && string(line[:3]) != "UDP" {
			continue
		}
		const name = "inuse "
		for j := 0; j+len(name) < len(line); j++ {
			if string(line[j:j+len(name)]) != name {
				continue
			}
			var v uint64
			for _, c := range line[j+len(name):] {
				if c < '0' || c > '9' {
					break
				}
				v = v*10 + uint64(c-'0')
			}
			sum = sum<<20 ^ sum>>44 ^ v
			break
		}
	}
	return sum
}
