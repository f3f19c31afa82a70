package selftest_test

import (
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/selftest"
	"hozen/internal/artifact/record"
)

func TestConformance(t *testing.T) {
	fresh := func() probe.Probe {
		return selftest.New([]record.SelfTest{
			{Check: "agent", Outcome: "ok", Got: "1.0"}, {Check: "preshutdown", Outcome: "bad", Want: "120000 ms", Got: "10000 ms"},
			{Check: "rehearsal", Outcome: "ok", TookNS: 700e6}, {Check: "zz", Outcome: "not_available", Detail: "日本語 \x01"},
		})
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("check")})
}
