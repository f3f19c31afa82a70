package act

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/organisation"
)

// DrillTime is how long a drill cuts, DrillConfirm how long reaching the collector may
// take in it before it is rolled back.
const (
	DrillTime    = time.Minute
	DrillConfirm = 20 * time.Second
)

// Drill is the order to isolate of a drill that begins now.
func (s *Acts) Drill() dispatch.Isolation {
	return dispatch.Isolation{Drill: true, Until: s.now().Add(DrillTime), ConfirmWithin: DrillConfirm, Fallback: dispatch.RollBack}
}

// groupResult keeps what was measured when a member of a group carried out its order.
func groupResult(ctx context.Context, d *deed, c dispatch.Command, e endpoint.Endpoint, i endpoint.IsolationStatus) error {
	if c.Verb != dispatch.Isolate {
		return nil
	}
	r := group.Result{Observed: string(i.Observed), WayHome: i.WayHome}
	for _, t := range i.More.Trials {
		switch t.Outcome {
		case endpoint.AsOrdered:
			r.AsOrdered++
		case endpoint.Contrary:
			r.Leaks = append(r.Leaks, t.Name)
		default:
			r.Unknown++
		}
	}
	// Connections are ended right after the cut, which is measured by the agent's clock.
	if v := i.More.Severed; v != nil && !v.At.IsZero() {
		if took := v.At.Add(-e.ClockOffset).Sub(c.IssuedAt); took > 0 && took < d.now.Sub(c.IssuedAt)+time.Second {
			r.Took = took
		}
	}
	if r.Took == 0 {
		r.Took = d.now.Sub(c.IssuedAt)
	}
	return group.SetResult(ctx, d.tx, c.ID, r)
}

// drillReason stands in the record of a drill that nobody ordered at that moment.
const drillReason = "定期訓練 / scheduled drill"

// runDrills begins the drills that are due. An endpoint with a guard rail is left out.
func (s *Acts) runDrills(ctx context.Context) error {
	orgs, err := organisation.All(ctx, s.db.Read())
	if err != nil {
		return err
	}
	var wrong []error
	for _, o := range orgs {
		wrong = append(wrong, s.drillOf(ctx, o))
	}
	return errors.Join(wrong...)
}

func (s *Acts) drillOf(ctx context.Context, o organisation.Organisation) error {
	settings, err := organisation.FindIsolation(ctx, s.db.Read(), o.ID)
	if err != nil || settings.DrillDays == 0 {
		return err
	}
	last, err := group.LastDrill(ctx, s.db.Read(), o.ID)
	if err != nil || !settings.DrillDue(s.now(), last) {
		return err
	}
	a := Actor{Kind: BySystem, OrganisationID: o.ID}
	order := GroupOrder{Verb: dispatch.Isolate, Order: Order{Reason: drillReason, Isolation: s.Drill()}}
	pv, err := s.PreviewGroup(ctx, a, Selection{All: true}, order)
	if err != nil {
		return err
	}
	var sel Selection
	for _, m := range pv.Members {
		if m.LeftOut == "" && len(m.Rails) == 0 {
			sel.Names = append(sel.Names, m.Endpoint.ID)
		}
	}
	if len(sel.Names) == 0 {
		return nil // nobody is there; the next look may find somebody
	}
	if pv, err = s.PreviewGroup(ctx, a, sel, order); err != nil {
		return err
	}
	order.Confirmed = pv.Fingerprint
	g, err := s.OrderGroup(ctx, a, sel, order)
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "scheduled drill", slog.String("group", g.ID), slog.Int("endpoints", pv.Cut))
	return nil
}
