package trial

import (
	"context"
	"time"

	"hozen/agent/internal/isolate"
)

// dialer tries ways with sockets of the system alone, where nobody may send frames of his
// own.
type dialer struct {
	p     *Prober
	scene scene
	err   error // what kept it from looking around
	try   func(context.Context, way) result
}

func (d *dialer) controls(ctx context.Context) (open []isolate.Control) {
	var ws []way
	most := map[string]int{}
	for _, six := range []bool{false, true} {
		for _, k := range dialKinds {
			name := nameOf(k.name, six)
			most[name] = k.most
			found := d.scene.ways(k.kind, name, six)
			ws = append(ws, found[:min(len(found), 4)]...)
		}
	}
	for _, t := range all(ctx, within(ctx, d.p.cfg.Limit), ws, d.try) {
		if t.back && most[t.name] > 0 {
			most[t.name]--
			open = append(open, isolate.Control{Name: t.name, Target: t.target()})
		}
	}
	return open
}

// trials tries every way through the rules of a clean policy.
func (d *dialer) trials(ctx context.Context, pol isolate.Policy, c isolate.Controls) (out []isolate.Trial) {
	var ws []way
	now := time.Now().UTC().Round(0)
	for _, six := range []bool{false, true} {
		for _, k := range dialKinds {
			name := nameOf(k.name, six)
			found := among(c, name, k.most, d.scene.ways(k.kind, name, six))
			ws = append(ws, found...)
			if len(found) > 0 {
				continue
			}
			o := isolate.Trial{Name: name, At: now, Outcome: isolate.NotShown, Reason: NoControl}
			if d.err != nil {
				o.Reason = Failed
			} else if d.p.control(c, name, "", now) != never {
				o.Reason = StaleControl
			}
			out = append(out, o)
		}
		for _, name := range cannot {
			out = append(out, isolate.Trial{Name: nameOf(name, six), At: now, Outcome: isolate.NotShown, Reason: NoRights})
		}
	}
	ws = append(ws, permits(pol, d.scene)...)
	for _, t := range all(ctx, d.p.cfg.Limit, ws, d.try) {
		o := isolate.Trial{Name: t.name, Target: t.target(), At: t.over.UTC().Round(0), Took: t.over.Sub(t.began)}
		known := d.p.control(c, t.name, t.target(), now)
		local := t.kind == kindLoopback || t.kind == kindOwn
		if local || permitted(pol, t.way) {
			o.Outcome, o.Reason = t.passes(local, known)
		} else {
			o.Chain = d.p.cfg.OutChain
			o.Outcome, o.Reason = t.verdict(t.kind, known)
		}
		out = append(out, o)
	}
	return out
}

// home judges the way home: open, unless the policy knows no collector. That it is cut then
// nothing counts, so it is not shown.
func (d *dialer) home(pol isolate.Policy, c isolate.Controls, r result) isolate.Trial {
	now := time.Now().UTC().Round(0)
	o := isolate.Trial{Name: "collector", At: now}
	known := d.p.control(c, o.Name, "", now)
	if len(pol.Collectors) == 0 {
		o.Chain = d.p.cfg.OutChain
		r.sent = 1
		o.Outcome, o.Reason = r.verdict(kindTCP, known)
		return o
	}
	if len(pol.Collectors) == 1 {
		o.Target = pol.Collectors[0].String()
	}
	o.Outcome, o.Reason = r.passes(false, known)
	return o
}
