package isolate

import (
	"cmp"
	"sync"
	"time"
)

// Happening is something that happened without an order of this moment.
type Happening struct {
	// Kind is what happened, At the agent's wall clock when it did.
	Kind Kind      `json:"kind"`
	At   time.Time `json:"at"`
	// CommandID is the order that is in force or was, if it is known.
	CommandID string `json:"command_id,omitempty"`
	// By is who at the endpoint did it, where somebody did.
	By string `json:"by,omitempty"`
	// Detail says anything else in English.
	Detail string `json:"detail,omitempty"`
	// Differences are what was different from what was ordered, Seen what the kernel told
	// of it.
	Differences []string `json:"differences,omitempty"`
	Seen        []string `json:"seen,omitempty"`
	// Status is isolation as measured afterwards.
	Status Status `json:"status"`
	// Count is how many times it happened since the last Happening of its kind, at least
	// 1; the rest is that of the last time.
	Count int `json:"count"`
}

// Kind is what happened. Kinds are stable codes.
type Kind string

// The kinds.
const (
	// HappenedDrift: somebody else changed the rules, and they were put right.
	HappenedDrift Kind = "drift"
	// HappenedNotInForce: the rules are not as ordered and could not be put right.
	HappenedNotInForce Kind = "not_in_force"
	// HappenedReleasedByCode: released at the endpoint by the code.
	HappenedReleasedByCode Kind = "released_by_code"
	// HappenedCodeRefused: a wrong code was given.
	HappenedCodeRefused Kind = "code_refused"
	// HappenedReleasedByTime: released because Until was over.
	HappenedReleasedByTime Kind = "released_by_time"
	// HappenedRolledBack: the collector was not reached in time, and the order was rolled
	// back as it said.
	HappenedRolledBack Kind = "rolled_back"
	// HappenedLeaseLapsed: the collector was not heard for as long as the lease; still
	// isolated.
	HappenedLeaseLapsed Kind = "lease_lapsed"
	// HappenedRecordLost: the record of the order was missing or damaged; kept closed.
	HappenedRecordLost Kind = "record_lost"
	// HappenedLeak: a trial came out otherwise than it should.
	HappenedLeak Kind = "leak"
	// HappenedPermitEnded: a permit came to its end.
	HappenedPermitEnded Kind = "permit_ended"
	// HappenedTunnelChanged: another tunnel leads to the collector; what is open for it changed.
	HappenedTunnelChanged Kind = "tunnel_changed"
	// HappenedOthersRules: somebody else hooked rules of his own in that accept packets.
	// They change nothing, as a packet must pass ours too; perhaps somebody tried.
	HappenedOthersRules Kind = "others_rules"
	// HappenedReleasedByUninstall: released because the agent was uninstalled.
	HappenedReleasedByUninstall Kind = "released_by_uninstall"
)

// tellEvery is how often a series of the same is told.
const tellEvery = time.Minute

// untoldMax bounds what waits for a receiver that does not return.
const untoldMax = 256

// teller tells of happenings in their order, each series no faster than tellEvery, and
// makes nobody wait.
type teller struct {
	to   func(Happening) bool
	done func(Happening) // called when one was told and kept

	mu      sync.Mutex
	last    map[series]time.Time
	held    map[series]Happening // until its time has come
	queue   []Happening
	telling bool
}

// series are happenings that are told together.
type series struct {
	kind    Kind
	command string
}

func newTeller(to func(Happening) bool, done func(Happening)) *teller {
	return &teller{to: to, done: done, last: map[series]time.Time{}, held: map[series]Happening{}}
}

func (t *teller) tell(h Happening) {
	if t.to == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now, s := time.Now(), series{h.Kind, h.CommandID}
	for old, at := range t.last {
		if _, waits := t.held[old]; !waits && now.Sub(at) >= tellEvery {
			delete(t.last, old)
		}
	}
	at, again := t.last[s]
	if !again {
		t.last[s] = now
		t.push(h)
		return
	}
	earlier, waits := t.held[s]
	h.Count += earlier.Count
	t.held[s] = h
	if !waits {
		time.AfterFunc(at.Add(tellEvery).Sub(now), func() { t.release(s) })
	}
}

// release tells what was held of a series.
func (t *teller) release(s series) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.held[s]
	delete(t.held, s)
	t.last[s] = time.Now()
	t.push(h)
}

// push queues h. The lock is held by the caller.
func (t *teller) push(h Happening) {
	if len(t.queue) == untoldMax {
		t.queue = t.queue[1:]
	}
	t.queue = append(t.queue, h)
	if !t.telling {
		t.telling = true
		go t.run()
	}
}

func (t *teller) run() {
	for {
		t.mu.Lock()
		if len(t.queue) == 0 {
			t.telling = false
			t.mu.Unlock()
			return
		}
		h := t.queue[0]
		t.queue = t.queue[1:]
		t.mu.Unlock()
		if t.to(h) {
			t.done(h)
		}
	}
}

// tell tells of something that just happened. st is what was measured afterwards.
func (m *Manager) tell(h Happening, st Status) {
	if h.At.IsZero() {
		h.At = m.instant().wall
	}
	h.CommandID = cmp.Or(h.CommandID, st.CommandID)
	h.By, h.Status, h.Count = clip(h.By, byMax), st, 1
	m.teller.tell(h)
}

// tellLost tells once that the record was lost.
func (m *Manager) tellLost(st Status) {
	m.mu.Lock()
	lost := m.lost
	m.lost = ""
	m.mu.Unlock()
	if lost != "" {
		m.tell(m.owe(Happening{Kind: HappenedRecordLost, Detail: lost}), st)
	}
}
