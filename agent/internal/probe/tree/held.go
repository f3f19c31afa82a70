package tree

const (
	maxHeld      = 64 << 10
	maxHeldBytes = 8 << 20
)

// Held bounds the names of folders that a walk keeps while it is further down. Whoever may make
// folders may make many in each of many levels, and a walk stands in all of them at once.
// The zero value holds nothing.
type Held struct{ names, bytes int }

// Keep returns as many of names as half of what is left has room for, so that no folder takes
// the room of those below it; all says that it is all of them. What is returned counts until
// [Held.Drop].
func (h *Held) Keep(names []string) (kept []string, all bool) {
	most, bytes := (maxHeld-h.names)/2, (maxHeldBytes-h.bytes)/2
	n := 0
	for n < len(names) && n < most && len(names[n]) <= bytes {
		bytes -= len(names[n])
		n++
	}
	kept = append(kept, names[:n]...) // lets go of the others
	h.count(kept, 1)
	return kept, n == len(names)
}

// Drop lets go of what [Held.Keep] returned.
func (h *Held) Drop(kept []string) { h.count(kept, -1) }

func (h *Held) count(names []string, by int) {
	h.names += by * len(names)
	for _, n := range names {
		h.bytes += by * len(n)
	}
}
