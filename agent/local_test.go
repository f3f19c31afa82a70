package main

import (
	"path/filepath"
	"testing"

	"hozen/agent/internal/config"
)

// TestManyReportsAreFewCaptures: every report is kept; whoever sends them without end
// fills neither the spool nor the turn of an order to isolate.
func TestManyReportsAreFewCaptures(t *testing.T) {
	state := shortDir(t)
	a, err := newAgent(settings{config: config.Default(), state: state, socket: filepath.Join(state, "s"), log: newLog(t.Output(), 0, false)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	const reports = 4 * alertCaptureBurst
	for range reports {
		if _, err := (localAgent{a}).Report(t.Context(), "somebody", "again"); err != nil {
			t.Fatal(err)
		}
	}
	a.captures.Wait()
	if kept, taken := len(a.journal.Alerts()), len(a.spool.List()); kept != reports || taken != alertCaptureBurst {
		t.Errorf("%d of %d reports are kept, with %d captures, want %d", kept, reports, taken, alertCaptureBurst)
	}
}
