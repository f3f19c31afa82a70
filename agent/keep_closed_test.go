package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/config"
	"hozen/agent/internal/isolate"
)

// recorded is an agent's state folder in which an order is recorded.
func recorded(t *testing.T, s isolate.State) *agent {
	t.Helper()
	a := &agent{set: settings{config: config.Default(), state: t.TempDir(), log: newLog(t.Output(), 0, false)}, marks: &marker{}}
	store, err := a.isolationStore()
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Save(isolate.Record{Desired: s, OrderedAt: time.Now().UTC()}); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *agent) stuck(t *testing.T, w *wall) *isolate.Manager {
	t.Helper()
	store, err := a.isolationStore()
	if err != nil {
		t.Fatal(err)
	}
	m, err := isolate.NewManager(isolate.Config{Firewall: w, Store: unsaved{store}, Log: a.set.log})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAgentThatCannotStartKeepsThePCClosed: a full disk at boot is no release.
func TestAgentThatCannotStartKeepsThePCClosed(t *testing.T) {
	a, w := recorded(t, isolate.Isolated), &wall{}
	holdClosed(t.Context(), a.stuck(t, w), a.set.log)
	if !w.closed {
		t.Error("the PC is open")
	}
}

// TestAgentThatCannotStartSaysWhatMatters: that it does not count how long the isolation
// lasts is for the agent that works, and no trouble.
func TestAgentThatCannotStartSaysWhatMatters(t *testing.T) {
	a, w := recorded(t, isolate.Isolated), &wall{}
	store, err := a.isolationStore()
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	r.Lease, r.Until, r.Count = time.Hour, time.Now().Add(time.Hour).UTC(), isolate.Count{Boot: "an earlier one"}
	if err := store.Save(r); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	a.set.log = newLog(&said, 0, false)
	holdClosed(t.Context(), a.stuck(t, w), a.set.log)
	if got := said.String(); !w.closed || strings.Count(got, "\n") != 1 || !strings.Contains(got, "stays isolated as ordered") {
		t.Errorf("closed %t, said:\n%s", w.closed, got)
	}
	if k, err := store.Load(); err != nil || k.Count.Boot != "an earlier one" {
		t.Errorf("%+v, %v", k.Count, err)
	}
}

// TestAgentThatCannotStartOpensNothing: rules that are there may be those of an agent
// that works.
func TestAgentThatCannotStartOpensNothing(t *testing.T) {
	a, w := recorded(t, isolate.Released), &wall{closed: true}
	holdClosed(t.Context(), a.stuck(t, w), a.set.log)
	if len(w.steps) > 0 || !w.closed {
		t.Errorf("did %v", w.steps)
	}
}

// TestDamagedKeyOfIsolation: without its key the record says nothing, and the PC stays
// closed; the agent starts all the same.
func TestDamagedKeyOfIsolation(t *testing.T) {
	for _, key := range [][]byte{nil, make([]byte, 7)} {
		a, w := recorded(t, isolate.Isolated), &wall{}
		path := filepath.Join(a.set.state, "isolation", "key")
		if err := os.WriteFile(path, key, 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := a.stuck(t, w).Resume(t.Context())
		if err != nil || st.Desired != isolate.Isolated || !w.closed {
			t.Errorf("%d bytes: %v, %+v", len(key), err, st)
		}
		if b, err := os.ReadFile(path); err != nil || len(b) != isolationKeySize || slices.Equal(b, make([]byte, isolationKeySize)) {
			t.Errorf("%d bytes: no new key: %v", len(key), err)
		}
	}
}
