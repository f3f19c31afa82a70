package scan

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"hozen/agent/internal/background"
	"hozen/agent/internal/probe/touch"
)

const (
	readBuffer = 64 << 10
	// maxReplaced bounds the workers started in place of hanging ones. Each hanging one
	// holds a thread until the kernel lets it go.
	maxReplaced = 16
	// farewell is how long workers get to finish the process they are at after their
	// time is over.
	farewell = 20 * time.Millisecond
)

// worker owns the buffers of one goroutine.
type worker struct {
	busy  atomic.Int64 // 1 + the number of the item it is at, 0 between two
	left  atomic.Bool  // given up
	seen  int64        // busy as the watcher last saw it
	buf   []byte
	dents []byte
	arena []byte
	ends  []fdEnd
	path  []byte
	texts map[string]string
	// opened counts for the acquisition that it works for.
	opened *touch.Counter
}

func newWorker() *worker {
	return &worker{
		buf: make([]byte, readBuffer), dents: make([]byte, readBuffer/2), arena: make([]byte, 0, readBuffer),
		path: make([]byte, 0, 64), texts: make(map[string]string),
	}
}

// text returns b as a string, the same one for the same bytes: most processes share
// their executables, directories and control groups.
func (w *worker) text(b []byte) string {
	if s, ok := w.texts[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(w.texts) < 1<<14 {
		w.texts[s] = s
	}
	return s
}

// try does one item. A fault in it costs that item, which the pass tells as missing, and
// not the agent: a panic in a goroutine of ours would end the whole program.
func (w *worker) try(do func(w *worker, i int), i int) {
	defer func() { _ = recover() }()
	do(w, i)
}

// each calls do for the items from *next on, until there are n or ctx ends; *next says
// where to go on. A worker that makes no progress for the patience of the pass is
// given up, its item with it, and replaced; do must publish its results atomically.
func (p *Pass) each(ctx context.Context, next *atomic.Int64, n int, do func(w *worker, i int)) {
	exit := make(chan *worker, p.opt.Workers+maxReplaced)
	var live []*worker
	start := func() {
		w := newWorker()
		if k := len(p.state.idle); k > 0 {
			w, p.state.idle = p.state.idle[k-1], p.state.idle[:k-1]
		}
		w.seen, w.opened = 0, touch.Of(ctx)
		live = append(live, w)
		go func() {
			defer background.Enter(ctx)()
			for ctx.Err() == nil && !w.left.Load() {
				i := next.Add(1) - 1
				if i >= int64(n) {
					break
				}
				w.busy.Store(i + 1)
				w.try(do, int(i))
				w.busy.Store(0)
			}
			exit <- w
		}()
	}
	for range min(p.opt.Workers, n) {
		start()
	}
	watch := time.NewTicker(p.opt.Patience / 2)
	defer watch.Stop()
	done, over := ctx.Done(), false // done is nil for a context that never ends, too
	for started := len(live); len(live) > 0; {
		select {
		case w := <-exit:
			if i := slices.Index(live, w); i >= 0 { // else it was given up and came back
				live = slices.Delete(live, i, i+1)
				p.state.idle = append(p.state.idle, w)
			}
		case <-done:
			done, over = nil, true
			watch.Reset(farewell)
		case <-watch.C:
			before := len(live)
			live = slices.DeleteFunc(live, func(w *worker) bool {
				at := w.busy.Load()
				hangs := at != 0 && at == w.seen
				w.seen = at
				if over || hangs {
					w.left.Store(true)
				}
				return over || hangs
			})
			for range before - len(live) {
				if !over && next.Load() < int64(n) && started < p.opt.Workers+maxReplaced {
					started++
					start()
				}
			}
		}
	}
}
