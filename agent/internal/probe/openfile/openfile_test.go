package openfile_test

import (
	"errors"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/openfile"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/scan"
)

func fresh() probe.Probe { return openfile.New(scan.New(scan.Options{})) }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("pid", "start_ticks")})
}
