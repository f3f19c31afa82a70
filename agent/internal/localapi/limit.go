package localapi

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What one person, and all of them together, may ask.
const (
	maxClients   = 64 // connections at one time, root's apart
	maxPerPerson = 8
	maxOfRoot    = 16
	maxOfHelper  = 2

	reportEvery = 2 * time.Second // of one person
	reportBurst = 5
	// Of all together, root apart: somebody with a range of user identifiers
	// (subuid(5)) is as many persons as they like.
	allReportsEvery = 5 * time.Second
	allReportsBurst = 30

	askRate   = 20 // per second, of one person
	askBurst  = 40
	gateEvery = time.Second // of one person; each looks at every process of the PC
	gateBurst = 5
	maxPeople = 1000

	// Release codes of one person, and of all together, root apart. How many wrong ones
	// there may be is the isolation's business; this keeps orders from waiting. All
	// together may give so many that one who gives them without end leaves room for
	// others.
	codeEvery     = time.Second
	codeBurst     = 5
	allCodesEvery = time.Second / 8
	allCodesBurst = 20
)

const (
	rootUser    = "0"
	unknownUser = "" // where the system does not tell
	// helperPlace and its process stand for one of the agent's helpers.
	helperPlace = "helper "
)

// limits keeps one person from taking the socket away from the others. The one who
// must always be heard is root, who looks after the PC.
type limits struct {
	mu      sync.Mutex
	clients map[string]int
	others  int // clients that are neither root nor helpers
	people  map[string]*person
	reports *rate.Limiter
	given   *rate.Limiter // release codes
	gate    chan struct{} // holds a token while the PC is looked at for somebody
	codes   chan struct{} // and while a release code is
}

type person struct{ reports, asks, gates, codes *rate.Limiter }

func newLimits() *limits {
	return &limits{clients: map[string]int{}, people: map[string]*person{}, reports: rate.NewLimiter(rate.Every(allReportsEvery), allReportsBurst),
		given: rate.NewLimiter(rate.Every(allCodesEvery), allCodesBurst), gate: make(chan struct{}, 1), codes: make(chan struct{}, 1)}
}

// enter takes a place for one connection of a user or a helper, or reports false; leave gives it
// back.
func (l *limits) enter(uid string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := maxPerPerson
	switch {
	case uid == rootUser:
		most = maxOfRoot
	case apart(uid):
		most = maxOfHelper
	case uid == unknownUser: // everybody
		most = maxClients
	}
	if l.clients[uid] >= most || !apart(uid) && l.others >= maxClients {
		return false
	}
	l.clients[uid]++
	if !apart(uid) {
		l.others++
	}
	return true
}

// apart reports whether somebody does not count among all others together.
func apart(uid string) bool { return uid == rootUser || strings.HasPrefix(uid, helperPlace) }

func (l *limits) leave(uid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[uid]--; l.clients[uid] == 0 {
		delete(l.clients, uid)
	}
	if !apart(uid) {
		l.others--
	}
}

// allow reports whether a user may ask that now.
func (l *limits) allow(verb, uid string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.people[uid]
	if p == nil {
		if len(l.people) >= maxPeople {
			clear(l.people)
		}
		p = &person{rate.NewLimiter(rate.Every(reportEvery), reportBurst), rate.NewLimiter(askRate, askBurst),
			rate.NewLimiter(rate.Every(gateEvery), gateBurst), rate.NewLimiter(rate.Every(codeEvery), codeBurst)}
		l.people[uid] = p
	}
	switch verb {
	case VerbReport, VerbPreserve:
		return p.reports.Allow() && (uid == rootUser || l.reports.Allow())
	case VerbGate:
		return p.gates.Allow()
	case VerbRelease:
		return p.codes.Allow() && (uid == rootUser || l.given.Allow())
	}
	return p.asks.Allow()
}

// turn waits until nobody else has the PC looked at: the agent stays small however many
// ask. It reports false when that takes too long; root waits for nobody.
func (l *limits) turn(ctx context.Context, uid string) (leave func(), ok bool) {
	return l.turnAt(ctx, l.gate, uid)
}

// turnAt is turn at a gate.
func (l *limits) turnAt(ctx context.Context, gate chan struct{}, uid string) (leave func(), ok bool) {
	if uid == rootUser {
		return func() {}, true
	}
	limit := time.NewTimer(requestTime)
	defer limit.Stop()
	select {
	case gate <- struct{}{}:
		return func() { <-gate }, true
	case <-limit.C:
	case <-ctx.Done():
	}
	return nil, false
}
