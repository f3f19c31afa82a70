package state

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"

	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
	"hozen/internal/artifact"
)

const (
	// MostGaps is how many gaps a [State] names; more are counted.
	MostGaps = 64
	// MostConnections bounds the memory, some times what the recorder keeps in mind.
	MostConnections = 1 << 17
	// mostSince bounds what happens while a list is written; one that takes longer is lost.
	mostSince = 1 << 16
)

// ErrNoList says that there is no whole list before the entry that is asked for: it was
// overwritten, or the recorder has only begun.
var ErrNoList = errors.New("rebuild from flight record: no list of everything before that")

// Connection is what was last told of a socket.
type Connection struct {
	PID           int // who held it when last looked; 0 when not known
	UID           int64
	Proto, State  uint8 // as in [entry.Event]
	Local, Remote netip.AddrPort
	Inode         uint64
	IfIndex       uint32
}

// Connections are what is open, by the kernel's number of the socket.
type Connections map[uint64]Connection

// Apply follows one event.
func (t Connections) Apply(e *entry.Event) {
	switch e.Type {
	case entry.ConnectionOpened, entry.ConnectionChanged, entry.ConnectionListed:
		if _, known := t[e.Cookie]; !known && len(t) >= MostConnections {
			return
		}
		t[e.Cookie] = Connection{e.PID, e.UID, e.Proto, e.State, e.Local, e.Remote, e.Inode, e.IfIndex}
	case entry.ConnectionClosed:
		delete(t, e.Cookie)
	}
}

// Gap is something because of which a State may be wrong.
type Gap struct {
	Seq    uint64 // of the entry that tells it
	At     artifact.Instant
	Source entry.Source // none: the ring
	Lost   uint64       // how many events or entries; 0 when not known
	Detail string
}

// State is what ran and was connected at the instant of one entry.
type State struct {
	Seq         uint64 // of that entry
	At          artifact.Instant
	BootID      string
	List        uint64 // of the entry in which the list begins that all is built on
	Processes   Processes
	Connections Connections
	// Gaps are what was lost since the last list that was compared with /proc; without
	// one, the tables are what the recorder held when it wrote the entry.
	Gaps []Gap
	More int // gaps that are not named
}

// Replay rebuilds the tables from entries, which are to be given in their order and
// without leaving any out. The zero value has seen none.
type Replay struct {
	now  State
	base bool
	// A list that is not whole yet: what it says so far, what happened since it was
	// taken, and how much of it is to come.
	next      State
	since     []entry.Event
	processes int
	sockets   int
	verified  bool
	pending   bool
}

// Entry follows one entry.
func (r *Replay) Entry(e *ring.Entry) {
	if e.BootID != r.now.BootID {
		*r = Replay{now: State{BootID: e.BootID}}
	}
	r.now.Seq, r.now.At = e.Seq, e.At
	if e.Kind == ring.KindGap {
		g, err := e.Gap()
		if err != nil {
			g.Reason = err.Error()
		}
		r.gap(Gap{Seq: e.Seq, At: e.At, Lost: g.Entries, Detail: g.Reason}, g.Reason == ring.GapDiskFull)
		return
	}
	for v, err := range entry.Events(e.Payload, e.At.BootNS) {
		if err != nil {
			r.gap(Gap{Seq: e.Seq, At: e.At, Detail: err.Error()}, false)
			return
		}
		r.event(e, &v)
	}
}

// Damage notes that entries could not be read.
func (r *Replay) Damage(err error) {
	r.gap(Gap{Seq: r.now.Seq, At: r.now.At, Detail: err.Error()}, false)
}

// gap notes one; old says that it lies before what is there, and hurts nothing.
func (r *Replay) gap(g Gap, old bool) {
	if old {
		return
	}
	r.now.gap(g)
	if r.pending {
		r.next.gap(g)
	}
}

func (s *State) gap(g Gap) {
	if len(s.Gaps) < MostGaps {
		s.Gaps = append(s.Gaps, g)
	} else {
		s.More++
	}
}

func (r *Replay) event(e *ring.Entry, v *entry.Event) {
	switch v.Type {
	case entry.Snapshot:
		r.begin(e, v)
	case entry.ProcessListed:
		if r.pending {
			r.next.Processes.Apply(v)
			r.processes--
			r.whole()
		}
	case entry.ConnectionListed:
		if r.pending {
			r.next.Connections.Apply(v)
			r.sockets--
			r.whole()
		}
	case entry.Gap:
		r.gap(Gap{e.Seq, e.At, v.Source, v.Lost, string(v.Detail)}, false)
	case entry.Heartbeat:
		if n := len(r.now.Processes); r.base && n != v.Processes {
			r.gap(Gap{Seq: e.Seq, At: e.At, Detail: fmt.Sprintf("the recorder counted %d processes, the record has %d", v.Processes, n)}, false)
		}
	default:
		if r.base {
			r.now.apply(v)
		}
		if r.pending = r.pending && len(r.since) < mostSince; r.pending {
			r.since = append(r.since, *v)
		}
	}
}

func (s *State) apply(v *entry.Event) {
	s.Processes.Apply(v)
	s.Connections.Apply(v)
}

// begin begins a list. One before it that never became whole is given up.
func (r *Replay) begin(e *ring.Entry, v *entry.Event) {
	r.next = State{BootID: e.BootID, List: e.Seq, Processes: make(Processes), Connections: make(Connections)}
	r.pending, r.since, r.processes, r.sockets, r.verified = true, nil, v.Processes, v.Connections, v.Source == entry.SourceProcFS
	if len(v.Detail) > 0 {
		r.next.gap(Gap{e.Seq, e.At, entry.SourceSockDiag, 0, string(v.Detail)})
	}
	r.whole()
}

// whole goes on from the list when all of it is there.
func (r *Replay) whole() {
	if r.processes > 0 || r.sockets > 0 {
		return
	}
	for i := range r.since {
		r.next.apply(&r.since[i])
	}
	switch {
	case r.verified:
	case r.base: // it may be as wrong as what was before
		r.next.Gaps, r.next.More = r.now.Gaps, r.now.More
	default:
		r.next.gap(Gap{Seq: r.next.List, At: r.now.At, Source: entry.SourceRecorder, Detail: "the list was not compared with /proc"})
	}
	r.next.Seq, r.next.At = r.now.Seq, r.now.At
	r.now, r.base, r.pending, r.next, r.since = r.next, true, false, State{}, nil
}

// State returns the tables after the entry that was followed last; false before the
// first whole list. It is valid until the next entry.
func (r *Replay) State() (State, bool) { return r.now, r.base }

// At rebuilds the tables at the instant of the entry seq, or of the last one before it
// if that one is not there. Entries are those of one boot in their order, as ring.Read
// gives them; damage among them becomes a gap. The error is [ErrNoList] or that of the
// reading.
func At(entries iter.Seq2[ring.Entry, error], seq uint64) (State, error) {
	var r Replay
	for e, err := range entries {
		if d, damaged := errors.AsType[*ring.Damage](err); damaged {
			r.Damage(d)
			continue
		}
		if err != nil {
			return State{}, fmt.Errorf("rebuild from flight record: %w", err)
		}
		if e.Seq > seq {
			break
		}
		r.Entry(&e)
	}
	s, ok := r.State()
	if !ok {
		return State{}, ErrNoList
	}
	s.Processes, s.Connections = maps.Clone(s.Processes), maps.Clone(s.Connections)
	return s, nil
}
