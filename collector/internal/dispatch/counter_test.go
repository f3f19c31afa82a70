package dispatch_test

import (
	"context"
	"testing"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
)

func TestCountingOnFromWhereTheAgentIs(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		order := func(endpointID string) dispatch.Command {
			t.Helper()
			c, err := insert(ctx, db, dispatch.Command{EndpointID: endpointID, IssuedAt: time.Unix(1, 0)})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		countOn := func(endpointID string, reached uint64) (from uint64, moved []dispatch.Renumbered) {
			t.Helper()
			err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) (err error) {
				from, moved, err = dispatch.CountOn(ctx, tx, "org_a", endpointID, reached)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return from, moved
		}
		first, second := order("end_1"), order("end_1")
		err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			return dispatch.Accept(ctx, tx, first, time.Unix(2, 0))
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, reached := range []uint64{0, 1, 2, 1<<53 + 1, 1<<64 - 1} {
			if from, moved := countOn("end_1", reached); from < reached || moved != nil {
				t.Errorf("%d reached: from %d, moved %v", reached, from, moved)
			}
		}
		from, moved := countOn("end_1", 9)
		if want := (dispatch.Renumbered{ID: second.ID, From: 2, To: 10}); from != 2 || len(moved) != 1 || moved[0] != want {
			t.Errorf("from %d, moved %v, want %v", from, moved, want)
		}
		if c := order("end_1"); c.Counter != 11 {
			t.Errorf("the next has %d", c.Counter)
		}
		// An agent that accepted hundreds since knows the old ones no more.
		if from, moved := countOn("end_1", 1000); from != 11 || moved != nil {
			t.Errorf("from %d, moved %v", from, moved)
		}
		if c := order("end_1"); c.Counter != 1001 {
			t.Errorf("the next has %d", c.Counter)
		}
		countOn("end_2", 7) // of which this collector knows no command at all
		if c := order("end_2"); c.Counter != 8 {
			t.Errorf("the next has %d", c.Counter)
		}
	})
}
