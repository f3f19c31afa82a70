package procevent

import (
	"fmt"
	"time"

	"hozen/agent/internal/recorder/entry"
)

const (
	// readPatience is how long one process may take to be read. A command line stands in
	// the process's own memory, whose lock a stuck file system can hold for ever. The
	// kernel's queue holds what happens meanwhile, see [DefaultReceiveBuffer].
	readPatience = time.Second / 2
	// mostStuck bounds how many readers are left behind with stuck processes: each holds
	// a thread until the kernel lets it go.
	mostStuck = 8
)

// The texts of gaps.
const (
	gapStuck = "not read: stuck: process %d does not answer, and its command line is not asked for again as long as it does not"
	gapMost  = "not read: stuck: %d processes do not answer, and no command line is read before one of them does"
)

// Processes reads /proc. A [Reader] does.
type Processes interface {
	// PIDs lists the processes in rising order.
	PIDs() ([]int, error)
	// Read reads all that a start should say.
	Read(e *entry.Event)
	// Plain reads all of that but the command line, which alone stands in the memory of
	// the process: the kernel answers whatever the process hangs in.
	Plain(e *entry.Event)
	// Stat reads parent, start and name, and returns the state, 0 when it is not known.
	Stat(e *entry.Event) (state byte)
	Close() error
}

// Guard reads processes without being held up by one. It is for one goroutine; what it
// returns is valid until it is asked again.
type Guard struct {
	Processes // lists and looks, which does not touch a process's memory
	open      func() (Processes, error)
	hand      *hand
	timer     *time.Timer
	stuck     map[int]bool
	full      bool // that no more readers may be left behind was told
	freed     chan int
}

// hand is a reader that may be left behind.
type hand struct {
	p    Processes
	ask  chan entry.Event
	done chan entry.Event
	left int // the process that it was left behind with, set before ask closes
}

// NewGuard returns a guard of the readers that open makes.
func NewGuard(open func() (Processes, error)) (*Guard, error) {
	p, err := open()
	if err != nil {
		return nil, err
	}
	t := time.NewTimer(readPatience)
	t.Stop()
	return &Guard{Processes: p, open: open, timer: t, stuck: make(map[int]bool), freed: make(chan int, mostStuck)}, nil
}

// GuardProc returns a guard of readers of /proc below root.
func GuardProc(root string) (*Guard, error) {
	return NewGuard(func() (Processes, error) {
		r, err := NewReader(root)
		if err != nil {
			return nil, err
		}
		return r, nil
	})
}

// Read reads all that a start should say. Of a process that does not answer within
// half a second, what the kernel knows is read, the rest marked [entry.UnreadStuck], and
// gap says so the first time. Nothing is asked for again as long as the process hangs.
func (g *Guard) Read(e *entry.Event) (gap string) {
	for len(g.freed) > 0 {
		delete(g.stuck, <-g.freed)
		g.full = false
	}
	switch {
	case g.stuck[e.PID]:
		g.plain(e, entry.UnreadStuck)
		return ""
	case len(g.stuck) >= mostStuck:
		if !g.full {
			g.full, gap = true, fmt.Sprintf(gapMost, len(g.stuck))
		}
		g.plain(e, entry.UnreadStuck)
		return gap
	case !g.ready():
		g.plain(e, 0)
		return ""
	}
	h := g.hand
	h.ask <- *e
	g.timer.Reset(readPatience)
	select {
	case *e = <-h.done:
		g.timer.Stop()
		return ""
	case <-g.timer.C:
	}
	g.stuck[e.PID], g.hand = true, nil
	h.left = e.PID
	close(h.ask)
	g.plain(e, entry.UnreadStuck)
	return fmt.Sprintf(gapStuck, e.PID)
}

// plain reads what does not hang, and marks the rest.
func (g *Guard) plain(e *entry.Event, why entry.Unread) {
	g.Plain(e)
	e.Unread |= entry.UnreadCmdline
	if e.Unread&entry.UnreadGone == 0 {
		e.Unread |= why
	}
}

// ready makes a hand if there is none.
func (g *Guard) ready() bool {
	if g.hand != nil {
		return true
	}
	p, err := g.open()
	if err != nil {
		return false
	}
	h := &hand{p: p, ask: make(chan entry.Event), done: make(chan entry.Event, 1)}
	go func() {
		defer h.p.Close()
		for e := range h.ask {
			h.p.Read(&e)
			h.done <- e
		}
		if h.left != 0 {
			g.freed <- h.left // has room for all of them
		}
	}()
	g.hand = h
	return true
}

// Close ends the guard. Readers that were left behind end when the kernel lets them.
func (g *Guard) Close() error {
	if g.hand != nil {
		close(g.hand.ask)
		g.hand = nil
	}
	return g.Processes.Close()
}
