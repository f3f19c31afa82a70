//go:build !windows

package main

import (
	"context"

	"hozen/agent/internal/localapi"
	"hozen/agent/internal/osservice"
	"hozen/internal/i18n"
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

// finding adds a line of the doctor.
func (t *selfTest) finding(f osservice.Finding) {
	k := localapi.Check{Check: "doctor_" + f.ID, Outcome: string(f.Level)}
	if texts, err := catalogue(); err == nil {
		k.Detail = texts.Printer(i18n.English).Text("service.doctor."+f.ID+"."+string(f.Level), f.Words()...)
	}
	t.add(k)
}
