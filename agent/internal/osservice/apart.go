package osservice

import (
	"maps"
	"slices"
	"strings"
)

// maxUnits is how many units a doctor looks at on a PC.
const maxUnits = 5000

// active is a unit that systemd would have to stop.
type active struct{ kind, sub string }

// apart returns the services and scopes with processes that systemd may stop at the same
// time as the companion: those that no chain of active units orders before it. after
// names what a unit is ordered after (After= of systemd.unit(5), with what others say by
// Before=).
//
// They are what a timer, a socket, D-Bus or a person started. A drop-in for the type
// service as a whole would order them too, but then the companion could not start while
// any service still does, and a job of an hour would keep it from being there at all.
func apart(units map[string]active, after func(unit string) ([]string, error)) ([]string, error) {
	seen := map[string]bool{unitCompanion: true}
	for queue := []string{unitCompanion}; len(queue) > 0 && len(seen) < maxUnits; queue = queue[1:] {
		names, err := after(queue[0])
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if _, ok := units[name]; ok && !seen[name] { // what is not there hands no order on
				seen[name] = true
				queue = append(queue, name)
			}
		}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(units)) {
		u := units[name]
		if !seen[name] && name != "init.scope" && u.sub != "exited" && (u.kind == "service" || u.kind == "scope") {
			out = append(out, name)
		}
	}
	return out, nil
}

func kindOf(unit string) string { return unit[strings.LastIndexByte(unit, '.')+1:] }
