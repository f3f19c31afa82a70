package act

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/sqldb"
)

// What is written of one thing that one endpoint tells of, such as changes of its
// isolation or events of one kind: an ordinary number at once, then one a minute.
const (
	linesBurst = 20
	lineEvery  = time.Minute
)

// changes is the thing of a restraint that is about the state of an isolation.
const changes = "changes"

// restraint keeps an endpoint that was taken over from filling what is kept for ever:
// beyond an ordinary number its words are counted here, and the next that is written
// tells how many there were. The newest state is stored and shown all the same. What is
// held is told at the latest with the heartbeat that the database hears of; a collector
// that is killed before has forgotten the number.
type restraint struct {
	mu sync.Mutex
	m  map[string]map[string]*spoken // by endpoint and thing: no more than are enrolled
}

type spoken struct {
	lines *rate.Limiter
	held  heldBack
}

// heldBack is what was not written.
type heldBack struct {
	n     uint64                  // lines
	times uint64                  // of events: how often it happened
	since time.Time               // collector clock, of the first of them
	from  endpoint.State          // of changes: the state before the first of them
	event endpoint.IsolationEvent // of events: the newest
}

// tell adds to the facts of a line what was held back before it.
func (h heldBack) tell(facts map[string]string) {
	if h.n > 0 {
		facts["held_back"], facts["held_since"] = strconv.FormatUint(h.n, 10), sqldb.FormatTime(h.since)
	}
}

func newRestraint() *restraint { return &restraint{m: map[string]map[string]*spoken{}} }

// of needs the lock.
func (r *restraint) of(endpointID, thing string) *spoken {
	things := r.m[endpointID]
	if things == nil {
		things = map[string]*spoken{}
		r.m[endpointID] = things
	}
	p := things[thing]
	if p == nil {
		p = &spoken{lines: rate.NewLimiter(rate.Every(lineEvery), linesBurst)}
		things[thing] = p
	}
	return p
}

// may returns what was held back, and whether a line may be written now.
func (r *restraint) may(endpointID, thing string, now time.Time) (heldBack, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.of(endpointID, thing)
	return p.held, p.lines.TokensAt(now) >= 1
}

// wrote remembers that a line was written, with all that was held back.
func (r *restraint) wrote(endpointID, thing string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.of(endpointID, thing)
	p.lines.AllowN(now, 1)
	p.held = heldBack{}
}

// holdEvent remembers an event that was not written.
func (r *restraint) holdEvent(ev endpoint.IsolationEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &r.of(ev.EndpointID, string(ev.Kind)).held
	h.count(ev.ReceivedAt)
	h.times += uint64(ev.Count)
	h.event = ev
}

// holdChange remembers a change of the isolation that was not written.
func (r *restraint) holdChange(endpointID string, from endpoint.State, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &r.of(endpointID, changes).held
	if h.n == 0 {
		h.from = from
	}
	h.count(now)
}

// hold remembers a line of another thing that was not written.
func (r *restraint) hold(endpointID, thing string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(endpointID, thing).held.count(now)
}

func (h *heldBack) count(now time.Time) {
	if h.n == 0 {
		h.since = now
	}
	h.n++
}

// waiting returns what is held back of events and may be written now, by their kind.
func (r *restraint) waiting(endpointID string, now time.Time) []heldBack {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []heldBack
	things := r.m[endpointID]
	for _, thing := range slices.Sorted(maps.Keys(things)) {
		if p := things[thing]; p.held.times > 0 && p.lines.TokensAt(now) >= 1 {
			list = append(list, p.held)
		}
	}
	return list
}
