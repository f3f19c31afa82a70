package dispatch_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/id"
)

func insert(ctx context.Context, db *sqldb.DB, c dispatch.Command) (stored dispatch.Command, err error) {
	c.ID, c.OrganisationID, c.Verb = id.New(id.Command), "org_a", dispatch.Acquire
	err = db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		stored, err = dispatch.Insert(ctx, tx, c)
		return err
	})
	return stored, err
}

func TestCountersCountPerEndpointWithoutGaps(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		var wg sync.WaitGroup
		for range 20 {
			for _, e := range []string{"end_1", "end_2"} {
				wg.Go(func() {
					if _, err := insert(ctx, db, dispatch.Command{EndpointID: e, IssuedAt: time.Unix(1, 0)}); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		for _, e := range []string{"end_1", "end_2"} {
			list, err := dispatch.Outstanding(ctx, db.Read(), e)
			if err != nil || len(list) != 20 {
				t.Fatalf("%d, %v", len(list), err)
			}
			for i, c := range list {
				if c.Counter != uint64(i+1) {
					t.Errorf("%s: counter %d in place %d", e, c.Counter, i+1)
				}
			}
		}
	})
}

func TestOnlyQueuedCommandsFallDue(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, now := t.Context(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var accepted dispatch.Command
		for i, expires := range []time.Time{now.Add(-time.Hour), now.Add(-time.Hour), now, now.Add(1), {}} {
			c, err := insert(ctx, db, dispatch.Command{EndpointID: "end_1", IssuedAt: now, ExpiresAt: expires})
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				accepted = c
			}
		}
		if err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return dispatch.Accept(ctx, tx, accepted, now) }); err != nil {
			t.Fatal(err)
		}
		old := dispatch.Command{Verb: dispatch.Preserve, Then: dispatch.ThenReboot, Status: dispatch.Queued, IssuedAt: now.Add(-dispatch.DownWithin)}
		if !old.Due(now) || old.Due(now.Add(-1)) || old.Pending(now) || !old.Pending(now.Add(-1)) {
			t.Error("an order to go down that was stored without an end never ends")
		}
		due, err := dispatch.Due(ctx, db.Read(), "end_1", now)
		if err != nil || len(due) != 2 || due[0].Counter != 2 || due[1].Counter != 3 {
			t.Errorf("%+v, %v", due, err)
		}
	})
}
