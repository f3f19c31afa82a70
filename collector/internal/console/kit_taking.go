package console

import (
	"net/http"
	"sync"
	"time"

	"hozen/collector/internal/act"
)

// answerTime is how long an answer may take to be sent once it is known.
const answerTime = time.Minute

// unhurried takes the limits of [Harden] off one request, whose work takes as long as the
// evidence is large, and returns what sets a limit for the answer.
func unhurried(v *visit) (answer func()) {
	rc := http.NewResponseController(v.w)
	_ = rc.SetReadDeadline(time.Time{}) // of a server that has none, there is none to move
	_ = rc.SetWriteDeadline(time.Time{})
	return func() { _ = rc.SetWriteDeadline(time.Now().Add(answerTime)) }
}

// maxTakings bounds how many outcomes are kept that nobody saw.
const maxTakings = 100

// takings are the sticks that are being taken in, and what came of those whose browser did
// not wait for it.
type takings struct {
	mu  sync.Mutex
	all map[string]*taking // by upload
}

type taking struct {
	by      string // identifier of the operator who asked, who alone is shown the outcome
	running bool
	at      time.Time
	out     act.Imported
	err     error
}

func newTakings() *takings { return &takings{all: map[string]*taking{}} }

// begin notes that a stick is being taken in; false: it is already.
func (t *takings) begin(uploadID, operatorID string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.all[uploadID]; x != nil && x.running {
		return false
	}
	t.all[uploadID] = &taking{by: operatorID, running: true, at: now}
	return true
}

// end notes what came of it, if it is to be kept.
func (t *takings) end(uploadID string, out act.Imported, err error, keep bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.all[uploadID]
	if x == nil || !keep {
		delete(t.all, uploadID)
		return
	}
	x.running, x.out, x.err = false, out, err
	for len(t.all) > maxTakings {
		oldest := ""
		for id, y := range t.all {
			if !y.running && (oldest == "" || y.at.Before(t.all[oldest].at)) {
				oldest = id
			}
		}
		if oldest == "" {
			return
		}
		delete(t.all, oldest)
	}
}

func (t *takings) of(uploadID string) taking {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.all[uploadID]; x != nil {
		return *x
	}
	return taking{}
}

// forget forgets the outcome of a stick that was given up.
func (t *takings) forget(uploadID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.all[uploadID]; x != nil && !x.running {
		delete(t.all, uploadID)
	}
}
