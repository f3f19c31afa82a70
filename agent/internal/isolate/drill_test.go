package isolate_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// drill is an order to practise for a minute.
func drill(id string) isolate.Request {
	r := order(id)
	r.Policy, r.Drill, r.Until = isolatetest.PolicyB(), true, time.Now().Add(time.Minute)
	return r
}

// A drill changes nothing of an isolation in earnest, whose end it would be, not even of
// one whose record is lost.
func TestDrillReplacesNothingInEarnest(t *testing.T) {
	for name, before := range map[string]func(t *testing.T, r *rig){
		"at once":   func(*testing.T, *rig) {},
		"restarted": func(t *testing.T, r *rig) { r.restart(t) },
		"lost":      func(t *testing.T, r *rig) { r.store.Lose(); r.restart(t); reconcile(t, r, isolate.Isolated) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				if _, err := r.Isolate(t.Context(), coded(t, "cmd_1")); err != nil {
					t.Fatal(err)
				}
				before(t, r)
				was := r.Status(t.Context())
				applied := r.fw.Calls("apply")
				st, err := r.Isolate(t.Context(), drill("cmd_2"))
				if !errors.Is(err, isolate.ErrDrill) || r.fw.Calls("apply") != applied {
					t.Errorf("%v, applied %d times", err, r.fw.Calls("apply")-applied)
				}
				want(t, st, isolate.Isolated, isolate.Isolated, "")
				if st.Drill || !st.Until.IsZero() || st.CommandID != was.CommandID || st.CodeNumber != was.CodeNumber || !st.Policy.Equal(was.Policy) {
					t.Errorf("%+v", st)
				}
				time.Sleep(time.Hour)
				reconcile(t, r, isolate.Isolated)
			})
		})
	}
}

// A drill gives way to another drill, and to earnest, which does not end when it would
// have.
func TestDrillGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for _, id := range []string{"cmd_1", "cmd_2", "cmd_2"} {
			if st, err := r.Isolate(t.Context(), drill(id)); err != nil || !st.Drill {
				t.Fatalf("%+v, %v", st, err)
			}
		}
		if st, err := r.Isolate(t.Context(), order("cmd_3")); err != nil || st.Drill || !st.Until.IsZero() {
			t.Errorf("%+v, %v", st, err)
		}
		if _, err := r.Isolate(t.Context(), drill("cmd_2")); !errors.Is(err, isolate.ErrDrill) {
			t.Errorf("said again: %v", err)
		}
		time.Sleep(time.Hour)
		reconcile(t, r, isolate.Isolated)
	})
}

// Where nobody knows whether something is isolated in earnest, no drill begins.
func TestDrillOfUnknownEndpoint(t *testing.T) {
	r := newRig(t)
	if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
		t.Fatal(err)
	}
	r.cfg.Store = blind{&r.store}
	r.fault("observe", isolatetest.FailBefore)
	r.restart(t)
	if _, err := r.Isolate(t.Context(), drill("cmd_2")); err == nil || r.fw.Calls("apply") != 1 {
		t.Errorf("%v, applied %d times", err, r.fw.Calls("apply"))
	}
}

// blind is a store of which nothing can be read.
type blind struct{ isolate.Store }

func (blind) Load() (isolate.Record, error) { return isolate.Record{}, isolatetest.ErrInjected }
