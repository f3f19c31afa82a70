// Package popup shows messages on the screens of whoever is signed in to a PC: to everybody
// at once, and to those who sign in while a message stands. It knows nothing of what the
// messages are about, nor of Windows' functions, which its caller hands in.
package popup

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// defaultLimit is how long all screens together may take to get a message.
const defaultLimit = 2 * time.Second

// Message is what is shown.
type Message struct {
	Title, Body string
	// Quiet is a message that nobody need look at at once.
	Quiet bool
	// For is how long it stays where nobody closes it. Zero: until somebody does.
	For time.Duration
}

// Session is one that somebody is signed in to.
type Session struct {
	ID uint32
	// Since is when somebody signed in; zero where the system does not tell.
	Since time.Time
}

// Screens are those of a PC.
type Screens interface {
	// Sessions lists those that somebody is signed in to.
	Sessions() ([]Session, error)
	// Show puts a message on the screen of a session and does not wait until it is closed. A
	// call that hangs costs that session the message, and nobody else.
	Show(session uint32, m Message) error
}

// Config is the manual of a Teller.
type Config struct {
	Screens Screens
	// Limit is how long all screens together are waited for, and the list of them. Default 2 s.
	Limit time.Duration
	// Again is when a message that stands is shown once more, quietly, to whoever was told.
	// Zero: never.
	Again time.Duration
	// Log hears, once for each session, who was not told and why. Optional.
	Log *slog.Logger
}

// Teller tells people. It may be used by several goroutines.
type Teller struct {
	cfg Config

	mu sync.Mutex
	// told are the sessions that know the message that stands.
	told map[uint32]telling
	// round counts messages that stand: who takes an earlier one late does not know this one.
	round int
	// listing: the list of sessions was asked for and has not come yet.
	listing bool
	// before: sessions that began by then know it from an earlier run of the program.
	before time.Time
	// busy are those whose screen has not taken the last message yet.
	busy map[uint32]bool
	// failed are the errors that were logged.
	failed map[uint32]string
}

// telling is when a session began, and when it was told.
type telling struct{ since, at time.Time }

// New returns a Teller.
func New(cfg Config) *Teller {
	if cfg.Limit <= 0 {
		cfg.Limit = defaultLimit
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Teller{cfg: cfg, told: map[uint32]telling{}, busy: map[uint32]bool{}, failed: map[uint32]string{}}
}

// Say tells everybody something of this moment.
func (t *Teller) Say(ctx context.Context, m Message) {
	list, _ := t.sessions(ctx)
	t.show(ctx, list, m, nil)
}

// Announce tells everybody, and from now on they know.
func (t *Teller) Announce(ctx context.Context, m Message) {
	t.mu.Lock()
	clear(t.told)
	t.before = time.Time{}
	t.round++
	t.mu.Unlock()
	t.Greet(ctx, m)
}

// Known says that an earlier run of the program announced what stands now, at that time.
func (t *Teller) Known(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before = at
}

// Greet tells those who signed in since, and whom nobody could tell before, and those whom
// it is time to tell again; it returns how many were told. Of whom is not known when they signed
// in, that counts as since.
func (t *Teller) Greet(ctx context.Context, m Message) (n int) {
	all, whole := t.sessions(ctx)
	t.mu.Lock()
	ids := map[uint32]time.Time{}
	for _, s := range all {
		ids[s.ID] = s.Since
	}
	// Whoever gets the number of a session that is gone is somebody else.
	maps.DeleteFunc(t.told, func(id uint32, was telling) bool {
		now, there := ids[id]
		return there && !now.Equal(was.since) || !there && whole
	})
	var first, again []Session
	for _, s := range all {
		was, told := t.told[s.ID]
		if !told && !s.Since.IsZero() && !s.Since.After(t.before) {
			was, told = telling{s.Since, t.before}, true
		}
		switch {
		case !told:
			first = append(first, s)
		case t.cfg.Again > 0 && time.Since(was.at) >= t.cfg.Again:
			again = append(again, s)
		}
	}
	round := t.round
	t.mu.Unlock()
	// Who takes it late knows it too.
	know := func(s Session) {
		if t.round == round {
			t.told[s.ID] = telling{s.Since, time.Now()}
		}
	}
	n = t.show(ctx, first, m, know)
	m.Quiet = true
	return n + t.show(ctx, again, m, know)
}

// sessions lists those in which somebody sits; whole says that these are all. It waits no longer
// than the limit, and asks nothing new of a system that has not answered.
func (t *Teller) sessions(ctx context.Context) (list []Session, whole bool) {
	const services = 0 // the session in which nobody sits
	t.mu.Lock()
	listing := t.listing
	t.listing = true
	t.mu.Unlock()
	if listing {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Limit)
	defer cancel()
	type answer struct {
		list []Session
		err  error
	}
	answered := make(chan answer, 1) // who answers late finds room, and nobody that reads
	go func() {
		list, err := t.cfg.Screens.Sessions()
		t.mu.Lock()
		t.listing = false
		t.mu.Unlock()
		answered <- answer{list, err}
	}()
	select {
	case a := <-answered:
		t.trouble(ctx, services, a.err)
		return slices.DeleteFunc(a.list, func(s Session) bool { return s.ID == services }), a.err == nil
	case <-ctx.Done():
		t.trouble(ctx, services, errNoList)
		return nil, false
	}
}

// errNoList is the error of a system that does not say who is signed in.
var errNoList = errors.New("list who is signed in: no answer in time")

// show returns how many screens took the message within the limit. know, which may be nil, is
// called for each that takes it, also later, with the mutex held.
func (t *Teller) show(ctx context.Context, list []Session, m Message, know func(Session)) (shown int) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Limit)
	defer cancel()
	took := make(chan bool, len(list)) // who takes it late finds room, and nobody that reads
	waiting := 0
	for _, s := range list {
		t.mu.Lock()
		busy := t.busy[s.ID]
		t.busy[s.ID] = true
		t.mu.Unlock()
		if busy {
			continue
		}
		waiting++
		go func() {
			err := t.cfg.Screens.Show(s.ID, m)
			t.mu.Lock()
			delete(t.busy, s.ID)
			if err == nil && know != nil {
				know(s)
			}
			t.mu.Unlock()
			t.trouble(ctx, s.ID, err)
			took <- err == nil
		}()
	}
	for ; waiting > 0; waiting-- {
		select {
		case ok := <-took:
			if ok {
				shown++
			}
		case <-ctx.Done():
			t.cfg.Log.WarnContext(ctx, "screens do not take what is to be shown", slog.Int("sessions", waiting))
			return shown
		}
	}
	return shown
}

// trouble logs an error once for each session; 0 is the list of them.
func (t *Teller) trouble(ctx context.Context, session uint32, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		delete(t.failed, session)
		return
	}
	if t.failed[session] == err.Error() {
		return
	}
	t.failed[session] = err.Error()
	t.cfg.Log.WarnContext(ctx, "somebody is not told what the PC has to tell", slog.Int("session", int(session)), slog.Any("error", err))
}
