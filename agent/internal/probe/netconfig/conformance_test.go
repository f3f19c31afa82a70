package netconfig_test

import (
	"errors"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/netconfig"
	"hozen/agent/internal/probe/probetest"
)

func fresh() probe.Probe { return netconfig.New("/") }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("type", "ifindex", "family", "address", "destination", "table", "priority", "file")})
}
