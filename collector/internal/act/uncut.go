package act

import (
	"context"
	"slices"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/sqldb"
)

// UncutOrders returns the orders to isolate that were not carried out: those that wait, and
// those of open incidents that failed or whose time was over before anything was cut. An order
// that somebody took back, that was followed by a newer one, or that is a drill is none.
func (s *Acts) UncutOrders(ctx context.Context, a Actor) ([]dispatch.Command, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]dispatch.Command, error) {
		list, err := dispatch.NewestCuts(ctx, q, a.OrganisationID)
		if err != nil {
			return nil, err
		}
		all, err := incident.List(ctx, q, a.OrganisationID)
		if err != nil {
			return nil, err
		}
		open := map[string]bool{}
		for _, i := range all {
			open[i.ID] = i.ClosedAt.IsZero() && !i.Drill
		}
		return slices.DeleteFunc(list, func(c dispatch.Command) bool {
			c = s.dueOver(c)
			switch c.Status {
			case dispatch.Done, dispatch.Withdrawn:
				return true
			case dispatch.Queued, dispatch.Accepted:
				return c.Isolation.Drill || c.IncidentID != "" && !open[c.IncidentID]
			}
			return c.Isolation.Drill || !open[c.IncidentID]
		}), nil
	})
}
