package isolate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// leaks says what passed that should have been cut. What should pass and does not, such
// as a collector that is switched off, is told with the other trials and makes nothing
// less isolated.
func leaks(trials []Trial) (bad []string) {
	for _, t := range trials {
		if t.leak() {
			bad = append(bad, fmt.Sprintf("%s to %s (%s) at %s", t.Name, t.Target, t.Reason, t.At.UTC().Format(time.RFC3339)))
		}
	}
	return bad
}

// leak reports whether something passed that should have been cut.
func (t Trial) leak() bool { return t.Outcome == Contrary && t.Chain != "" }

// way returns where t went, without what is not always known of it, such as the link-layer
// address of a frame.
func (t Trial) way() string {
	to, _, _ := strings.Cut(t.Target, " ")
	return t.Name + " " + to
}

// shows reports whether t, of a later round, says anything about what leaked before.
func (t Trial) shows(leak Trial) bool {
	return t.way() == leak.way() && (t.Chain == leak.Chain || t.Chain == "" && t.Outcome != NotShown)
}

// leaksMax bounds the leaks of earlier rounds that are kept.
const leaksMax = 64

// withLeaks returns got with the leaks that were shown before and that it does not show
// to be over: that nothing is known of a way by now is no news of it. A way that is gone
// is judged by others of its name.
func withLeaks(got, before []Trial) []Trial {
	out := slices.Clone(got)
	kept := 0
	for _, l := range slices.Backward(before) {
		if !l.leak() || kept == leaksMax {
			continue
		}
		i := slices.IndexFunc(out, func(t Trial) bool { return t.shows(l) })
		switch {
		case i >= 0 && out[i].Outcome == NotShown:
			out[i] = l
		case i >= 0:
			continue
		case slices.ContainsFunc(got, func(t Trial) bool { return t.Name == l.Name && t.Outcome == AsOrdered }):
			continue
		default:
			out = append(out, l)
		}
		kept++
	}
	return out
}

// leaksUnder returns the leaks that are leaks under p too: an order that replaces another
// one shows nothing, and may open the way.
func leaksUnder(p Policy, before []Trial) []Trial {
	return slices.DeleteFunc(slices.Clone(before), func(t Trial) bool { return !t.leak() || p.opens(t) })
}

// onlyLeaks returns the leaks among trials.
func onlyLeaks(trials []Trial) []Trial {
	return slices.DeleteFunc(slices.Clone(trials), func(t Trial) bool { return !t.leak() })
}

// opens reports whether what a trial tries is open by order.
func (p Policy) opens(t Trial) bool {
	protocol := UDP
	switch {
	case t.Name == "collector":
		return p.Mode != Full
	case strings.HasPrefix(t.Name, "tcp"):
		protocol = TCP
	case !strings.HasPrefix(t.Name, "udp") && !strings.HasPrefix(t.Name, "dns"):
		return false
	}
	to, err := netip.ParseAddrPort(t.Target)
	if err != nil {
		return false
	}
	to = netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port())
	return protocol == TCP && p.Mark == 0 && slices.Contains(p.Collectors, to) ||
		slices.ContainsFunc(p.Permits, func(m Permit) bool { return m.Covers(protocol, to) })
}
