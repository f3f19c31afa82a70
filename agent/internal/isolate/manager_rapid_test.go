package isolate_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// Whatever fails, hangs or half-works, in whatever order, and however often agent or
// machine restart: nothing is called isolated or released that is not, an endpoint
// that was ordered closed does not open by itself, and as soon as the faults end it
// gets to what was ordered last.
func TestAnySequenceOfOrdersFaultsAndRestarts(t *testing.T) {
	steps := rapid.SliceOfN(rapid.SampledFrom([]string{
		"isolate", "isolate elsewhere", "selective", "full", "until", "release", "right code", "wrong code", "reconcile", "status",
		"restart", "reboot", "tamper", "lose", "free", "heard", "a while", "clock forward", "clock back",
	}), 1, 14)
	faults := rapid.SliceOfN(rapid.OneOf(rapid.Just(0), rapid.IntRange(0, isolatetest.Faults-1)), 0, 60)
	many(t, func(rt *rapid.T) {
		s := &sequence{faults: faults.Draw(rt, "faults")}
		todo := steps.Draw(rt, "steps")
		synctest.Test(t, func(*testing.T) { s.run(todo) })
		if s.err != nil {
			rt.Fatal(s.err)
		}
	})
}

// many checks a property a thousand times.
func many(t *testing.T, property func(*rapid.T)) {
	for i := range 10 {
		t.Run(fmt.Sprint(i), func(t *testing.T) { rapid.Check(t, property) })
	}
}

type sequence struct {
	mu     sync.Mutex
	faults []int // those still to come

	fw    isolatetest.Firewall
	store isolatetest.Store
	clock isolatetest.Clock
	m     *isolate.Manager
	// closed: isolation was ordered, seen in force and on disk, and nobody asked for
	// anything else since.
	closed   bool
	ends     bool // by a time that a person set
	restores int
	err      error
}

func (s *sequence) Fatal(a ...any) { s.fail("%v", a) }

// Controls and Try hang now and then, and else tell the truth.
func (s *sequence) Controls(ctx context.Context) isolate.Controls {
	if s.fault() != isolatetest.None {
		<-ctx.Done()
	}
	return isolate.Controls{At: time.Now()}
}

func (s *sequence) Try(ctx context.Context, _ isolate.Policy, _ isolate.Controls, _ func(context.Context) ([]isolate.Drop, error)) []isolate.Trial {
	if s.fault() != isolatetest.None {
		<-ctx.Done()
		return nil
	}
	o := isolate.AsOrdered
	if _, whole := s.fw.InForce(); !whole {
		o = isolate.Contrary
	}
	return []isolate.Trial{{Name: "tcp4", Chain: "inet out", Outcome: o, At: time.Now()}}
}

// request is one of the orders to isolate.
func (s *sequence) request(step string) isolate.Request {
	r := isolate.Request{CommandID: "cmd_" + step, Policy: isolatetest.PolicyA(), Code: stored(s, rightNumber), Lease: time.Hour}
	switch step {
	case "isolate elsewhere":
		r.Policy, r.Code = isolatetest.PolicyB(), nil
	case "selective":
		r.Policy = isolatetest.PolicyC()
		r.Policy.Permits[0].ExpiresAt = s.clock.Now().Add(time.Hour)
	case "full":
		r.Policy = isolatetest.PolicyFull()
	case "until":
		r.Until = s.clock.Now().Add(time.Hour)
	}
	return r
}

func (s *sequence) fault() isolatetest.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 {
		return isolatetest.None
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	return isolatetest.Fault(f)
}

func (s *sequence) fail(format string, a ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, a...)
	}
}

func (s *sequence) start() {
	var err error
	s.m, err = isolate.NewManager(isolate.Config{
		Firewall: &s.fw, Store: &s.store, Clock: &s.clock, Trials: s,
		Tell: func(h isolate.Happening) bool { s.told(h); return true },
		Before: func(ctx context.Context) error {
			if s.fault() == isolatetest.None {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		},
		Collectors: func() []netip.AddrPort { return isolatetest.PolicyA().Collectors },
	})
	if err != nil {
		s.fail("%w", err)
	}
}

// truth compares what the manager says with what the fake kernel enforces.
func (s *sequence) truth(st isolate.Status, err error) {
	p, whole := s.fw.InForce()
	switch {
	case st.Observed == isolate.Isolated && (!whole || !p.Equal(st.Policy)):
		s.fail("called isolated: %+v, in force %v, whole %v", st, p, whole)
	case st.Observed == isolate.Released && p != nil:
		s.fail("called released, in force %v", p)
	case err == nil && st.Observed != st.Desired:
		s.fail("no error, but %s is ordered and %s is observed", st.Desired, st.Observed)
	}
}

// told checks that what is told was measured.
func (s *sequence) told(h isolate.Happening) {
	if h.Status.Observed == isolate.Isolated && h.Status.Reason != "" || h.Count < 1 || h.Kind == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fail("told %+v", h)
	}
}

func (s *sequence) free() {
	s.fw.Free()
	synctest.Wait()
}

func (s *sequence) run(steps []string) {
	defer func() {
		s.free()
		time.Sleep(time.Minute) // what is tried beside all that ends
	}()
	ctx := context.Background()
	s.fw.Next = func(string) isolatetest.Fault { return s.fault() }
	s.store.Next = s.fault
	s.start()
	for _, step := range steps {
		switch step {
		case "isolate", "isolate elsewhere", "selective", "full", "until":
			r := s.request(step)
			st, err := s.m.Isolate(ctx, r)
			s.truth(st, err)
			if errors.Is(err, isolate.ErrEnded) {
				break // said again
			}
			s.ends = !st.Until.IsZero()
			// Said again it ends when it was to end at first.
			s.closed = err == nil && st.Persisted && (!s.ends || time.Until(st.Until) > 30*time.Minute)
		case "right code":
			st, err := s.m.ReleaseByCode(ctx, codeOf(rightNumber).String(), "1000", "sato")
			s.truth(st, errors.Join(err, errors.New("not an order")))
			if !errors.Is(err, isolate.ErrNoCode) {
				s.closed = false
			}
		case "wrong code":
			st, err := s.m.ReleaseByCode(ctx, codeOf(wrongNumber).String(), "1000", "sato")
			s.truth(st, errors.Join(err, errors.New("not an order")))
			if err == nil {
				s.fail("a wrong code was taken")
			}
		case "heard":
			s.m.Heard()
		case "a while":
			s.closed = s.closed && !s.ends
			time.Sleep(45 * time.Minute)
		case "clock forward":
			s.closed = s.closed && !s.ends // perhaps it is over now
			s.clock.Set(24 * time.Hour)
		case "clock back":
			s.clock.Set(-24 * time.Hour)
		case "release":
			s.truth(s.m.Release(ctx, isolate.Request{CommandID: "cmd_r"}))
			s.closed = false
		case "reconcile":
			s.truth(s.m.Reconcile(ctx))
		case "status":
			s.truth(s.m.Status(ctx), errors.New("not an order"))
		case "restart", "reboot":
			s.free() // a call dies with its process
			if step == "reboot" {
				s.fw.Reboot()
				s.clock.Reboot()
			}
			s.start()
			s.truth(s.m.Resume(ctx))
		case "tamper":
			s.fw.Damage()
		case "lose":
			s.store.Lose()
		case "free":
			s.free()
		}
		if st := s.m.Status(ctx); s.closed && st.Desired == isolate.Released {
			s.fail("%s: forgot that isolation was ordered", step)
		}
		if n := s.fw.Calls("restore"); s.closed && n != s.restores {
			s.fail("%s: opened by itself", step)
		} else {
			s.restores = n
		}
	}
	s.mu.Lock()
	s.faults = nil
	s.mu.Unlock()
	s.free()
	for range 3 { // trials that saw the tampering are made again
		_, _ = s.m.Reconcile(ctx)
		time.Sleep(5 * time.Second)
	}
	synctest.Wait()
	st, err := s.m.Reconcile(ctx)
	s.truth(st, err)
	if err != nil {
		s.fail("reconcile without faults: %w", err)
	}
	if s.closed && st.Observed != isolate.Isolated {
		s.fail("ends %s", st.Observed)
	}
}
