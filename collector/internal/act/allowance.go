package act

import (
	"context"
	"strconv"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/sqldb"
)

// OnExhausted records that an endpoint has sent as much as is taken in within a day; see
// [evidence.Config]. What it still has waits there.
func (s *Acts) OnExhausted(ctx context.Context, tx *sqldb.Tx, x evidence.Exhausted) error {
	e, err := endpoint.ByID(ctx, tx, x.EndpointID)
	if err != nil {
		return err
	}
	d := &deed{tx: tx, now: x.At, actor: Actor{Kind: ByEndpoint, ID: e.ID, Name: display(e), OrganisationID: e.OrganisationID}}
	_, err = d.record(ctx, "evidence.postpone", e.ID, map[string]string{
		"arrived_bytes": strconv.FormatInt(x.Arrived, 10), "limit_bytes": strconv.FormatInt(x.Limit, 10),
	})
	return err
}
