package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

var errShort = errors.New("read netlink answer: cut short")

// Reply is what one datagram of an answer said besides its rows.
type Reply struct {
	Done        bool // the last of this answer
	Interrupted bool // something changed under the dump; ask again
}

// Messages calls row with the body of each row of a datagram and reports how it ended.
// Rows of another answer (another seq) are left out. An error number of the kernel is
// returned as a [syscall.Errno] in the chain.
func Messages(b []byte, seq uint32, row func(typ uint16, body []byte) error) (Reply, error) {
	var r Reply
	ne := binary.NativeEndian
	for len(b) > 0 {
		if len(b) < headerLen {
			return r, errShort
		}
		n := int64(ne.Uint32(b))
		if n < headerLen || n > int64(len(b)) {
			return r, errShort
		}
		typ, flags := ne.Uint16(b[4:]), ne.Uint16(b[6:])
		body := b[headerLen:n]
		if ne.Uint32(b[8:]) == seq {
			if flags&flagInterrupted != 0 {
				r.Interrupted = true
			}
			switch typ {
			case typeNoop:
			case typeDone, typeError:
				r.Done = true
				if len(body) >= 4 {
					if e := -int32(ne.Uint32(body)); e > 0 {
						return r, fmt.Errorf("netlink answers: %w", syscall.Errno(e))
					}
				}
				return r, nil
			case typeOverrun:
				return r, errors.New("read netlink answer: the kernel lost part of it")
			default:
				if err := row(typ, body); err != nil {
					return r, err
				}
			}
		}
		b = b[min(int64(len(b)), (n+3)&^3):]
	}
	return r, nil
}

// Parser turns rows into sockets. It remembers the texts of addresses that it has
// made, because a busy machine has few of them. It is for one goroutine.
type Parser struct {
	addrs map[netip.Addr]string
}

// Socket reads the body of one row of the answer to r. NetNS, User, Iface and Owners
// are left for the caller.
func (p *Parser) Socket(r Request, body []byte) (record.Socket, error) {
	switch r.family() {
	case familyInet, familyInet6:
		return p.inet(r, body)
	case familyUnix:
		return unixSocket(body)
	default:
		return packetSocket(body)
	}
}

// inet reads struct inet_diag_msg.
func (p *Parser) inet(r Request, b []byte) (record.Socket, error) {
	if len(b) < 72 {
		return record.Socket{}, errShort
	}
	ne, be := binary.NativeEndian, binary.BigEndian
	s := record.Socket{
		Source: record.SourceSockDiag, State: procfs.StateName(b[1]),
		IfIndex: ne.Uint32(b[40:]),
		RecvQ:   ne.Uint32(b[56:]), SendQ: ne.Uint32(b[60:]),
		UID: int64(ne.Uint32(b[64:])), Inode: uint64(ne.Uint32(b[68:])),
	}
	sport, dport := be.Uint16(b[4:]), be.Uint16(b[6:])
	switch r.proto() {
	case protoTCP:
		s.Proto = record.ProtoTCP
	case protoUDP:
		s.Proto = record.ProtoUDP
	default:
		s.Proto = record.ProtoRaw
	}
	if r.proto() == protoRaw {
		s.ProtocolNum = int(sport) // raw(7): the port is the protocol
		sport, dport = 0, 0
	}
	var local, remote netip.Addr
	if b[0] == familyInet {
		s.Family = record.FamilyInet
		local, remote = netip.AddrFrom4([4]byte(b[8:12])), netip.AddrFrom4([4]byte(b[24:28]))
	} else {
		s.Family = record.FamilyInet6
		local, remote = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	}
	s.LocalAddr, s.LocalPort = p.text(local), sport
	if dport != 0 || !remote.IsUnspecified() {
		s.RemoteAddr, s.RemotePort = p.text(remote), dport
	}
	if s.Inode == 0 && (b[1] == 6 || b[1] == 12) {
		s.UID = record.Unknown // TIME_WAIT and NEW_SYN_RECV have no socket, hence no maker
	}
	return s, nil
}

func (p *Parser) text(a netip.Addr) string {
	if t, ok := p.addrs[a]; ok {
		return t
	}
	if p.addrs == nil || len(p.addrs) > 4096 {
		p.addrs = make(map[netip.Addr]string)
	}
	t := a.String()
	p.addrs[a] = t
	return t
}

// Attrs calls f with each attribute (struct nlattr or rtattr) of b.
func Attrs(b []byte, f func(typ uint16, v []byte)) error {
	ne := binary.NativeEndian
	for len(b) >= 4 {
		n := int(ne.Uint16(b))
		if n < 4 || n > len(b) {
			return errShort
		}
		f(ne.Uint16(b[2:])&0x3fff, b[4:n]) // without the flags "nested" and "network order"
		b = b[min(len(b), (n+3)&^3):]
	}
	return nil
}

// unixSocket reads struct unix_diag_msg and its attributes.
func unixSocket(b []byte) (record.Socket, error) {
	if len(b) < 16 {
		return record.Socket{}, errShort
	}
	const attrName, attrPeer, attrQueues, attrUID = 0, 2, 4, 7
	ne := binary.NativeEndian
	s := record.Socket{
		Source: record.SourceSockDiag, Family: record.FamilyUnix, Proto: record.ProtoUnix,
		Type: procfs.SockType(b[1]), State: procfs.StateName(b[2]), Inode: uint64(ne.Uint32(b[4:])), UID: record.Unknown,
	}
	err := Attrs(b[16:], func(typ uint16, v []byte) {
		switch {
		case typ == attrName:
			s.Path, s.PathRaw = unixPath(v)
		case typ == attrPeer && len(v) >= 4:
			s.PeerInode = uint64(ne.Uint32(v))
		case typ == attrQueues && len(v) >= 8:
			s.RecvQ, s.SendQ = ne.Uint32(v), ne.Uint32(v[4:])
		case typ == attrUID && len(v) >= 4:
			s.UID = int64(ne.Uint32(v))
		}
	})
	return s, err
}

// unixPath shows a name of unix(7): a path without its ending NUL, or an abstract
// name with "@" for its leading NUL. exact is given when the text is not the whole
// truth: wrong UTF-8, NULs inside, or a path that itself starts with "@".
func unixPath(v []byte) (text string, exact []byte) {
	if len(v) == 0 {
		return "", nil
	}
	shown := make([]byte, 0, len(v))
	if v[0] == 0 {
		shown = append(append(shown, '@'), v[1:]...)
	} else {
		if v[len(v)-1] == 0 {
			v = v[:len(v)-1]
		}
		shown = append(shown, v...)
	}
	nul := false
	for i, c := range shown {
		if c == 0 {
			shown[i], nul = '@', true // as /proc/net/unix shows it
		}
	}
	text, exact = record.Text(shown)
	if nul || exact != nil || len(v) > 0 && v[0] == '@' {
		exact = append([]byte(nil), v...)
	}
	return text, exact
}

// packetSocket reads struct packet_diag_msg and its attributes.
func packetSocket(b []byte) (record.Socket, error) {
	if len(b) < 16 {
		return record.Socket{}, errShort
	}
	const attrInfo, attrUID, attrMemInfo = 0, 5, 6
	ne := binary.NativeEndian
	s := record.Socket{
		Source: record.SourceSockDiag, Family: record.FamilyPacket, Proto: record.ProtoPacket,
		Type: procfs.SockType(b[1]), ProtocolNum: int(ne.Uint16(b[2:])), Inode: uint64(ne.Uint32(b[4:])), UID: record.Unknown,
	}
	err := Attrs(b[16:], func(typ uint16, v []byte) {
		switch {
		case typ == attrInfo && len(v) >= 4:
			s.IfIndex = ne.Uint32(v)
		case typ == attrUID && len(v) >= 4:
			s.UID = int64(ne.Uint32(v))
		case typ == attrMemInfo && len(v) >= 4:
			s.RecvQ = ne.Uint32(v) // SK_MEMINFO_RMEM_ALLOC
		}
	})
	return s, err
}

// link reads the number and the name of an interface from struct ifinfomsg.
func link(b []byte) (index uint32, name string, err error) {
	if len(b) < 16 {
		return 0, "", errShort
	}
	const attrIfName = 3
	index = binary.NativeEndian.Uint32(b[4:])
	err = Attrs(b[16:], func(typ uint16, v []byte) {
		if typ == attrIfName {
			for len(v) > 0 && v[len(v)-1] == 0 {
				v = v[:len(v)-1]
			}
			name, _ = record.Text(v)
		}
	})
	return index, name, err
}
