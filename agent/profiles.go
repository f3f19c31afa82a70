package main

import (
	"fmt"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/clock"
	"hozen/agent/internal/probe/exehash"
	"hozen/agent/internal/probe/hostinfo"
	"hozen/agent/internal/probe/netconfig"
	"hozen/agent/internal/probe/netconn"
	"hozen/agent/internal/probe/openfile"
	"hozen/agent/internal/probe/process"
	"hozen/agent/internal/probe/scan"
	"hozen/agent/internal/probe/session"
)

// profileFlash is what can be acquired before a network isolation: at most ten
// seconds, whatever the PC is doing.
const profileFlash = "flash"

// profileBoot is what belongs to a boot as such; what is to be said of the one before
// comes with the order.
const profileBoot = "boot"

// profileProof is the evidence of a network isolation, which comes with the order alone.
const profileProof = "proof"

// profiles makes plans. It is made once, because digests of programs are worth
// remembering from one acquisition to the next.
type profiles struct{ hashes *exehash.Cache }

func newProfiles() *profiles { return &profiles{exehash.NewCache(0)} }

// plan returns a fresh plan; its probes share one reading of the endpoint and serve
// one acquisition. A probe that the system has no source for says so in its outcome,
// so the list is the same everywhere.
func (p *profiles) plan(profile string) (acquire.Plan, error) {
	if profile == profileProof {
		return acquire.Plan{Profile: profileProof}, nil
	}
	if profile == profileBoot {
		return acquire.Plan{Profile: profileBoot, Probes: []acquire.Planned{
			planned(500*time.Millisecond, hostinfo.New("/")), planned(250*time.Millisecond, clock.New("/")),
		}}, nil
	}
	if err := checkProfile(profile); err != nil {
		return acquire.Plan{}, err
	}
	return acquire.Plan{Profile: profileFlash, Probes: p.flash()}, nil
}

func checkProfile(profile string) error {
	if profile != profileFlash {
		return fmt.Errorf("profile %.40q is not known; known: %s", profile, profileFlash)
	}
	return nil
}

// flash lists the probes of the flash profile. Budgets are for the worst PC; on an
// ordinary one all of it takes a fraction of a second.
func (p *profiles) flash() []acquire.Planned {
	pass := scan.New(scan.Options{})
	return []acquire.Planned{
		planned(2*time.Second, process.New(pass)),
		planned(2*time.Second, netconn.New(pass)),
		planned(1500*time.Millisecond, openfile.New(pass)),
		planned(500*time.Millisecond, session.New("/")),
		planned(500*time.Millisecond, netconfig.New("/")),
		planned(500*time.Millisecond, hostinfo.New("/")),
		planned(250*time.Millisecond, clock.New("/")),
		resting(1500*time.Millisecond, exehash.New(pass, p.hashes)),
	}
}

// planned makes a line of a plan.
func planned(budget time.Duration, p probe.Probe) acquire.Planned {
	return acquire.Planned{New: func() probe.Probe { return p }, Budget: budget}
}

// resting is planned with what the probes before it left of their time.
func resting(budget time.Duration, p probe.Probe) acquire.Planned {
	l := planned(budget, p)
	l.Rest = true
	return l
}
