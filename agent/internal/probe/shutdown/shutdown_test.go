package shutdown_test

import (
	"errors"
	"strings"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/shutdown"
	"hozen/internal/artifact/record"
)

func noticed() (record.Shutdown, bool) {
	return record.Shutdown{Reason: record.ReasonDown, BootID: "b", Notices: []record.ShutdownNotice{{Event: "down", Source: "logind", ByUID: record.Unknown}}}, true
}

func TestConformance(t *testing.T) {
	probetest.Run(t, probetest.Config{New: func() probe.Probe { return shutdown.New(noticed) }})
}

func TestLines(t *testing.T) {
	var l probetest.Lines
	if err := shutdown.New(noticed).Acquire(t.Context(), &l); err != nil || len(l.All) != 1 || !strings.Contains(string(l.All[0]), `"source":"logind"`) {
		t.Errorf("%v, %s", err, l.All)
	}
	l = probetest.Lines{}
	none := func() (record.Shutdown, bool) { return record.Shutdown{}, false }
	if err := shutdown.New(none).Acquire(t.Context(), &l); err != nil || len(l.All) > 0 {
		t.Errorf("no notice: %v, %s", err, l.All)
	}
	if err := shutdown.New(nil).Acquire(t.Context(), &l); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("nobody to ask: %v", err)
	}
}
