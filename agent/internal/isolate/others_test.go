package isolate_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// beside is a firewall that tells the rules of others.
type beside struct {
	*isolatetest.Firewall
	lines []string
	err   error
}

func (b *beside) OthersRules(context.Context) ([]string, error) { return b.lines, b.err }

// A comparison that is owed is not lost with the first attempt to open, nor with the agent.
func TestComparisonOutlivesAFailedRelease(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fault   isolatetest.Fault // of the first attempt to open
		between func(t *testing.T, r *rig, fw *beside)
		want    isolate.OthersVerdict
		says    string
	}{
		{"opened later", isolatetest.FailBefore, func(*testing.T, *rig, *beside) {}, isolate.OthersSame, ""},
		{"changed meanwhile", isolatetest.FailBefore, func(_ *testing.T, _ *rig, fw *beside) { fw.lines = []string{"ip theirs 02"} }, isolate.OthersDiffer, "before: ip theirs 01"},
		{"not readable", isolatetest.FailBefore, func(_ *testing.T, _ *rig, fw *beside) { fw.err = errors.New("no") }, isolate.OthersUnknown, "not read after the release: no"},
		{"the agent ended", isolatetest.FailBefore, func(t *testing.T, r *rig, _ *beside) { r.restart(t) }, isolate.OthersSame, ""},
		{"opened, and the agent ended", isolatetest.FailAfter, func(t *testing.T, r *rig, fw *beside) {
			fw.lines = nil
			r.restart(t)
		}, isolate.OthersUnknown, "not read after the release: the agent ended meanwhile"},
		{"opened, and an error returned", isolatetest.FailAfter, func(*testing.T, *rig, *beside) {}, isolate.OthersSame, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			fw := &beside{Firewall: &r.fw, lines: []string{"ip theirs 01"}}
			r.cfg.Firewall = fw
			r.restart(t)
			if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
				t.Fatal(err)
			}
			r.fault("restore", tt.fault)
			st, _ := r.Release(t.Context(), isolate.Request{CommandID: "cmd_2"})
			if st.Others != nil {
				t.Fatalf("compared before it was opened: %+v", st.Others)
			}
			r.fw.Next = nil
			tt.between(t, r, fw)
			st, err := r.Reconcile(t.Context())
			if err != nil || st.Observed != isolate.Released {
				t.Fatalf("%+v, %v", st, err)
			}
			if o := st.Others; o == nil || o.Verdict != tt.want || !strings.Contains(strings.Join(o.Differences, "\n"), tt.says) {
				t.Fatalf("got %+v, want %s %q", o, tt.want, tt.says)
			}
			// It is what was found then, and is asked once.
			fw.lines = []string{"ip theirs 03"}
			if st, err = r.Reconcile(t.Context()); err != nil || st.Others == nil || st.Others.Verdict != tt.want {
				t.Errorf("again: %+v, %v", st.Others, err)
			}
			r.restart(t)
			if st, err = r.Resume(t.Context()); err != nil || st.Others != nil {
				t.Errorf("after a restart: %+v, %v", st.Others, err)
			}
		})
	}
}

// The cut of an agent that wrote nothing of others' rules has a reason for what is not known.
func TestComparisonWithoutABefore(t *testing.T) {
	r := newRig(t)
	r.cfg.Firewall = &beside{Firewall: &r.fw}
	r.restart(t)
	if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
		t.Fatal(err)
	}
	rec, err := r.store.Load()
	if err != nil {
		t.Fatal(err)
	}
	rec.Beside = isolate.Beside{}
	if err := r.store.Save(rec); err != nil {
		t.Fatal(err)
	}
	r.restart(t)
	st, err := r.Release(t.Context(), isolate.Request{CommandID: "cmd_2"})
	if o := st.Others; err != nil || o == nil || o.Verdict != isolate.OthersUnknown || strings.HasSuffix(o.Differences[0], ": ") {
		t.Errorf("%+v, %v", o, err)
	}
}
