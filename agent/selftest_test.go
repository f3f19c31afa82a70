package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/localapi"
	"hozen/internal/artifact"
)

// tested runs the self-test against an agent at a socket.
func tested(t *testing.T, socket string, args ...string) (outcomes map[string]localapi.Check, acquisitionID string, code int) {
	t.Helper()
	code, out, errOut := do(t, "", append([]string{"selftest", "--json", "--socket", socket}, args...)...)
	var got struct {
		Format        string
		AcquisitionID string `json:"acquisition_id"`
		Checks        []localapi.Check
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Format != "hozen-agent-selftest/1" {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errOut)
	}
	outcomes = map[string]localapi.Check{}
	for _, k := range got.Checks {
		outcomes[k.Check] = k
	}
	return outcomes, got.AcquisitionID, code
}

// TestSelfTestIsKept: the results are a sealed acquisition, whose lines are what was shown.
func TestSelfTestIsKept(t *testing.T) {
	a, socket := answering(t, &wall{})
	got, acquisitionID, code := tested(t, socket, "--no-rehearsal")
	if got["agent"].Outcome != checkOK || got["rehearsal"].Outcome != checkNotAvailable || got["drill"].Outcome != checkNotAvailable || code == exitFailed {
		t.Fatalf("exit %d, %+v", code, got)
	}
	m, err := a.kept(acquisitionID)
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Probes[0]; p.Kind != artifact.KindSelfTest || int(p.Records) != len(got) || m.Trigger != artifact.TriggerManual || m.Profile != profileSelfTest {
		t.Errorf("%+v", m)
	}
}

// TestSelfTestIsolates: only when asked for is the network cut, as a drill with an end.
func TestSelfTestIsolates(t *testing.T) {
	w := &wall{}
	a, socket := answering(t, w)
	r, err := localapi.Do(t.Context(), socket, localapi.Request{Verb: localapi.VerbDrill}, nil)
	if err != nil || r.Network == nil || !r.Network.Drill || r.Network.Observed != "isolated" || r.Network.Until.IsZero() {
		t.Fatalf("%+v, %v", r.Network, err)
	}
	// What is isolated in earnest stays so, and the self-test says why.
	if _, err := a.isolate.Release(t.Context(), isolate.Request{}); err != nil {
		t.Fatal(err)
	}
	order, _ := codedOrder(t)
	if _, err := a.isolate.Isolate(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	got, _, code := tested(t, socket, "--no-rehearsal", "--isolate")
	if k := got["drill"]; k.Outcome != checkBad || !strings.Contains(k.Detail, "earnest") || code != exitNotInForce {
		t.Errorf("exit %d, %+v", code, k)
	}
	if st := a.isolate.Status(t.Context()); st.Drill || st.CommandID != order.CommandID {
		t.Errorf("the drill replaced an isolation: %+v", st)
	}
}

// TestSelfTestWithoutAgent: nobody keeps the results, and that is a failure.
func TestSelfTestWithoutAgent(t *testing.T) {
	code, out, errOut := do(t, "", "selftest", "--no-rehearsal", "--socket", filepath.Join(shortDir(t), "none"))
	if code != exitNotRunning || !strings.Contains(out, "Agent") && !strings.Contains(out, "エージェント") || strings.Contains(out+errOut, "⟦") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
}
