package act

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
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
		switch {
		case t.Outcome == endpoint.AsOrdered:
			r.AsOrdered++
		case t.Leak(i.More.Mode):
			r.Leaks = append(r.Leaks, t.Name)
		case t.Outcome != endpoint.Contrary:
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
	return group.SetResult(ctx, d.tx, e.ID, c.ID, r)
}

// drillReason stands in the record of a drill that nobody ordered at that moment.
const drillReason = "定期訓練 / scheduled drill"

var errNotDue = errors.New("the drill is not due any more")

// mayReplace refuses a drill where it would end an isolation in earnest, that is in force
// or on its way, a minute later; and, where a release takes two persons, whatever one
// person alone could open the endpoint with.
func (s *Acts) mayReplace(ctx context.Context, d *deed, e endpoint.Endpoint, i dispatch.Isolation) error {
	now, err := s.inEarnest(ctx, d, e)
	if err != nil || now == nil {
		return err
	}
	if i.Drill {
		return fmt.Errorf("%w: it is isolated in earnest", ErrConflict)
	}
	settings, err := organisation.FindIsolation(ctx, d.tx, e.OrganisationID)
	if err != nil || !settings.NeedsTwo(d.now) || d.actor.Kind != ByOperator || !loosens(*now, i) {
		return err
	}
	return ErrLoosens
}

// ErrLoosens is the [ErrConflict] of an order by which one person would open an endpoint
// where a release takes two.
var ErrLoosens = fmt.Errorf("%w: it would open more than the isolation in force does, which takes two persons; release it together first", ErrConflict)

// inEarnest is the isolation that is in force at an endpoint or on its way to it and no
// drill; nil if there is none.
func (s *Acts) inEarnest(ctx context.Context, d *deed, e endpoint.Endpoint) (*dispatch.Isolation, error) {
	open, err := dispatch.Outstanding(ctx, d.tx, e.ID)
	if err != nil {
		return nil, err
	}
	for _, c := range slices.Backward(open) {
		if c.Verb == dispatch.Isolate && !c.Isolation.Drill {
			return &c.Isolation, nil
		}
	}
	i := s.presence.over(e).Isolation
	if i.Desired != endpoint.Isolated || i.More.Drill {
		return nil, nil
	}
	if c, err := dispatch.ByID(ctx, d.tx, i.CommandID); err == nil && c.EndpointID == e.ID && c.Verb == dispatch.Isolate {
		if c.Isolation.Drill {
			return nil, nil
		}
		return &c.Isolation, nil
	} else if err != nil && !errors.Is(err, dispatch.ErrNotFound) {
		return nil, err
	}
	return &dispatch.Isolation{Mode: dispatch.Mode(i.More.Mode)}, nil
}

// loosens reports whether an order leaves more open than the one in force, or ends by
// itself where that one does not, or sooner.
func loosens(now, next dispatch.Isolation) bool {
	strict := map[dispatch.Mode]int{dispatch.Selective: 0, "": 1, dispatch.Standard: 1, dispatch.Full: 2}
	if strict[next.Mode] < strict[now.Mode] || next.ConfirmWithin != 0 && next.Fallback == dispatch.RollBack {
		return true
	}
	if !next.Until.IsZero() && (now.Until.IsZero() || next.Until.Before(now.Until)) {
		return true
	}
	return slices.ContainsFunc(next.Permits, func(p dispatch.Permit) bool {
		return !slices.ContainsFunc(now.Permits, func(q dispatch.Permit) bool {
			return q.Network == p.Network && q.Protocol == p.Protocol && q.First <= p.First && q.Last >= p.Last && !q.ExpiresAt.Before(p.ExpiresAt)
		})
	})
}

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
	last, err := group.LastDrill(ctx, s.db.Read(), o.ID, string(BySystem))
	if err != nil || !settings.DrillDue(s.now(), last) {
		return err
	}
	a := Actor{Kind: BySystem, OrganisationID: o.ID}
	order := GroupOrder{Verb: dispatch.Isolate, Order: Order{Reason: drillReason, Isolation: s.Drill()}}
	order.once = func(ctx context.Context, d *deed) error {
		last, err := group.LastDrill(ctx, d.tx, o.ID, string(BySystem)) // another collector may have begun it
		if err == nil && !settings.DrillDue(d.now, last) {
			err = errNotDue
		}
		return err
	}
	preview := func(sel Selection) (GroupPreview, error) {
		return read(ctx, s, a, mayIsolate, func(q sqldb.Queryer, a Actor) (GroupPreview, error) { return s.preview(ctx, q, a, sel, order) })
	}
	pv, err := preview(Selection{All: true})
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
	if pv, err = preview(sel); err != nil {
		return err
	}
	order.Confirmed = pv.Fingerprint
	g, err := s.OrderGroup(ctx, a, sel, order)
	if errors.Is(err, errNotDue) {
		return nil
	}
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "scheduled drill", slog.String("group", g.ID), slog.Int("endpoints", pv.Cut))
	return nil
}
