package preserve_test

import (
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/preserve"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func TestConformance(t *testing.T) {
	fresh := func() probe.Probe {
		return preserve.New(record.Preserve{Then: "power_off", Via: "local", DecidedBy: "alice", Reason: "ransom note", Processes: 120, Sessions: -1})
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("via")})
}
