package trial

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Protocol numbers (IANA) and EtherTypes (IEEE 802).
const (
	protoICMP, protoTCP, protoUDP, protoICMP6 byte = 1, 6, 17, 58

	etherIPv4, etherIPv6 = 0x0800, 0x86dd
)

// ICMP types (RFC 792, RFC 4443). Errors quote the packet that they are about.
const (
	echo4, reply4 = 8, 0
	echo6, reply6 = 128, 129
	firstQuery6   = 128 // types below are errors
)

// nonce marks what one trial sends, so that nothing else is taken for it.
type nonce [8]byte

// echo is an ICMP echo request that carries n. The kernel fills in the checksum of IPv6.
func (n nonce) echo(six bool) []byte {
	b := append([]byte{echo4, 0, 0, 0, n[0], n[1], 0, 1}, n[:]...)
	if six {
		b[0] = echo6
		return b
	}
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// query is what is sent to a port to be answered.
func (n nonce) query(port uint16) []byte {
	switch port {
	case portDNS:
		// RFC 1035: one question, recursion desired, for the name servers (NS) of the root:
		// every resolver knows them, and nobody learns anything from it.
		return []byte{n[0], n[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1}
	case portClock:
		b := make([]byte, 48) // RFC 5905, section 14: version 4, client; the rest may be 0
		b[0] = 4<<3 | 3
		copy(b[40:], n[:]) // our own time of sending, which comes back
		return b
	}
	return n[:]
}

// frame is an echo request as an Ethernet frame to the gateway, from src.
func (n nonce) frame(w way, src netip.Addr) []byte {
	f := append(append(make([]byte, 0, 14+40+16), w.via.mac...), w.via.dev.mac...)
	icmp, dst := n.echo(w.six()), w.to.Addr().WithZone("")
	if !w.six() {
		f = binary.BigEndian.AppendUint16(f, etherIPv4)
		ip := []byte{0x45, 0, 0, byte(20 + len(icmp)), n[0], n[1], 0x40, 0, 64, protoICMP, 0, 0}
		ip = append(append(ip, src.AsSlice()...), dst.AsSlice()...)
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
		return append(append(f, ip...), icmp...)
	}
	f = binary.BigEndian.AppendUint16(f, etherIPv6)
	from := src.WithZone("")
	pseudo := append(append(from.AsSlice(), dst.AsSlice()...), 0, 0, 0, byte(len(icmp)), 0, 0, 0, protoICMP6)
	binary.BigEndian.PutUint16(icmp[2:], checksum(append(pseudo, icmp...)))
	f = append(f, 0x60, 0, 0, 0, 0, byte(len(icmp)), protoICMP6, 64)
	return append(append(append(f, from.AsSlice()...), dst.AsSlice()...), icmp...)
}

// checksum is the one's complement sum of RFC 1071. len(b) is even.
func checksum(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// packet is what is looked at of an IP packet.
type packet struct {
	src, dst         netip.Addr
	proto            byte
	srcPort, dstPort uint16 // of TCP and UDP
	body             []byte // of ICMP
}

// parsePacket reads an IP packet without its link header, or the beginning of one. It
// knows no IPv6 extension headers: what is tried here has none.
func parsePacket(ether uint16, b []byte) (p packet, ok bool) {
	switch {
	case ether == etherIPv4 && len(b) >= 20 && b[0]>>4 == 4:
		p.src, p.dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
		p.proto = b[9]
		if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return p, false // a later fragment
		}
		b = b[min(len(b), max(20, int(b[0]&0xf)*4)):]
	case ether == etherIPv6 && len(b) >= 40 && b[0]>>4 == 6:
		p.src, p.dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		p.proto, b = b[6], b[40:]
	default:
		return p, false
	}
	if len(b) < 4 {
		return p, false
	}
	switch p.proto {
	case protoTCP, protoUDP:
		p.srcPort, p.dstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	case protoICMP, protoICMP6:
		p.body = b
	default:
		return p, false
	}
	return p, true
}

// quoted returns the packet that an ICMP error is about.
func (p packet) quoted() (packet, bool) {
	switch {
	case len(p.body) < 8:
	case p.proto == protoICMP && (p.body[0] == 3 || p.body[0] == 5 || p.body[0] == 11 || p.body[0] == 12):
		return parsePacket(etherIPv4, p.body[8:])
	case p.proto == protoICMP6 && p.body[0] < firstQuery6:
		return parsePacket(etherIPv6, p.body[8:])
	}
	return packet{}, false
}

// flow is what one trial sends, and by which it knows what comes back.
type flow struct {
	proto             byte
	remote            netip.Addr // without zone
	remotePort, local uint16     // ports of TCP and UDP
	nonce             nonce      // of ICMP
}

// sent reports whether p is what the trial sends.
func (f flow) sent(p packet) bool {
	if p.proto != f.proto || p.dst != f.remote {
		return false
	}
	if p.body != nil {
		return (p.body[0] == echo4 || p.body[0] == echo6) && bytes.Contains(p.body, f.nonce[:])
	}
	return p.dstPort == f.remotePort && p.srcPort == f.local
}

// answers reports whether p is an answer, be it an error, from whomever. ICMP errors
// quote too little of IPv4 to be told apart by the nonce; the identifier has to do.
func (f flow) answers(p packet) bool {
	if q, ok := p.quoted(); ok {
		if q.body != nil {
			return q.proto == f.proto && q.dst == f.remote && len(q.body) >= 6 && bytes.Equal(q.body[4:6], f.nonce[:2])
		}
		return f.sent(q)
	}
	if p.proto != f.proto || p.src != f.remote {
		return false
	}
	if p.body != nil {
		return (p.body[0] == reply4 || p.body[0] == reply6) && bytes.Contains(p.body, f.nonce[:])
	}
	return p.srcPort == f.remotePort && p.dstPort == f.local
}
