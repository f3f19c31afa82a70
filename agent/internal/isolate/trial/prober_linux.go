package trial

import (
	"context"
	"slices"
	"time"

	"hozen/agent/internal/isolate"
)

// kinds are those that should be cut, with how many targets of one IP version are tried.
var kinds = [...]struct {
	kind kind
	name string
	most int
}{
	{kindTCP, "tcp", 1}, {kindUDP, "udp", 1}, {kindDNS, "dns", 3}, {kindICMP, "icmp", 1},
	{kindRaw, "raw", 4}, {kindBypass, "raw_bypass", 4},
}

// locals are those that stay on this endpoint and are never cut.
var locals = [...]struct {
	kind kind
	name string
}{{kindLoopback, "loopback"}, {kindOwn, "own"}}

// collector is the name of the way home.
const collector = "collector"

// controlsMost is with how many targets of one kind and IP version controls are tried.
const controlsMost = 4

// Controls implements [isolate.Trials]. It takes as long as the slowest answer, at most
// Limit for all, or HomeLimit for the way home. If ctx ends sooner, it returns before that
// with what has answered until then.
func (p *Prober) Controls(ctx context.Context) (c isolate.Controls) {
	home := p.home(ctx)
	out := make(chan []isolate.Control, 1)
	if p.inside(func() { out <- p.controls(ctx) }) == nil {
		c.Open = <-out
	}
	if home != nil && (<-home).back {
		c.Open = append(c.Open, isolate.Control{Name: collector})
	}
	if len(c.Open) > 0 {
		c.At = time.Now().UTC().Round(0)
	}
	return c
}

func (p *Prober) controls(ctx context.Context) (open []isolate.Control) {
	r := p.round(ctx)
	defer r.close()
	most := map[string]int{}
	for _, six := range []bool{false, true} {
		for _, k := range kinds {
			name := nameOf(k.name, six)
			most[name] = k.most
			ws := r.scene.ways(k.kind, name, six)
			for _, w := range ws[:min(len(ws), controlsMost)] {
				r.as = append(r.as, &attempt{way: w})
			}
		}
		for _, k := range locals {
			name := nameOf(k.name, six)
			most[name] = 1
			for _, w := range r.scene.ways(k.kind, name, six) {
				r.as = append(r.as, &attempt{way: w})
			}
		}
	}
	var later []*attempt // frames to whom nobody knows the address yet
	for _, a := range r.as {
		if a.raw() && a.via.mac == nil {
			later = append(later, a)
		} else {
			r.send(a)
		}
	}
	r.await(ctx, within(ctx, p.cfg.Limit), func() bool {
		// What was sent makes the kernel ask for the addresses at the link.
		if len(later) > 0 && r.resolve(ctx) {
			later = slices.DeleteFunc(later, func(a *attempt) bool {
				if a.via.mac != nil {
					r.send(a)
				}
				return a.via.mac != nil
			})
		}
		return r.answered(most)
	})
	for _, a := range r.as {
		if a.back && most[a.name] > 0 {
			most[a.name]--
			open = append(open, isolate.Control{Name: a.name, Target: a.target()})
		}
	}
	return open
}

// answered reports whether of every name as many answered as are needed, or all that
// could.
func (r *round) answered(most map[string]int) bool {
	back, waits := map[string]int{}, map[string]bool{}
	for _, a := range r.as {
		if a.back {
			back[a.name]++
		} else if !a.done() && a.sent > 0 {
			waits[a.name] = true
		}
	}
	for name := range waits {
		if back[name] < most[name] {
			return false
		}
	}
	return true
}

// resolve looks again for the link-layer addresses of the gateways. It reports whether
// one was found.
func (r *round) resolve(ctx context.Context) (found bool) {
	if resolveAgain(ctx, &r.scene) != nil {
		return false
	}
	for _, a := range r.as {
		for _, g := range r.scene.gateways {
			if a.raw() && a.via.mac == nil && g.mac != nil && g.addr == a.via.addr && g.dev.index == a.via.dev.index {
				a.via.mac, found = g.mac, true
			}
		}
	}
	return found
}

// Try implements [isolate.Trials]. Where everything is as ordered it takes a little more
// than Settle and as long as WayHome; what comes out otherwise takes Limit.
func (p *Prober) Try(ctx context.Context, pol isolate.Policy, c isolate.Controls, drops func(context.Context) ([]isolate.Drop, error)) []isolate.Trial {
	t := &try{p: p, policy: pol.Clean(), controls: c, drops: drops}
	out := make(chan []isolate.Trial, 1)
	if err := p.inside(func() { out <- t.run(ctx) }); err != nil {
		return nil // no such namespace: there is no endpoint
	}
	return <-out
}

// try is one call of Try.
type try struct {
	p        *Prober
	policy   isolate.Policy
	controls isolate.Controls
	drops    func(context.Context) ([]isolate.Drop, error)
	r        *round
	nobody   []string // names for which there is nobody to try them with
}

func (t *try) run(ctx context.Context) []isolate.Trial {
	t.r = t.p.round(ctx)
	defer t.r.close()
	t.choose()
	last := t.sendCounted(ctx)
	// The way home comes after the counters were read, so that they count nothing of it.
	home := t.p.home(ctx)
	start := time.Now()
	t.r.await(ctx, t.p.cfg.Limit, t.shown)
	if rest := t.p.cfg.Settle - time.Since(start); rest > 0 {
		t.r.await(ctx, rest, func() bool { return false })
	}
	now := time.Now().UTC().Round(0)
	ts := t.judge(now)
	if home != nil {
		ts = append(ts, t.wayHome(ctx, <-home, last))
	}
	return ts
}

// choose says what is tried.
func (t *try) choose() {
	add := func(k kind, name string, six bool, most int) {
		name = nameOf(name, six)
		ws := among(t.controls, name, most, t.r.scene.ways(k, name, six))
		for _, w := range ws {
			t.r.as = append(t.r.as, &attempt{way: w})
		}
		if len(ws) == 0 {
			t.nobody = append(t.nobody, name)
		}
	}
	for _, six := range []bool{false, true} {
		for _, k := range kinds {
			add(k.kind, k.name, six, k.most)
		}
		for _, k := range locals {
			add(k.kind, k.name, six, 1)
		}
	}
	for _, w := range permits(t.policy, t.r.scene) {
		t.r.as = append(t.r.as, &attempt{way: w})
	}
}

func (t *try) chain(w way) string {
	if w.raw() {
		return t.p.cfg.LinkChain + w.via.dev.name
	}
	return t.p.cfg.OutChain
}

// passes reports whether a way must be open, and whether it stays on this endpoint.
func (t *try) passes(w way) (must, local bool) {
	local = w.kind == kindLoopback || w.kind == kindOwn
	return local || permitted(t.policy, w), local
}

// sendCounted sends everything between two looks at the counters. A chain that counted
// less than was sent through it leaves open what was missing; those ways are tried again
// one by one. It returns the counters as they were read last.
func (t *try) sendCounted(ctx context.Context) []isolate.Drop {
	before := t.read(ctx)
	for _, a := range t.r.as {
		t.r.send(a)
	}
	after := t.read(ctx)
	sent := map[string]uint64{}
	for _, a := range t.r.as {
		if must, _ := t.passes(a.way); !must {
			sent[t.chain(a.way)] += uint64(a.sent)
		}
	}
	t.r.await(ctx, 0, func() bool { return true }) // what is seen already is not tried again
	for _, a := range t.r.as {
		must, _ := t.passes(a.way)
		if must || a.sent == 0 {
			continue
		}
		chain := t.chain(a.way)
		a.dropped = rise(chain, before, after)
		if a.dropped >= sent[chain] {
			a.counted = true
			continue
		}
		if a.back || a.left || ctx.Err() != nil || !t.counts(chain, before, after) {
			continue // nothing more would be found out
		}
		one := after
		t.r.send(a)
		after = t.read(ctx)
		if a.sent > 0 {
			a.dropped = rise(chain, one, after)
			a.counted = a.dropped >= uint64(a.sent)
		}
	}
	return after
}

// counts reports whether a chain's counter could be read, both times.
func (*try) counts(chain string, before, after []isolate.Drop) bool {
	_, ok := count(chain, before)
	_, ok2 := count(chain, after)
	return ok && ok2
}

// read reads the counters; without them nothing is shown to be cut.
func (t *try) read(ctx context.Context) []isolate.Drop {
	ds, err := t.drops(ctx)
	if err != nil {
		return nil
	}
	return ds
}

// shown reports whether nothing is waited for any more but what should not come.
func (t *try) shown() bool {
	for _, a := range t.r.as {
		must, _ := t.passes(a.way)
		proven := a.counted && (a.kind == kindTCP || a.refused) && !must
		if !a.done() && !a.left && !proven {
			return false
		}
	}
	return true
}

func (t *try) judge(now time.Time) (ts []isolate.Trial) {
	for _, a := range t.r.as {
		target := a.target()
		known := t.p.control(t.controls, a.name, target, now)
		o := isolate.Trial{Name: a.name, Target: target, At: a.over.UTC().Round(0), Took: a.over.Sub(a.began)}
		if a.over.IsZero() {
			o.At, o.Took = now, time.Since(a.began)
		}
		if must, local := t.passes(a.way); must {
			o.Outcome, o.Reason = a.passes(local, known)
		} else {
			o.Chain, o.Dropped = t.chain(a.way), a.dropped
			o.Outcome, o.Reason = a.verdict(a.kind, known)
		}
		ts = append(ts, o)
	}
	for _, name := range t.nobody {
		o := isolate.Trial{Name: name, At: now, Outcome: isolate.NotShown, Reason: NoControl}
		if t.r.err != nil {
			o.Reason = Failed
		} else if t.p.control(t.controls, name, "", now) != never {
			o.Reason = StaleControl
		}
		ts = append(ts, o)
	}
	return ts
}

// wayHome judges the way home: open, unless the policy knows no collector.
func (t *try) wayHome(ctx context.Context, r result, before []isolate.Drop) isolate.Trial {
	now := time.Now().UTC().Round(0)
	o := isolate.Trial{Name: collector, At: now}
	known := t.p.control(t.controls, collector, "", now)
	if len(t.policy.Collectors) > 0 {
		if len(t.policy.Collectors) == 1 {
			o.Target = t.policy.Collectors[0].String()
		}
		o.Outcome, o.Reason = r.passes(false, known)
		return o
	}
	o.Chain = t.p.cfg.OutChain
	o.Dropped = rise(o.Chain, before, t.read(ctx))
	r.sent, r.counted = 1, o.Dropped > 0
	o.Outcome, o.Reason = r.verdict(kindTCP, known)
	return o
}
