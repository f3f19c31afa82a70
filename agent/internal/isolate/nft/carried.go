//go:build linux

package nft

import (
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// carried are the rules for what carries a tunnel behind which a collector is. What is
// inside meets the same rules again at the tunnel's device, so nothing but the way home
// gets in there.
func (f filter) carried(t isolate.Tunnel) []rule {
	four := t.Address.Is4()
	if !f.in {
		var to []expr
		if t.Port != 0 {
			to = transport(portOffset, be16(t.Port))
		}
		return []rule{permit("carries a tunnel to "+t.String(), f.ip(four), destination(t.Address), proto(t.Protocol), to)}
	}
	var from []expr
	switch {
	case t.Protocol == unix.IPPROTO_TCP:
		from = append(transport(0, be16(t.Port)), noBareSYN()...)
	case t.Own != 0:
		from = transport(portOffset, be16(t.Own))
	case t.Port != 0:
		from = transport(0, be16(t.Port))
	}
	return []rule{
		permit("carries a tunnel from "+t.String(), f.ip(four), source(t.Address), proto(t.Protocol), from),
		f.tooBigToCarry(t),
	}
}

// tooBigToCarry lets in what tooBig lets in, about packets that carry a tunnel: without
// it the tunnel never learns how much the path takes.
func (f filter) tooBigToCarry(t isolate.Tunnel) rule {
	name, four := "too big to carry "+t.String(), t.Address.Is4()
	header, size := uint32(icmpData), uint32(size6)
	about := [][]expr{f.ip(false), proto(unix.IPPROTO_ICMPV6), transport(0, []byte{2}),
		transport(header+next6, []byte{t.Protocol}), transport(header+dst6, t.Address.AsSlice())}
	if four {
		size = size4
		about = [][]expr{f.ip(true), proto(unix.IPPROTO_ICMP), transport(0, []byte{3, 4}), transport(header, []byte{0x45}),
			transport(header+proto4, []byte{t.Protocol}), transport(header+dst4, t.Address.AsSlice())}
	}
	if t.Port != 0 {
		about = append(about, transport(header+size+portOffset, be16(t.Port)))
	}
	return permit(name, about...)
}
