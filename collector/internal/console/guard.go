package console

import (
	"crypto/rand"
	"sync"
	"time"
)

// maxKeys bounds every table that strangers can make grow.
const maxKeys = 4096

// once keeps secrets that were just made until the page that shows them has been
// seen: in memory only, for a few minutes, for the operator who asked.
type once struct {
	mu   sync.Mutex
	byID map[string]secret
}

type secret struct {
	operatorID string
	text       string
	expires    time.Time
	about      mintedAbout
}

// mintedAbout is what the page says beside the secret.
type mintedAbout struct {
	TokenID   string
	Subject   string // of whom it is, for a one-time password
	Auto      bool
	ExpiresAt time.Time
	MaxUses   int
}

const secretLife = 10 * time.Minute

func newOnce() *once { return &once{byID: make(map[string]secret)} }

// put keeps text and returns the name under which operatorID may look at it.
func (o *once) put(now time.Time, operatorID, text string, about mintedAbout) string {
	id := rand.Text()
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, s := range o.byID {
		if now.After(s.expires) || len(o.byID) >= maxKeys {
			delete(o.byID, k)
		}
	}
	o.byID[id] = secret{operatorID, text, now.Add(secretLife), about}
	return id
}

func (o *once) get(now time.Time, operatorID, id string) (string, mintedAbout, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s, ok := o.byID[id]
	if !ok || s.operatorID != operatorID || now.After(s.expires) {
		return "", mintedAbout{}, false
	}
	return s.text, s.about, true
}

// recent remembers who looked at what a short while ago, so that turning pages and
// sorting is one viewing in the ledger and not fifty.
type recent struct {
	within time.Duration

	mu sync.Mutex
	at map[string]time.Time
}

func newRecent(within time.Duration) *recent {
	return &recent{within: within, at: make(map[string]time.Time)}
}

func (r *recent) has(key string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.at[key]
	return ok && now.Sub(t) < r.within
}

func (r *recent) add(key string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.at) >= maxKeys {
		for k, t := range r.at {
			if now.Sub(t) >= r.within {
				delete(r.at, k)
			}
		}
		if len(r.at) >= maxKeys {
			clear(r.at) // costs further ledger entries, never a missing one
		}
	}
	r.at[key] = now
}

// streams counts open live streams, which each hold a connection.
type streams struct {
	mu         sync.Mutex
	total      int
	byOperator map[string]int
}

// Limits of live streams.
const (
	maxStreams            = 256
	maxStreamsPerOperator = 12 // tabs of one person
)

func newStreams() *streams { return &streams{byOperator: make(map[string]int)} }

// enter takes a place for operatorID, or reports false; leave gives it back.
func (s *streams) enter(operatorID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxStreams || s.byOperator[operatorID] >= maxStreamsPerOperator {
		return false
	}
	s.total++
	s.byOperator[operatorID]++
	return true
}

func (s *streams) leave(operatorID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.byOperator[operatorID]--; s.byOperator[operatorID] == 0 {
		delete(s.byOperator, operatorID)
	}
}
