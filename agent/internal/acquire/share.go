package acquire

import (
	"runtime/debug"
	"sync"
)

// heap is the limit of memory of the acquisitions that run now. They overlap and do not
// nest: the first sets it, the last gives back what was before.
type heap struct {
	mu     sync.Mutex
	users  int
	before int64
}

// hold keeps the limit until the function that it returns is called, once or more often.
// Beside another acquisition that one's limit holds.
func (h *heap) hold(limit int64) (release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users++; h.users == 1 {
		h.before = debug.SetMemoryLimit(limit)
	}
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.users--; h.users == 0 {
			debug.SetMemoryLimit(h.before)
		}
	})
}

// images is an acquisition's part in who may read all of memory: two at once would need
// twice the room that each was promised, and be slower than one after the other.
type images struct {
	token chan struct{}
	mine  bool
}

// begin reports whether this acquisition may read memory. It does not wait: that could
// take hours, in which what it has read already would not be sealed.
func (i *images) begin() bool {
	if !i.mine {
		select {
		case i.token <- struct{}{}:
			i.mine = true
		default:
		}
	}
	return i.mine
}

func (i *images) end() {
	if i.mine {
		<-i.token
		i.mine = false
	}
}
