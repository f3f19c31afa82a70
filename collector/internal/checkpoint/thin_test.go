package checkpoint_test

import (
	"testing"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// signedEvery signs one entry after the other, as if time went by.
func (x *rig) signedEvery(from time.Time, every time.Duration, n int) (log *checkpoint.Log, clock *time.Time) {
	x.t.Helper()
	now := from
	cfg := x.config()
	cfg.Now = func() time.Time { return now }
	log, err := checkpoint.Open(x.t.Context(), cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	for i := range n {
		x.append(i, i+1)
		if _, err := log.Sign(x.t.Context(), x.org, x.size()); err != nil {
			x.t.Fatal(err)
		}
		now = now.Add(every)
	}
	return log, &now
}

func (x *rig) sizes() map[int64]time.Time {
	x.t.Helper()
	rows, err := x.db.Read().QueryContext(x.t.Context(), `SELECT size, signed_at FROM checkpoint_notes WHERE organisation_id = $1`, x.org)
	if err != nil {
		x.t.Fatal(err)
	}
	defer rows.Close()
	out := map[int64]time.Time{}
	for rows.Next() {
		var size int64
		var at time.Time
		if err := rows.Scan(&size, sqldb.ScanTime(&at)); err != nil {
			x.t.Fatal(err)
		}
		out[size] = at
	}
	if err := rows.Err(); err != nil {
		x.t.Fatal(err)
	}
	return out
}

func TestOldStatesAreThinnedOut(t *testing.T) {
	run(t, func(x *rig) {
		start := time.Date(2026, 11, 1, 0, 5, 0, 0, time.UTC)
		log, clock := x.signedEvery(start, 20*time.Minute, 3*24*3) // three days, three an hour
		all := x.sizes()
		if n, err := log.Thin(t.Context()); err != nil || n == 0 {
			t.Fatalf("removed %d, %v", n, err)
		}
		yesterday := clock.Add(-24 * time.Hour).Truncate(time.Hour)
		left := x.sizes()
		hours := map[string]int{}
		for size, at := range all {
			_, kept := left[size]
			switch {
			case !at.Before(yesterday) && !kept:
				t.Errorf("the state of %v is gone", at)
			case at.Before(yesterday) && kept && size != 2: // 2: the first, after the line's own entry
				hours[at.Format("02T15")]++
				if at.Minute() != 45 {
					t.Errorf("of its hour the state of %v is not the newest", at)
				}
			}
		}
		if _, ok := left[2]; !ok {
			t.Error("the first of the line is gone")
		}
		if len(hours) != 48 {
			t.Errorf("%d hours are left of two days", len(hours))
		}
		for h, n := range hours {
			if n != 1 {
				t.Errorf("%d of the hour %s", n, h)
			}
		}
		if n, err := log.Thin(t.Context()); err != nil || n != 0 {
			t.Errorf("again: %d, %v", n, err)
		}
		*clock = start.Add(40 * 24 * time.Hour)
		if _, err := log.Thin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := x.sizes(); len(left) != 4 { // the first, and one for each day
			t.Errorf("after 40 days: %v", left)
		}
		// What is left still pins the ledger, and it is signed on.
		x.reopen()
		if list := x.audit(); codes(list) != "" {
			t.Errorf("an honest ledger: %v", list)
		}
		x.append(1000, 1001)
		if _, err := x.sign(); err != nil {
			t.Error(err)
		}
		x.rewrite("other", 300)
		x.reopen()
		if list := x.audit(); codes(list) != "rewritten rewritten " {
			t.Errorf("a rewritten one: %v", list)
		}
	})
}

// TestThinningIsBrokenOff: whatever was taken away before, the rest follows.
func TestThinningIsBrokenOff(t *testing.T) {
	run(t, func(x *rig) {
		log, clock := x.signedEvery(noon.Add(-10*24*time.Hour), time.Minute, 60)
		*clock = noon
		x.sql(`DELETE FROM checkpoint_notes WHERE size IN (5, 9, 33)`)
		if _, err := log.Thin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := x.sizes(); len(left) != 2 {
			t.Errorf("left: %v", left)
		}
		if h, err := ledger.HeadOf(t.Context(), x.db.Read(), x.org); err != nil || h.Size != 61 {
			t.Errorf("%+v, %v", h, err)
		}
	})
}
