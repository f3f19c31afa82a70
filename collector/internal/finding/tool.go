package finding

import (
	"slices"
	"strings"
	"time"

	"hozen/internal/artifact/record"
)

// canTool says whether a rule about security tools can be asked: somebody looked for tools of
// its category, could see, saw enough, and where the rule is about an age, knows when.
func (x *scene) canTool(w When, on string) bool {
	seen := slices.ContainsFunc(x.Tools, func(t record.SecurityTool) bool {
		return slices.Contains(w.Category, t.Category) && t.State != record.SecurityUnknown
	})
	if !seen || !x.seesEnough(w, on) {
		return false
	}
	if w.DateOf == "" {
		return true
	}
	return !x.At.IsZero() && slices.ContainsFunc(x.Tools, func(t record.SecurityTool) bool {
		return slices.Contains(w.Category, t.Category) && setting(t.Mode, w.DateOf) != ""
	})
}

// seesEnough reports whether a rule about several tools has its answer: each of the category was
// seen, or what was seen leaves no room for a finding.
func (x *scene) seesEnough(w When, on string) bool {
	of := func(match func(t *record.SecurityTool) bool) bool {
		return slices.ContainsFunc(x.Tools, func(t record.SecurityTool) bool { return slices.Contains(w.Category, t.Category) && match(&t) })
	}
	switch unseen := of(func(t *record.SecurityTool) bool { return t.State == record.SecurityUnknown }); {
	case !unseen:
		return true
	case on == onTools:
		return of(func(t *record.SecurityTool) bool {
			return t.State != record.SecurityUnknown && !slices.Contains(w.State, t.State)
		})
	case w.Alone:
		// One that runs explains every other, the unseen too; but itself only a second one explains.
		return of(func(t *record.SecurityTool) bool { return t.State == record.SecurityRunning }) &&
			!of(func(t *record.SecurityTool) bool { return x.toolApplies(w, t) })
	}
	return true
}

// allTools reports whether every tool of the category is in one of the states. One that could
// not be seen is in none.
func (x *scene) allTools(w When) bool {
	for _, t := range x.Tools {
		if slices.Contains(w.Category, t.Category) && !slices.Contains(w.State, t.State) {
			return false
		}
	}
	return true
}

func (x *scene) toolApplies(w When, t *record.SecurityTool) bool {
	switch {
	case !slices.Contains(w.Category, t.Category), len(w.State) > 0 && !slices.Contains(w.State, t.State):
		return false
	case len(w.ModeHas) > 0 && !slices.ContainsFunc(settings(t.Mode), func(s string) bool { return slices.Contains(w.ModeHas, s) }):
		return false
	case len(w.UnitHas) > 0 && !slices.ContainsFunc(w.UnitHas, func(want string) bool { return slices.Contains(t.Units, want) }):
		return false
	case slices.ContainsFunc(w.UnitNot, func(not string) bool {
		return slices.ContainsFunc(t.Units, func(u string) bool { return strings.EqualFold(u, not) })
	}):
		return false
	case len(w.PathHas) > 0 && !slices.ContainsFunc(w.PathHas, func(want string) bool {
		return slices.ContainsFunc(t.Paths, func(p string) bool { return strings.HasPrefix(p, want) })
	}):
		return false
	case w.DateOf != "":
		at, err := time.Parse(time.RFC3339, setting(t.Mode, w.DateOf))
		if err != nil || x.At.Sub(at) < time.Duration(w.DaysOld)*24*time.Hour {
			return false
		}
	}
	return !w.Alone || !slices.ContainsFunc(x.Tools, func(o record.SecurityTool) bool {
		return o.Name != t.Name && slices.Contains(w.Category, o.Category) && o.State == record.SecurityRunning
	})
}

// settings are those in the words of a tool, pieces such as
// "Real-Time Protection.DisableRealtimeMonitoring=1" parted by spaces, by the last part of the name.
func settings(mode string) (list []string) {
	for piece := range strings.FieldsSeq(mode) {
		if key, value, ok := strings.Cut(piece, "="); ok {
			list = append(list, key[strings.LastIndexByte(key, '.')+1:]+"="+value)
		}
	}
	return list
}

// setting is the value of a setting; empty: it is not told.
func setting(mode, name string) string {
	for _, s := range settings(mode) {
		if value, ok := strings.CutPrefix(s, name+"="); ok {
			return value
		}
	}
	return ""
}
