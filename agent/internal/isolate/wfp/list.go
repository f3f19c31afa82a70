package wfp

import (
	"cmp"
	"fmt"
)

// Filter is a filter of this endpoint, whosever it is, as somebody reads it.
type Filter struct {
	ID                         uint64
	Key, Name, Provider, Layer string // without a name: the key
	Sublayer, SublayerName     string
	SublayerWeight             uint16
	// Weight is what the engine orders the filters of a sublayer by; the highest is asked first.
	Weight uint64
	// Action is permit, block, callout (a driver decides) or continue.
	Action string
	// Flags are persistent, boot, hard, disabled.
	Flags      []string
	Conditions []string // "remote_port = 443"
	// Unread says why weight or conditions are not told.
	Unread string
}

// listed tells of the filters of an engine.
func listed(have installed) []Filter {
	under := map[GUID]sublayer{}
	for _, s := range have.sublayers {
		under[s.key] = s
	}
	list := make([]Filter, 0, len(have.filters))
	for _, f := range have.filters {
		s := under[f.sublayer]
		x := Filter{
			ID: f.id, Key: f.key.String(), Name: f.name, Layer: layerName(f.layer), Sublayer: f.sublayer.String(), SublayerName: s.name, SublayerWeight: s.weight,
			Weight: f.effective, Action: actionName(f.action), Flags: flagNames(f.flags),
		}
		if f.provider != (GUID{}) {
			x.Provider = f.provider.String()
		}
		for _, c := range f.conditions {
			x.Conditions = append(x.Conditions, c.words())
		}
		if f.unread != nil {
			x.Unread = f.unread.Error()
		}
		list = append(list, x)
	}
	return list
}

func actionName(a uint32) string {
	const goOn = 0x2006 // FWP_ACTION_CONTINUE
	switch {
	case a == actionBlock:
		return "block"
	case a == actionPermit:
		return "permit"
	case a&actionCallout != 0:
		return "callout"
	case a == goOn:
		return "continue"
	}
	return fmt.Sprintf("%#x", a)
}

func flagNames(flags uint32) (names []string) {
	for _, f := range []struct {
		bit  uint32
		name string
	}{{filterPersistent, "persistent"}, {filterBootTime, "boot"}, {filterHard, "hard"}, {filterDisabled, "disabled"}} {
		if flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

// words is a condition as somebody reads it. Fields that are not known here are told by
// their keys (FWPM_CONDITION_…, fwpmu.h).
func (c condition) words() string {
	field := map[GUID]string{
		fieldRemoteAddress: "remote_address", fieldProtocol: "protocol", fieldLocalPort: "local_port", fieldRemotePort: "remote_port",
		fieldApp: "app", fieldUser: "user", fieldFlags: "flags",
	}[c.field]
	match := fmt.Sprintf("match %d", c.match) // FWP_MATCH_TYPE
	names := [...]string{"=", ">", "<", ">=", "<=", "in", "has_all", "has_any", "has_none", "=", "!="}
	if c.match < uint32(len(names)) {
		match = names[c.match]
	}
	return fmt.Sprintf("%s %s %s", cmp.Or(field, c.field.String()), match, c.valueString())
}
