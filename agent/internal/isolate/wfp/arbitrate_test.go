package wfp

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// flow is what the engine is asked about: the first packet of a connection, or the first
// of an old one after filters changed.
type flow struct {
	layer      layer
	protocol   uint8
	remote     netip.Addr
	localPort  uint16 // the type of ICMP
	remotePort uint16 // its code
	app        []byte
	sids       [][]byte
	loopback   bool
	// boot: BFE does not run yet.
	boot bool
}

// takes reports whether a condition holds; several about one field are alternatives.
func (c condition) takes(f flow) bool {
	number := func(n uint64) bool {
		switch c.match {
		case matchEqual:
			return c.value.number == n
		case matchRange:
			return c.value.low.number <= n && n <= c.value.high.number
		case matchFlagsAll:
			return n&c.value.number == c.value.number
		}
		return false
	}
	switch c.field {
	case fieldRemoteAddress:
		p, ok := c.value.prefix()
		return ok && p.Contains(f.remote)
	case fieldProtocol:
		return number(uint64(f.protocol))
	case fieldLocalPort:
		return number(uint64(f.localPort))
	case fieldRemotePort:
		return number(uint64(f.remotePort))
	case fieldApp:
		return sameApp(c.value.bytes, f.app)
	case fieldFlags:
		var flags uint64
		if f.loopback {
			flags = conditionLoopback
		}
		return number(flags)
	case fieldUser:
		es, err := entries(c.value.bytes)
		return err == nil && slices.ContainsFunc(es, func(e ace) bool {
			return e.kind == 0 && e.mask&matchFilter != 0 && slices.ContainsFunc(f.sids, func(s []byte) bool { return bytes.Equal(s, e.sid) })
		})
	}
	return false
}

func (f filter) takes(w flow) bool {
	fields := map[GUID]bool{}
	for _, c := range f.conditions {
		fields[c.field] = fields[c.field] || c.takes(w)
	}
	for _, ok := range fields {
		if !ok {
			return false
		}
	}
	return f.layer == w.layer.key && f.flags&filterDisabled == 0 && (f.flags&filterBootTime != 0) == w.boot
}

// decision is what a sublayer came to.
type decision struct{ block, hard, veto bool }

// arbitrate is "Filter Arbitration" of the Windows Filtering Platform: within a sublayer
// the heaviest filter that matches; across them, from the heaviest on, a block is final
// and a permit may be blocked later unless it is hard, and then by a veto alone. What BFE
// leaves open, the order of equal weights, is drawn from order.
func arbitrate(have installed, w flow, order *rand.Rand) (permitted bool) {
	layers := slices.Clone(have.sublayers)
	order.Shuffle(len(layers), func(i, j int) { layers[i], layers[j] = layers[j], layers[i] })
	slices.SortStableFunc(layers, func(a, b sublayer) int { return cmp.Compare(b.weight, a.weight) })
	block, fixed := false, false
	for _, l := range layers {
		d, ok := have.within(l.key, w, order)
		switch {
		case !ok:
		case d.block && fixed && !d.veto:
		case d.block && d.veto:
			return false
		case d.block:
			if block = true; d.hard {
				return false
			}
		case !fixed:
			block, fixed = false, d.hard
		}
	}
	return !block
}

// within is the arbitration in one sublayer.
func (i installed) within(key GUID, w flow, order *rand.Rand) (d decision, ok bool) {
	type weighed struct {
		f      filter
		weight uint64
	}
	var fs []weighed
	for _, f := range i.filters {
		if f.sublayer == key && f.takes(w) {
			weight := f.weight.number
			if f.weight.kind != typeUint64 {
				weight = f.weight.number<<60 | order.Uint64()>>4
			}
			fs = append(fs, weighed{f, weight})
		}
	}
	if len(fs) == 0 {
		return d, false
	}
	f := slices.MaxFunc(fs, func(a, b weighed) int { return cmp.Compare(a.weight, b.weight) }).f
	switch {
	case f.action&actionCallout != 0: // a driver may say anything
		d = decision{block: order.IntN(2) == 0, hard: order.IntN(2) == 0}
		d.veto = d.block && order.IntN(2) == 0
	case f.action == actionBlock:
		d = decision{block: true, hard: true} // without a driver there is no soft block
	default:
		d = decision{hard: f.flags&filterHard != 0}
	}
	return d, true
}
