package act

import (
	"context"
	"strconv"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
)

// countOn raises the counter of an endpoint's commands to what its agent has accepted,
// see [dispatch.CountOn]. That this was needed says that the collector was put back to
// an older state, and stands in the ledger.
func (d *deed) countOn(ctx context.Context, s *Acts, e endpoint.Endpoint, reached uint64) error {
	from, moved, err := dispatch.CountOn(ctx, d.tx, e.OrganisationID, e.ID, reached)
	if err != nil || from >= reached {
		return err
	}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	if _, err := d.record(ctx, "dispatch.count_on", e.ID, map[string]string{"from": number(from), "to": number(reached)}); err != nil {
		return err
	}
	for _, m := range moved {
		if _, err := d.record(ctx, dispatch.ActRenumber, m.ID, map[string]string{"endpoint": e.ID, "from": number(m.From), "to": number(m.To)}); err != nil {
			return err
		}
	}
	d.tell(s, Event{Kind: EventCommand, EndpointID: e.ID})
	return nil
}
