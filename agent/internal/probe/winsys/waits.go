package winsys

import "sync"

const (
	// mostWaits bounds the threads of the agent that wait for the name of a file. Each costs
	// some memory until it has its answer, and holds a handle.
	mostWaits = 64
	// scanWaits bounds those of one reading, which each of them holds up for a moment.
	scanWaits = 8
)

// waits counts the threads that an answer keeps waiting, and knows the objects that they ask
// about: those are not asked about again. So whoever has handles that never answer costs each
// reading a little time, and takes the names of all others from none.
type waits struct {
	mu      sync.Mutex
	all     int
	scan    int
	objects map[uint64]int
}

// begin begins a reading.
func (w *waits) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scan = 0
}

// may reports whether an object may be asked about. The address of an object is 0 where
// Windows does not tell it.
func (w *waits) may(object uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all < mostWaits && w.scan < scanWaits && (object == 0 || w.objects[object] == 0)
}

// add says that a thread is left behind with a question about an object.
func (w *waits) add(object uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all++
	w.scan++
	if w.objects == nil {
		w.objects = map[uint64]int{}
	}
	w.objects[object]++
}

// answered says that it has its answer.
func (w *waits) answered(object uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if w.objects[object]--; w.objects[object] == 0 {
		delete(w.objects, object)
	}
}
