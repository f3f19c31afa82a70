package act_test

import (
	"context"
	"slices"
	"testing"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/sqldb"
)

func TestAUsedUpAllowanceIsOnRecord(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.enrolled("pc")
		err := x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			return x.OnExhausted(ctx, tx, evidence.Exhausted{EndpointID: p.id, At: x.clock, Arrived: 2, Limit: 1})
		})
		if err != nil || !slices.Contains(x.acts(p.id), "evidence.postpone") {
			t.Errorf("%v, the ledger has %q", err, x.acts(p.id))
		}
		x.ledgerStands()
	})
}
