package trial

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"hozen/agent/internal/isolate"
)

// result is what happened when one way was tried.
type result struct {
	back bool // something came back
	left bool // a frame was seen to leave
	sent int  // packets given to the kernel, refused or not
	// refused: the kernel said at once that it dropped what it was given. Nothing says so
	// of a TCP connection.
	refused bool
	reason  string // why it could not be tried, or empty
	counted bool   // the chain's counter rose by at least what was sent
}

// control is what is known of a way from before the cut.
type control int

const (
	never control = iota
	stale
	open
)

// verdict says what is shown of a way that should be cut.
func (r result) verdict(k kind, c control) (isolate.TrialOutcome, string) {
	switch {
	case r.back:
		return isolate.Contrary, Answered
	case r.left:
		return isolate.Contrary, Left
	case r.reason == NoRights:
		return isolate.NotShown, NoRights
	case c == never:
		return isolate.NotShown, NoControl
	case c == stale:
		return isolate.NotShown, StaleControl
	case r.reason != "":
		return isolate.NotShown, r.reason
	case r.sent == 0 || !r.counted || k != kindTCP && !r.refused:
		return isolate.NotShown, NoCounter
	}
	return isolate.AsOrdered, ""
}

// passes says what is shown of a way that must be open. What stays on the endpoint needs
// no control; elsewhere the other end may be what does not answer.
func (r result) passes(local bool, c control) (isolate.TrialOutcome, string) {
	switch {
	case r.back:
		return isolate.AsOrdered, ""
	case r.reason != "":
		return isolate.NotShown, r.reason
	case local || c == open:
		return isolate.Contrary, NoAnswer
	case c == stale:
		return isolate.NotShown, StaleControl
	}
	return isolate.NotShown, NoControl
}

// kind is how a way is tried.
type kind int

const (
	kindTCP    kind = iota
	kindUDP         // anything that is answered, if only by "port unreachable"
	kindDNS         // a query for the root's name servers
	kindICMP        // an echo request
	kindRaw         // the same as a frame of our own
	kindBypass      // and past the queueing discipline (PACKET_QDISC_BYPASS, packet(7))
	kindLoopback
	kindOwn
)

// nameOf is the stable code of a kind in an IP version: "tcp4", "raw4_bypass".
func nameOf(name string, six bool) string {
	version := "4"
	if six {
		version = "6"
	}
	if first, rest, ok := strings.Cut(name, "_"); ok {
		return first + version + "_" + rest
	}
	return name + version
}

// among returns the ways of one name to try: those that were open and still are the
// endpoint's, else one of today's, so that a way that is open after all is seen.
func among(c isolate.Controls, name string, most int, today []way) []way {
	var known []way
	for _, o := range c.Open {
		if o.Name != name || len(known) == most {
			continue
		}
		for _, w := range today {
			if w.is(o.Target) {
				known = append(known, w.with(o.Target))
				break
			}
		}
	}
	if len(known) == 0 && len(today) > 0 {
		known = today[:1]
	}
	return known
}

// control says what c tells of a way now.
func (p *Prober) control(c isolate.Controls, name, target string, now time.Time) control {
	state := never
	for _, o := range c.Open {
		switch {
		case o.Name != name:
		case o.Target == target:
			// A clock that was set back makes no control older or younger than it can be.
			if age := now.Sub(c.At); age > p.cfg.MaxAge || c.At.IsZero() {
				return stale
			}
			return open
		default:
			state = stale
		}
	}
	return state
}

// rise is by how much a chain's counter rose, 0 if it cannot be told.
func rise(chain string, before, after []isolate.Drop) uint64 {
	a, ok := count(chain, before)
	b, ok2 := count(chain, after)
	if !ok || !ok2 || b < a {
		return 0 // no such chain, or the rules were put in force anew meanwhile
	}
	return b - a
}

func count(chain string, ds []isolate.Drop) (uint64, bool) {
	for _, d := range ds {
		if d.Chain == chain {
			return d.Packets, true
		}
	}
	return 0, false
}

// permitted reports whether p lets every program of the endpoint talk to a target, so
// that the way there must be open.
func permitted(p isolate.Policy, w way) bool {
	protocol := isolate.TCP
	switch w.kind {
	case kindTCP:
	case kindUDP, kindDNS:
		protocol = isolate.UDP
	default:
		return false
	}
	to := netip.AddrPortFrom(w.to.Addr().WithZone(""), w.to.Port())
	return protocol == isolate.TCP && p.Mark == 0 && slices.Contains(p.Collectors, to) ||
		slices.ContainsFunc(p.Permits, func(m isolate.Permit) bool { return m.Covers(protocol, to) })
}

// permitsMost is how many permits are tried.
const permitsMost = 8

// permits are the ways that a policy opens and that can be tried at no cost to anybody:
// a connection to one port of one address. Nobody knows what to send by UDP.
func permits(p isolate.Policy, s scene) (ws []way) {
	for _, m := range p.Ways() {
		a := m.Network.Addr()
		if m.Protocol != isolate.TCP || !m.Network.IsSingleIP() || m.First != m.Last || len(ws) == permitsMost || slices.Contains(s.own, a) {
			continue
		}
		ws = append(ws, way{name: nameOf("permit", a.Is6()), kind: kindTCP, to: netip.AddrPortFrom(a, m.First)})
	}
	return ws
}
