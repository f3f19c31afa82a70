package shutdown

import (
	"testing"
)

func TestEvidenceOfPartOfTheSceneIsNotWhole(t *testing.T) {
	for _, c := range []struct {
		processes, sockets int64
		want               bool
	}{{301, 502, true}, {300, 500, true}, {299, 502, false}, {0, 502, false}, {301, 0, false}} {
		if got := (turn{Processes: c.processes, Sockets: c.sockets}).whole(); got != c.want {
			t.Errorf("%+v: whole %t", c, got)
		}
	}
}

// A record that lacks starts without saying so makes a recorder look cheap.
func TestSilentLossGivesNoFigure(t *testing.T) {
	for _, c := range []struct {
		done recorded
		bad  bool
	}{{recorded{Starts: 600}, false}, {recorded{Starts: 700}, false}, {recorded{Starts: 500, Lost: 100}, false}, {recorded{Starts: 599}, true}, {recorded{}, true}} {
		if err := c.done.check(600); (err != nil) != c.bad {
			t.Errorf("%+v: %v", c.done, err)
		}
	}
}

func TestParseDown(t *testing.T) {
	d, err := parseDown([]byte(`{"format":"hozen-power/1","notices":[],"down":{"acquisition_id":"acq_1","incident_open":true,"sealed_at":{"wall":"2026-01-01T00:00:00Z"},"added_delay_ns":7,"source":"logind"}}`))
	if err != nil || d == nil || d.AcquisitionID != "acq_1" || !d.IncidentOpen || d.SealedAt == nil || d.AddedDelayNS != 7 || d.EndedAt != nil {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := parseDown([]byte(`{"format":"hozen-power/1","notices":[]}`)); err != nil || d != nil {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := parseDown([]byte(`{"down":7}`)); err == nil {
		t.Error("a number was taken for a shutdown")
	}
}

// A storm counts what fails to start or fails.
func TestStormThatFails(t *testing.T) {
	if _, err := storm("/bin/true", 8); err != nil {
		t.Error(err)
	}
	for _, program := range []string{"/bin/false", "/nonexistent"} {
		if _, err := storm(program, 8); err == nil {
			t.Errorf("%s: no error", program)
		}
	}
}
