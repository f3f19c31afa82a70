//go:build !windows

package main

import (
	"context"

	"hozen/agent/internal/osservice"
)

// system adds what the doctor finds.
func (t *selfTest) system(ctx context.Context) {
	conf, err := t.c.installation()
	if err != nil {
		return // the doctor's business; the agent is asked all the same
	}
	if p, ok := osservice.InstalledPaths(); ok && conf.Paths == (osservice.Paths{}) {
		t.c.config, t.c.state, t.c.socket = p.Config, p.State, p.Socket
	}
	for _, f := range osservice.Doctor(ctx, conf) {
		t.finding(f)
	}
}
