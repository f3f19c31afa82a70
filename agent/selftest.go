package main

import (
	"context"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/selftest"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// SelfTest keeps the results of a self-test as evidence: signed, and sent like any other.
func (l localAgent) SelfTest(ctx context.Context, checks []localapi.Check) (string, error) {
	lines := make([]record.SelfTest, 0, len(checks))
	for _, c := range checks {
		lines = append(lines, record.SelfTest(c))
	}
	// Whoever hangs up has tested all the same.
	res, err := l.a.acquire(context.WithoutCancel(ctx), acquire.Order{
		Trigger: artifact.TriggerManual, Profile: profileSelfTest,
		Extra: []acquire.Planned{{Budget: time.Second, First: true, New: func() probe.Probe { return selftest.New(lines) }}},
	})
	return res.AcquisitionID, err
}
