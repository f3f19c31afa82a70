package severed_test

import (
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/severed"
	"hozen/internal/artifact/record"
)

func lines() []record.Severed {
	return []record.Severed{
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 40000, RemoteAddr: "192.0.2.2", RemotePort: 443, Cookie: 7, Outcome: record.SeveredDestroyed},
		{Proto: "udp", LocalAddr: "2001:db8::1", LocalPort: 5353, RemoteAddr: "2001:db8::2", RemotePort: 53, UID: 1000, Cookie: 8, Outcome: record.SeveredGone},
	}
}

func TestConformance(t *testing.T) {
	probetest.Run(t, probetest.Config{New: func() probe.Probe { return severed.New(lines(), 0) }, Key: probetest.Join("cookie")})
}

// TestOmitted: a list that was cut off says how much is missing.
func TestOmitted(t *testing.T) {
	var l probetest.Lines
	m := probe.AsMissing(severed.New(lines(), 9).Acquire(t.Context(), &l))
	if m == nil || m.Skipped != 9 || len(l.All) != 2 {
		t.Fatalf("%+v, %d lines", m, len(l.All))
	}
}
