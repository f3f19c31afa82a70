package popup_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/popup"
)

// pc is a PC of which a test says who is signed in.
type pc struct {
	mu   sync.Mutex
	in   []popup.Session
	err  error
	seen []string
	// list is asked before the list of sessions is given.
	list func()
	// show is asked before a screen shows something.
	show func(session uint32) error
}

func (p *pc) Sessions() ([]popup.Session, error) {
	if p.list != nil {
		p.list()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.in), p.err
}

func (p *pc) Show(session uint32, m popup.Message) error {
	if p.show != nil {
		if err := p.show(session); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, fmt.Sprintf("%d %s", session, m.Title)+map[bool]string{true: " quietly"}[m.Quiet])
	return nil
}

func (p *pc) signsIn(list ...popup.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.in = list
}

// shows fails the test unless screens have shown that since it was last asked.
func (p *pc) shows(t *testing.T, when string, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.Sort(p.seen)
	if !slices.Equal(p.seen, want) {
		t.Errorf("%s: screens show %q, want %q", when, p.seen, want)
	}
	p.seen = nil
}

func at(minute int) time.Time { return time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC) }

// TestEverybodyOnceAndWhoeverComes: a message that stands is shown to everybody once, to
// whoever signs in later, and never to the session of services.
func TestEverybodyOnceAndWhoeverComes(t *testing.T) {
	p := &pc{}
	teller := popup.New(popup.Config{Screens: p})
	cut, open := popup.Message{Title: "cut"}, popup.Message{Title: "open"}
	p.signsIn(popup.Session{}, popup.Session{ID: 1, Since: at(1)}, popup.Session{ID: 2})
	teller.Announce(t.Context(), cut)
	p.shows(t, "at the cut", "1 cut", "2 cut")
	if n := teller.Greet(t.Context(), cut); n != 0 {
		t.Errorf("%d were told again", n)
	}
	p.signsIn(popup.Session{ID: 1, Since: at(1)}, popup.Session{ID: 2}, popup.Session{ID: 3, Since: at(5)})
	if n := teller.Greet(t.Context(), cut); n != 1 {
		t.Errorf("%d were told", n)
	}
	p.shows(t, "at a sign-in", "3 cut")
	p.signsIn(popup.Session{ID: 1, Since: at(9)}, popup.Session{ID: 3, Since: at(5)}) // another person in session 1
	teller.Greet(t.Context(), cut)
	p.shows(t, "in a session of the same number", "1 cut")
	p.signsIn(popup.Session{ID: 1, Since: at(9)}, popup.Session{ID: 2})
	teller.Greet(t.Context(), cut)
	p.shows(t, "in a session that was gone", "2 cut")
	teller.Say(t.Context(), popup.Message{Title: "soon off"})
	p.shows(t, "something of the moment", "1 soon off", "2 soon off")
	teller.Announce(t.Context(), open)
	p.shows(t, "at the end", "1 open", "2 open")
}

// TestAnEarlierRunTold: a program that was started again tells those alone who signed in
// while it was away, and those of whom it cannot know.
func TestAnEarlierRunTold(t *testing.T) {
	p := &pc{}
	teller := popup.New(popup.Config{Screens: p})
	teller.Known(at(5))
	p.signsIn(popup.Session{ID: 1, Since: at(4)}, popup.Session{ID: 2, Since: at(5)}, popup.Session{ID: 3, Since: at(6)}, popup.Session{ID: 4})
	teller.Greet(t.Context(), popup.Message{Title: "cut"})
	p.shows(t, "after a restart", "3 cut", "4 cut")
	teller.Announce(t.Context(), popup.Message{Title: "until ten"})
	p.shows(t, "another message", "1 until ten", "2 until ten", "3 until ten", "4 until ten")
}

// TestAScreenThatHangs costs nobody else the message, and is given no second one before it
// took the first.
func TestAScreenThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		p := &pc{show: func(session uint32) error {
			if session == 1 {
				<-stuck
			}
			return nil
		}}
		p.signsIn(popup.Session{ID: 1}, popup.Session{ID: 2})
		teller := popup.New(popup.Config{Screens: p, Limit: time.Second})
		began := time.Now()
		teller.Announce(t.Context(), popup.Message{Title: "cut"})
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
		p.shows(t, "beside one that hangs", "2 cut")
		if n := teller.Greet(t.Context(), popup.Message{Title: "cut"}); n != 0 || time.Since(began) != time.Second {
			t.Errorf("%d told after %s", n, time.Since(began))
		}
		close(stuck)
		synctest.Wait()
		p.shows(t, "when it goes on", "1 cut")
	})
}

// TestTroubleIsToldOnce: who cannot be told is tried again, and named once.
func TestTroubleIsToldOnce(t *testing.T) {
	var log strings.Builder
	no := errors.New("access denied")
	p := &pc{show: func(session uint32) error {
		if session == 2 {
			return no
		}
		return nil
	}}
	p.signsIn(popup.Session{ID: 1}, popup.Session{ID: 2})
	teller := popup.New(popup.Config{Screens: p, Log: slog.New(slog.NewTextHandler(&log, nil))})
	teller.Announce(t.Context(), popup.Message{Title: "cut"})
	teller.Greet(t.Context(), popup.Message{Title: "cut"})
	if n := strings.Count(log.String(), "access denied"); n != 1 || !strings.Contains(log.String(), "session=2") {
		t.Errorf("%d times:\n%s", n, log.String())
	}
	no = nil
	teller.Greet(t.Context(), popup.Message{Title: "cut"})
	p.shows(t, "when it works", "1 cut", "2 cut")
	p.err = errors.New("the service does not run")
	if n := teller.Greet(context.Background(), popup.Message{Title: "cut"}); n != 0 || !strings.Contains(log.String(), "does not run") {
		t.Errorf("%d told, log:\n%s", n, log.String())
	}
}

// TestAListThatHangs holds nobody up, is not asked for a second time meanwhile, and makes nobody
// hear twice what they know.
func TestAListThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		var asked atomic.Int32
		p := &pc{}
		p.signsIn(popup.Session{ID: 1}, popup.Session{ID: 2})
		teller := popup.New(popup.Config{Screens: p, Limit: time.Second})
		cut := popup.Message{Title: "cut"}
		teller.Announce(t.Context(), cut)
		p.shows(t, "at the cut", "1 cut", "2 cut")
		p.list = func() { asked.Add(1); <-stuck }
		began := time.Now()
		for range 3 {
			if n := teller.Greet(t.Context(), cut); n != 0 {
				t.Errorf("%d were told", n)
			}
		}
		if took := time.Since(began); took != time.Second || asked.Load() != 1 {
			t.Errorf("it took %s, the list was asked for %d times", took, asked.Load())
		}
		close(stuck)
		synctest.Wait()
		p.signsIn(popup.Session{ID: 1}, popup.Session{ID: 2}, popup.Session{ID: 3})
		teller.Greet(t.Context(), cut)
		p.shows(t, "when the list comes again", "3 cut")
		p.err = errors.New("only some are listed")
		p.signsIn(popup.Session{ID: 1})
		teller.Greet(t.Context(), cut)
		p.err = nil
		p.signsIn(popup.Session{ID: 1}, popup.Session{ID: 2})
		teller.Greet(t.Context(), cut)
		p.shows(t, "after a list that was not whole")
	})
}

// TestTakenLate: a screen that takes a message after the limit is not shown it twice, and does
// not know the next one by it.
func TestTakenLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		p := &pc{show: func(uint32) error { <-stuck; return nil }}
		p.signsIn(popup.Session{ID: 1})
		teller := popup.New(popup.Config{Screens: p, Limit: time.Second})
		cut, ten := popup.Message{Title: "cut"}, popup.Message{Title: "until ten"}
		teller.Announce(t.Context(), cut)
		stuck <- struct{}{}
		synctest.Wait()
		teller.Greet(t.Context(), cut)
		p.shows(t, "taken late", "1 cut")
		teller.Announce(t.Context(), cut)
		teller.Announce(t.Context(), ten)
		close(stuck)
		synctest.Wait()
		teller.Greet(t.Context(), ten)
		p.shows(t, "one late, and the next", "1 cut", "1 until ten")
	})
}

// TestShownAgain: a message that stands comes again after its time and quietly, also where an
// earlier run of the program showed it; who comes new hears it as the others did.
func TestShownAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pc{}
		start := time.Now()
		p.signsIn(popup.Session{ID: 1, Since: start})
		cfg := popup.Config{Screens: p, Again: 10 * time.Minute}
		teller := popup.New(cfg)
		cut := popup.Message{Title: "cut"}
		teller.Announce(t.Context(), cut)
		p.shows(t, "at the cut", "1 cut")
		time.Sleep(9 * time.Minute)
		teller.Greet(t.Context(), cut)
		p.shows(t, "before its time")
		time.Sleep(time.Minute)
		p.signsIn(popup.Session{ID: 1, Since: start}, popup.Session{ID: 2, Since: time.Now()})
		teller.Greet(t.Context(), cut)
		teller.Greet(t.Context(), cut)
		p.shows(t, "in its time", "1 cut quietly", "2 cut")
		teller = popup.New(cfg)
		teller.Known(time.Now())
		time.Sleep(9 * time.Minute)
		teller.Greet(t.Context(), cut)
		p.shows(t, "soon after a restart")
		time.Sleep(time.Minute)
		teller.Greet(t.Context(), cut)
		teller.Greet(t.Context(), cut)
		p.shows(t, "later", "1 cut quietly", "2 cut quietly")
	})
}
