package wfp

import (
	"fmt"
	"slices"
	"strings"

	"hozen/agent/internal/sorted"
)

// concernsMax bounds what is told of others' filters.
const concernsMax = 16

// concerns says in English which filters of others may let something through that we
// block, or close the way home that we open. They are told of, never fought.
//
// Below our sublayer nobody can open what we block, nor close a hard permit ("Filter
// Arbitration", Windows Filtering Platform). So what counts is who stands beside it, with
// the highest weight that there is, and drivers, which may veto a hard permit from
// anywhere.
func concerns(have installed, agent who) (out []string) {
	known := map[GUID]sublayer{}
	for _, s := range have.sublayers {
		known[s.key] = s
	}
	more := 0
	tell := func(format string, args ...any) {
		if len(out) < concernsMax {
			out = append(out, fmt.Sprintf(format, args...))
		} else {
			more++
		}
	}
	drivers := map[string]int{}
	for _, f := range have.filters {
		l, ok := layerOf(f.layer)
		if f.ours() || !ok || f.flags&filterDisabled != 0 {
			continue
		}
		if f.unread != nil {
			tell("%s of another product is not understood: %v", f.title(), f.unread)
		}
		s := known[f.sublayer]
		equal := s.weight == sublayerWeight
		named := f.namesApp(agent.app)
		switch {
		case f.action&actionCallout != 0:
			if !equal && (builtIn(f.provider) || l.forward) {
				continue
			}
			drivers[s.label(f.sublayer)]++
		case equal && f.action == actionPermit && f.flags&filterHard != 0:
			tell("%s of another product, in a sublayer of the same weight (%s), may open what is blocked", f.title(), s.label(f.sublayer))
		case l.forward: // nothing of ours passes there that somebody could close
		case equal && f.action == actionBlock && f.takesAgent(agent.app):
			tell("%s of another product, in a sublayer of the same weight (%s), may close the way to the collector", f.title(), s.label(f.sublayer))
		case named && f.action == actionBlock:
			tell("%s of another product blocks this agent; the way to the collector overrides it", f.title())
		}
	}
	var names []string
	for name, n := range drivers {
		names = append(names, fmt.Sprintf("%s (%d)", name, n))
	}
	sorted.Func(names, strings.Compare)
	if len(names) > 0 {
		tell("drivers of other products are asked about connections and may close the way to the collector, or open what is blocked from a sublayer of the same weight: filters in %s", strings.Join(names, ", "))
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("and %d more filters of other products", more))
	}
	return out
}

// builtIn reports whether a provider is one of those that come with Windows
// (FWPM_PROVIDER_… of fwpmu.h): its firewall, IPsec and the offloads of its stack. Their
// callouts are on every endpoint. Anybody can claim such a provider, which hides him from
// a remark and opens him nothing.
func builtIn(provider GUID) bool { return slices.Contains(builtInProviders[:], provider) }

var builtInProviders = [...]GUID{
	guid("10ad9216-ccde-456c-8b16-e9f04e60a90b"), // IKEEXT
	guid("3c6c0519-c05c-4bb9-8338-2327814ce8bf"), // IPSEC_DOS_CONFIG
	guid("4b153735-1049-4480-aab4-d1b9bdc03710"), // MPSSVC_WSH
	guid("76cfcd30-3394-432d-bed3-441ae50e63c9"), // TCP_TEMPLATES
	guid("896aa19e-9a34-4bcb-ae79-beb9127c84b9"), // TCP_CHIMNEY_OFFLOAD
	guid("decc16ca-3f33-4346-be1e-8fb4ae0f3d62"), // MPSSVC_WF
}

func (s sublayer) label(key GUID) string {
	if s.name == "" {
		return "sublayer " + key.String()
	}
	return fmt.Sprintf("sublayer %q", s.name)
}

// layerOf is the layer of ours with a key.
func layerOf(key GUID) (layer, bool) {
	for _, l := range layers {
		if l.key == key {
			return l, true
		}
	}
	return layer{}, false
}

// namesApp reports whether a filter is for one program, and that is the agent's.
func (f filter) namesApp(app []byte) bool {
	for _, c := range f.conditions {
		if c.field == fieldApp && len(app) > 0 && sameApp(c.value.bytes, app) {
			return true
		}
	}
	return false
}

// takesAgent reports whether a filter may be one for the agent's connections.
func (f filter) takesAgent(app []byte) bool {
	apps := 0
	for _, c := range f.conditions {
		if c.field == fieldApp && c.match == matchEqual {
			apps++
		}
	}
	return apps == 0 || f.namesApp(app)
}
