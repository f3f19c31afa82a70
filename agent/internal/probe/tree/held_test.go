package tree

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestHeld: however many levels there are, no more is held, and a level leaves room for those
// below it.
func TestHeld(t *testing.T) {
	names := make([]string, maxHeld)
	for i := range names {
		names[i] = strconv.Itoa(i) + strings.Repeat("x", 250)
	}
	for _, long := range []bool{false, true} {
		var h Held
		var stack [][]string
		held, bytes := 0, 0
		for level := range 24 {
			list := names[:100]
			if level%2 == 0 {
				list = names
			}
			if !long {
				list = slices.Clone(list)
				for i := range list {
					list[i] = "x"
				}
			}
			kept, all := h.Keep(list)
			if all != (len(kept) == len(list)) || level < 10 && len(kept) < 100-50*(level/9) {
				t.Errorf("level %d: %d of %d, %v", level, len(kept), len(list), all)
			}
			for _, n := range kept {
				held, bytes = held+1, bytes+len(n)
			}
			stack = append(stack, kept)
		}
		if held > maxHeld || bytes > maxHeldBytes || held != h.names || bytes != h.bytes {
			t.Errorf("%d names, %d bytes; %+v", held, bytes, h)
		}
		for _, kept := range stack {
			h.Drop(kept)
		}
		if h != (Held{}) {
			t.Errorf("%+v is left", h)
		}
	}
	var h Held
	if kept, all := h.Keep(nil); len(kept) > 0 || !all {
		t.Error(kept, all)
	}
}
