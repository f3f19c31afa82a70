//go:build linux

package nft

import (
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// permitted are the rules for one way that selective mode leaves open. Without state an
// answer is what comes from the permitted network and port: for TCP never a bare SYN, so
// that nobody there connects to us; for UDP anything from that port.
func (f filter) permitted(m isolate.Permit) []rule {
	four := m.Network.Addr().Is4()
	number, src, dst := byte(unix.IPPROTO_TCP), uint32(src6), uint32(dst6)
	if m.Protocol == isolate.UDP {
		number = unix.IPPROTO_UDP
	}
	if four {
		src, dst = src4, dst4
	}
	if !f.in {
		return []rule{permit("permit to "+m.String(), f.ip(four), inPrefix(dst, m.Network), proto(number),
			between(portOffset, m.First, m.Last))}
	}
	var answer []expr
	if m.Protocol == isolate.TCP {
		answer = noBareSYN()
	}
	return []rule{
		permit("permit from "+m.String(), f.ip(four), inPrefix(src, m.Network), proto(number),
			between(0, m.First, m.Last), answer),
		f.tooBigFor(m, number),
	}
}

// portOffset is that of the destination port, in the headers of TCP and UDP alike.
const portOffset = tcpDestination

// tooBigFor lets in what tooBig lets in, about packets of ours that a permit lets out.
func (f filter) tooBigFor(m isolate.Permit, number byte) rule {
	name, base := "too big for "+m.String(), uint32(unix.NFT_PAYLOAD_TRANSPORT_HEADER)
	if m.Network.Addr().Is4() {
		return permit(name, f.ip(true), proto(unix.IPPROTO_ICMP), transport(0, []byte{3, 4}),
			transport(icmpData, []byte{0x45}), transport(icmpData+proto4, []byte{number}),
			prefixed(base, icmpData+dst4, m.Network), between(icmpData+size4+portOffset, m.First, m.Last))
	}
	return permit(name, f.ip(false), proto(unix.IPPROTO_ICMPV6), transport(0, []byte{2}),
		transport(icmpData+next6, []byte{number}),
		prefixed(base, icmpData+dst6, m.Network), between(icmpData+size6+portOffset, m.First, m.Last))
}
