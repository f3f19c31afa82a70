package popup_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
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
	// show is asked before a screen shows something.
	show func(session uint32) error
}

func (p *pc) Sessions() ([]popup.Session, error) {
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
	p.seen = append(p.seen, fmt.Sprintf("%d %s", session, m.Title))
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
