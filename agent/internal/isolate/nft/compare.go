//go:build linux

package nft

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// compare says what was found and how it differs from what was wanted.
func compare(want, found []table, links []string) isolate.Observation {
	found = withoutGone(want, found, links)
	o := isolate.Observation{Present: len(found) > 0, Digest: sum(found), Expected: sum(want)}
	for _, t := range found {
		o.Tables = append(o.Tables, t.label())
		o.Drops = append(o.Drops, t.drops()...)
	}
	whole := map[string]bool{} // chains of the netdev table that are as wanted
	for _, w := range want {
		i := slices.IndexFunc(found, func(t table) bool { return t.family == w.family })
		if i < 0 {
			o.Gaps = append(o.Gaps, w.label()+" is missing")
			continue
		}
		gaps := w.gaps(found[i], whole)
		for _, g := range gaps {
			o.Gaps = append(o.Gaps, w.label()+": "+g)
		}
	}
	for _, t := range found {
		if !slices.ContainsFunc(want, func(w table) bool { return w.family == t.family }) {
			o.Gaps = append(o.Gaps, t.label()+" is in force, nobody asked for it")
		}
	}
	// A digest that differs although no gap was found would be a gap in compare.
	if len(o.Gaps) == 0 && o.Digest != o.Expected {
		o.Gaps = append(o.Gaps, "rules are not those asked for")
	}
	if want != nil {
		for _, l := range links {
			o.Links = append(o.Links, isolate.Link{
				Name:    l,
				Ingress: whole[permitIn] && whole[ingressName(l)],
				Egress:  whole[permitOut] && whole[egressName(l)],
			})
		}
	}
	o.Complete = len(o.Gaps) == 0
	return o
}

// withoutGone leaves out the chains of devices that are no more: since Linux 6.16 they
// stay, and cover the device again if it comes back. Only chains that are as we write
// them are left out.
func withoutGone(want, found []table, links []string) []table {
	out := make([]table, len(found))
	for i, t := range found {
		out[i] = t
		if t.family != unix.NFPROTO_NETDEV || want == nil {
			continue
		}
		out[i].chains = slices.DeleteFunc(slices.Clone(t.chains), func(c chain) bool {
			_, link, ok := strings.Cut(c.name, "_")
			if !ok || slices.Contains(links, link) {
				return false
			}
			for _, w := range deviceChains(link, everything) {
				bare := w
				bare.hook = &hook{}
				*bare.hook = *w.hook
				bare.hook.devices = nil
				if w.equal(c) || bare.equal(c) {
					return true
				}
			}
			return false
		})
	}
	return out
}

func (t table) label() string {
	if t.family == unix.NFPROTO_INET {
		return "table inet " + t.name
	}
	return "table netdev " + t.name
}

// gaps lists how found differs from t, and marks the chains that do not.
func (t table) gaps(found table, whole map[string]bool) []string {
	var gaps []string
	if found.effective() != t.effective() {
		gaps = append(gaps, fmt.Sprintf("flags are %#x, not %#x", found.flags, t.flags))
		whole = map[string]bool{} // a dormant table covers nothing
	}
	for _, w := range t.chains {
		i := slices.IndexFunc(found.chains, func(c chain) bool { return c.name == w.name })
		switch {
		case i < 0:
			gaps = append(gaps, fmt.Sprintf("chain %q is missing", w.name))
		case !w.equal(found.chains[i]):
			gaps = append(gaps, w.gap(found.chains[i]))
		default:
			whole[w.name] = true
		}
	}
	for _, c := range found.chains {
		if !slices.ContainsFunc(t.chains, func(w chain) bool { return w.name == c.name }) {
			gaps = append(gaps, fmt.Sprintf("chain %q is not ours", c.name))
		}
	}
	return gaps
}

// gap says the first thing in which found differs from c.
func (c chain) gap(found chain) string {
	if a, b := c.hook.normal(), found.hook.normal(); a != b {
		return fmt.Sprintf("chain %q: hook is %s, not %s", c.name, b, a)
	}
	for i, w := range c.rules {
		switch {
		case i >= len(found.rules):
			return fmt.Sprintf("chain %q: rule %d (%s) is missing", c.name, i+1, w.comment)
		case !w.equal(found.rules[i]):
			return fmt.Sprintf("chain %q: rule %d is not the one for %s but %.200s", c.name, i+1, w.comment, found.rules[i].append(nil))
		}
	}
	return fmt.Sprintf("chain %q: rule %d is not ours", c.name, len(c.rules)+1)
}

// drops reads the counters of the rules that end the base chains.
func (t table) drops() []isolate.Drop {
	var ds []isolate.Drop
	for _, c := range t.chains {
		if c.hook == nil {
			continue
		}
		for _, r := range c.rules {
			if r.comment == dropComment {
				p, b := r.count()
				ds = append(ds, isolate.Drop{Chain: t.familyName() + " " + c.name, Packets: p, Bytes: b})
			}
		}
	}
	return ds
}

func (t table) familyName() string {
	if t.family == unix.NFPROTO_INET {
		return "inet"
	}
	return "netdev"
}

// count returns the packets and bytes that the rule's counter has seen.
func (r rule) count() (packets, bytes uint64) {
	for _, e := range r.exprs {
		if e.name != "counter" {
			continue
		}
		// A counter that cannot be read counts as 0: it proves nothing.
		_ = each(e.attrs, func(typ uint16, v []byte) error {
			switch {
			case len(v) != 8:
			case typ == unix.NFTA_COUNTER_PACKETS:
				packets = binary.BigEndian.Uint64(v)
			case typ == unix.NFTA_COUNTER_BYTES:
				bytes = binary.BigEndian.Uint64(v)
			}
			return nil
		})
	}
	return packets, bytes
}
