package evidence_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
)

// TestOneEndpointCannotFillTheDisk: what is more than a day's allowance waits, and so
// does nobody else's.
func TestOneEndpointCannotFillTheDisk(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		site := evidencetest.New(t, db)
		ahead := time.Duration(0)
		var told []evidence.Exhausted
		open := func() *evidence.Intake {
			return site.Open(t, func(c *evidence.Config) {
				now := c.Now
				if now == nil {
					now = time.Now
				}
				c.DailyBytes, c.DailyShare = 1, 100 // one acquisition, of whatever size
				c.Now = func() time.Time { return now().Add(ahead) }
				c.OnExhausted = func(_ context.Context, _ *sqldb.Tx, e evidence.Exhausted) error {
					told = append(told, e)
					return nil
				}
			})
		}
		in := open()
		greedy, other := site.Endpoint(t), site.Endpoint(t)
		first, second := greedy.Acquisition(t, 60, artifact.KindProcess), greedy.Acquisition(t, 60, artifact.KindNetConn)
		send := func(ep *evidencetest.Endpoint, a *evidencetest.Acquisition) error {
			_, err := evidencetest.Send(ctx, in, ep.ID, a)
			return err
		}
		if err := send(greedy, first); err != nil {
			t.Fatal(err)
		}
		if err := send(other, other.Acquisition(t, 60, artifact.KindProcess)); err != nil {
			t.Error("another endpoint:", err)
		}
		for _, wait := range []time.Duration{0, time.Hour, 23 * time.Hour} {
			ahead = wait
			in = open() // a collector that was started again remembers
			for range 3 {
				err := send(greedy, second)
				if _, final := errors.AsType[*evidence.Refusal](err); final || !errors.Is(err, evidence.ErrAllowance) {
					t.Fatalf("after %s: %v", wait, err)
				}
			}
		}
		if len(told) != 3 || slices.ContainsFunc(told, func(e evidence.Exhausted) bool { return e.EndpointID != greedy.ID || e.Arrived < 1 || e.Limit != 1 }) {
			t.Errorf("recorded %d times: %+v; want once of each start", len(told), told)
		}
		ahead = 25 * time.Hour
		if err := send(greedy, second); err != nil {
			t.Fatal("a day later:", err)
		}
	})
}
