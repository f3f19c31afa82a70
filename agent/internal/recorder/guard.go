package recorder

import (
	"time"

	"hozen/agent/internal/recorder/entry"
)

const (
	// readPatience is how long one process may take to be read. A command line stands in
	// the process's own memory, whose lock a stuck file system can hold for ever.
	readPatience = time.Second
	// mostStuck bounds how many readers are left behind with stuck processes.
	mostStuck = 4
)

// guard reads processes without being held up by one. It is for one goroutine.
type guard struct {
	Processes // lists and looks, which does not touch a process's memory
	open      func() (Processes, error)
	hand      *hand
	stuck     map[int]bool
	freed     chan int
}

// hand is a reader that may be left behind.
type hand struct {
	p    Processes
	ask  chan entry.Event
	done chan entry.Event
}

func newGuard(open func() (Processes, error)) (*guard, error) {
	p, err := open()
	if err != nil {
		return nil, err
	}
	return &guard{Processes: p, open: open, stuck: make(map[int]bool), freed: make(chan int, mostStuck)}, nil
}

// Read is [Processes.Read]; a process that does not answer is marked unread, and is not
// asked again as long as it does not.
func (g *guard) Read(e *entry.Event) {
	for len(g.freed) > 0 {
		delete(g.stuck, <-g.freed)
	}
	const nothing = entry.UnreadExe | entry.UnreadCmdline | entry.UnreadIDs
	if g.stuck[e.PID] || len(g.stuck) >= mostStuck || !g.ready() {
		g.Stat(e)
		e.Unread |= nothing
		return
	}
	h := g.hand
	h.ask <- *e
	t := time.NewTimer(readPatience)
	defer t.Stop()
	select {
	case *e = <-h.done:
		return
	case <-t.C:
	}
	pid := e.PID
	g.stuck[pid] = true
	g.hand = nil
	close(h.ask)
	go func() {
		<-h.done
		g.freed <- pid
	}()
	g.Stat(e)
	e.Unread |= nothing
}

// ready makes a hand if there is none.
func (g *guard) ready() bool {
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
	}()
	g.hand = h
	return true
}

func (g *guard) Close() error {
	if g.hand != nil {
		close(g.hand.ask)
		g.hand = nil
	}
	return g.Processes.Close()
}
