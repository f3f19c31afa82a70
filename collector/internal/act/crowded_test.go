package act_test

import (
	"slices"
	"testing"

	"hozen/collector/internal/act"
)

func TestACrowdOfConnectionsIsOnRecord(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.enrolled("pc")
		if err := x.EndpointCrowded(t.Context(), p.id, "192.0.2.66"); err != nil {
			t.Fatal(err)
		}
		if got := x.acts(p.id); !slices.Contains(got, "endpoint.crowded") {
			t.Errorf("the ledger has %q", got)
		}
		if err := x.RevokeEndpoint(t.Context(), x.owner, p.id, "stolen"); err != nil {
			t.Fatal(err)
		}
		wantErr(t, x.EndpointCrowded(t.Context(), p.id, "192.0.2.66"), act.ErrForbidden)
		x.ledgerStands()
	})
}
