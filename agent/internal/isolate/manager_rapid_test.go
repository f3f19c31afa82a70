package isolate_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

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
		"isolate", "isolate elsewhere", "release", "reconcile", "status", "restart", "reboot", "tamper", "lose", "free",
	}), 1, 14)
	faults := rapid.SliceOfN(rapid.OneOf(rapid.Just(0), rapid.IntRange(0, isolatetest.Faults-1)), 0, 60)
	rapid.Check(t, func(rt *rapid.T) {
		s := &sequence{faults: faults.Draw(rt, "faults")}
		todo := steps.Draw(rt, "steps")
		synctest.Test(t, func(*testing.T) { s.run(todo) })
		if s.err != nil {
			rt.Fatal(s.err)
		}
	})
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
	restores int
	err      error
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
		Firewall: &s.fw, Store: &s.store, Clock: &s.clock,
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

func (s *sequence) free() {
	s.fw.Free()
	synctest.Wait()
}

func (s *sequence) run(steps []string) {
	defer s.free()
	ctx := context.Background()
	s.fw.Next = func(string) isolatetest.Fault { return s.fault() }
	s.store.Next = s.fault
	s.start()
	for _, step := range steps {
		switch step {
		case "isolate", "isolate elsewhere":
			p := isolatetest.PolicyA()
			if step != "isolate" {
				p = isolatetest.PolicyB()
			}
			st, err := s.m.Isolate(ctx, isolate.Request{CommandID: "cmd_i", Policy: p})
			s.truth(st, err)
			s.closed = err == nil && st.Persisted
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
	st, err := s.m.Reconcile(ctx)
	s.truth(st, err)
	if err != nil {
		s.fail("reconcile without faults: %w", err)
	}
	if s.closed && st.Observed != isolate.Isolated {
		s.fail("ends %s", st.Observed)
	}
}
