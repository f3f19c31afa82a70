package isolation_test

import (
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/isolation"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func TestConformance(t *testing.T) {
	fresh := func() probe.Probe {
		return isolation.New(record.Isolation{Occasion: "isolate", Desired: "isolated", Observed: "isolated", Trials: []record.IsolationTrial{{Name: "tcp4", Outcome: "as_ordered"}}})
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("occasion")})
}
