package main

import (
	"testing"

	"hozen/agent/internal/shutdown"
	"hozen/internal/artifact"
)

// TestNothingKeptSwitchesNothingOff: the line of the decision alone is no evidence.
func TestNothingKeptSwitchesNothingOff(t *testing.T) {
	m := artifact.Manifest{Outcome: artifact.Partial, Probes: []artifact.ProbeOutcome{
		{Kind: artifact.KindProcess, Outcome: artifact.Failed},
		{Kind: artifact.KindNetConn, Outcome: artifact.NotStarted},
		{Kind: artifact.KindPreserve, Outcome: artifact.Complete, Records: 1},
	}}
	if !shutdown.Empty(m) {
		t.Error("the decision alone passes for evidence")
	}
	m.Probes[0].Records = 1
	if shutdown.Empty(m) {
		t.Error("processes pass for nothing")
	}
}
