package logind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/godbus/dbus/v5"

	"hozen/agent/internal/msgbus"
)

// session is one connection to the bus.
type session struct {
	c    *Client
	conn *msgbus.Conn
	in   *inbox

	holder    string // the owner of logind's name from whom the lock is
	preparing bool   // the PC goes down
	sleeping  bool
	told      bool // that the lock is held, or why not
	retry     time.Duration
}

// subscribe asks for the signals before anything else, so that none is missed.
func (s *session) subscribe(ctx context.Context) error {
	rules := []string{"type='signal',sender='" + busName + "',interface='" + busName + "',member='NameOwnerChanged',arg0='" + loginName + "'"}
	for _, member := range []string{"PrepareForShutdown", "PrepareForShutdownWithMetadata", "PrepareForSleep"} {
		rules = append(rules, "type='signal',sender='"+loginName+"',path='"+string(loginPath)+"',interface='"+manager+"',member='"+member+"'")
	}
	for _, rule := range rules {
		limited, cancel := context.WithTimeout(ctx, callLimit)
		_, err := s.conn.Call(limited, busName, msgbus.Path, busName+".AddMatch", rule)
		cancel()
		if err != nil {
			return fmt.Errorf("subscribe to logind: %w", err)
		}
	}
	return nil
}

// serve works until the connection or ctx ends.
func (s *session) serve(ctx context.Context) error {
	s.take(ctx)
	s.resync(ctx, false)
	for {
		var again <-chan time.Time
		var timer *time.Timer
		if s.retry > 0 {
			timer = time.NewTimer(s.retry)
			again = timer.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.conn.Done():
			return msgbus.ErrLost
		case sig := <-s.in.signals:
			s.signal(ctx, sig)
		case <-s.c.wake:
		case <-again:
		}
		if timer != nil {
			timer.Stop()
		}
		if len(s.in.signals) == 0 && s.in.lost.Swap(false) {
			s.resync(ctx, true)
		}
		if !s.preparing && !s.sleeping && (s.holder == "" || !s.c.State().Held) {
			s.take(ctx)
		}
	}
}

func (s *session) signal(ctx context.Context, sig *dbus.Signal) {
	if sig.Name == busName+".NameOwnerChanged" {
		s.ownerChanged(ctx, sig)
		return
	}
	if !s.in.from(sig) || len(sig.Body) == 0 {
		return
	}
	active, ok := sig.Body[0].(bool)
	if !ok {
		return
	}
	switch sig.Name {
	case manager + ".PrepareForShutdownWithMetadata": // comes before the one without, by contract (org.freedesktop.login1(5))
		var kind string
		if len(sig.Body) > 1 {
			if m, ok := sig.Body[1].(map[string]dbus.Variant); ok {
				if v, ok := m["type"].Value().(string); ok {
					kind = typeOf(v)
				}
			}
		}
		s.shutdown(ctx, active, Event{Type: kind})
	case manager + ".PrepareForShutdown":
		s.shutdown(ctx, active, Event{})
	case manager + ".PrepareForSleep":
		if active == s.sleeping {
			return
		}
		s.sleeping = active
		kind := Resumed
		if active {
			kind = Sleep
		}
		s.c.emit(ctx, Event{Kind: kind, Received: time.Now(), UID: -1})
	}
}

// shutdown tells a change once, however often it is signalled.
func (s *session) shutdown(ctx context.Context, active bool, e Event) {
	if active == s.preparing {
		return
	}
	s.preparing = active
	e.Kind, e.Received, e.UID = Cancelled, time.Now(), -1
	if active {
		e.Kind = Down
	}
	s.c.emit(ctx, e)
}

// ownerChanged takes the lock of a new logind. The one from whom the lock is already is
// met here too when D-Bus started it for us, and needs no second one.
func (s *session) ownerChanged(ctx context.Context, sig *dbus.Signal) {
	_, _, now, _ := ownerChange(sig.Body)
	if now == s.holder && now != "" {
		return
	}
	s.c.unsure() // a logind that is started anew goes on heeding the locks of the one before
	s.holder, s.retry = "", 0
	s.setLogind(now != "")
	if now == "" {
		return // take would start it again; whoever stopped it has reasons
	}
	s.preparing, s.sleeping = false, false
	s.take(ctx)
	s.resync(ctx, false)
}

func (s *session) setLogind(there bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.logind = there
}

// take takes the lock and learns from whom it is. An old one is let go only then, so that
// at no moment nothing holds the PC.
func (s *session) take(ctx context.Context) {
	if o := s.in.owner.Load(); o != nil && *o == "" {
		return
	}
	lock, err := s.inhibit(ctx)
	if err == nil {
		s.c.hold(lock)
	}
	// A logind that refuses the lock, because the PC goes down already, is heard all the same.
	owner, oerr := s.learnOwner(ctx)
	if err == nil {
		s.holder = owner
	}
	err = errors.Join(err, oerr)
	if ctx.Err() != nil || errors.Is(err, msgbus.ErrLost) {
		return
	}
	s.retry = s.nextRetry(err)
	switch {
	case err == nil:
		s.c.readAllowed(ctx)
		s.c.cfg.Log.InfoContext(ctx, "shutdowns are held up until evidence is kept", slog.Duration("allowed", s.c.State().Allowed))
		s.told = false
	case !s.told:
		s.told = true
		s.c.cfg.Log.WarnContext(ctx, "shutdowns cannot be held up", slog.Any("error", err))
	}
}

// nextRetry says when to try again: never while nobody is there, for their coming is
// signalled.
func (s *session) nextRetry(err error) time.Duration {
	if err == nil || absent(err) {
		return 0
	}
	return min(max(2*s.retry, s.c.cfg.MinRetry), s.c.cfg.MaxRetry)
}

// inhibit takes a delay lock.
func (s *session) inhibit(ctx context.Context) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	lock, err := s.conn.Open(ctx, loginName, loginPath, manager+".Inhibit", "shutdown:sleep", s.c.cfg.Who, s.c.cfg.Why, "delay")
	if err != nil {
		return nil, fmt.Errorf("take delay lock: %w", err)
	}
	return lock, nil
}

// learnOwner asks who owns logind's name now. Later changes are signalled.
func (s *session) learnOwner(ctx context.Context) (owner string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	body, err := s.conn.Call(ctx, busName, msgbus.Path, busName+".GetNameOwner", loginName)
	if err == nil {
		err = dbus.Store(body, &owner)
	}
	if err != nil {
		return "", fmt.Errorf("ask who is logind: %w", err)
	}
	s.in.owner.CompareAndSwap(nil, &owner) // a signal that came meanwhile knows better
	return owner, nil
}

// resync asks for what may have been signalled before anybody listened, or was lost.
func (s *session) resync(ctx context.Context, lost bool) {
	v, err := s.c.property(ctx, "PreparingForShutdown")
	if err != nil {
		return
	}
	for len(s.in.signals) > 0 { // what logind signalled before it answered says more
		s.signal(ctx, <-s.in.signals)
	}
	if active, ok := v.(bool); ok && active != s.preparing && (active || lost) {
		s.shutdown(ctx, active, Event{Late: !lost})
	}
}
