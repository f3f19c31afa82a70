package trial

import (
	"context"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/internal/winapi/adapters"
)

var _ isolate.Trials = (*Prober)(nil)

// look finds out with whom this endpoint talks by its adapters (GetAdaptersAddresses): their
// gateways and their resolvers. Time servers have names, and none is resolved.
func (p *Prober) look() (s scene, err error) {
	list, err := adapters.List()
	for _, a := range list {
		if !a.Up {
			continue
		}
		for _, o := range a.Addresses {
			if !o.IsLoopback() {
				s.own = append(s.own, o)
			}
		}
		for _, g := range a.Gateways {
			if usable(g) && len(s.gateways) < most {
				s.gateways = append(s.gateways, gateway{addr: g})
			}
		}
		for _, r := range a.Resolvers {
			if usable(r) && len(s.resolvers) < most {
				s.resolvers = append(s.resolvers, r)
			}
		}
	}
	return s, err
}

// dialer is nil where nothing that is tried would show anything: Wine has no filtering
// engine, and what a stand-in for it is told nobody does.
func (p *Prober) dialer() *dialer {
	if adapters.Wine() {
		return nil
	}
	s, err := p.look()
	return &dialer{p: p, scene: s, err: err, try: dialed}
}

// Controls implements [isolate.Trials].
func (p *Prober) Controls(ctx context.Context) (c isolate.Controls) {
	d := p.dialer()
	if d == nil {
		return c
	}
	home := p.home(ctx)
	c.Open = d.controls(ctx)
	if home != nil && (<-home).back {
		c.Open = append(c.Open, isolate.Control{Name: "collector"})
	}
	if len(c.Open) > 0 {
		c.At = time.Now().UTC().Round(0)
	}
	return c
}

// Try implements [isolate.Trials]. The filters have no counters that could be read.
func (p *Prober) Try(ctx context.Context, pol isolate.Policy, c isolate.Controls, _ func(context.Context) ([]isolate.Drop, error)) []isolate.Trial {
	d := p.dialer()
	if d == nil {
		return nil
	}
	pol = pol.Clean()
	home := p.home(ctx)
	ts := d.trials(ctx, pol, c)
	if home != nil {
		ts = append(ts, d.home(pol, c, <-home))
	}
	return ts
}
