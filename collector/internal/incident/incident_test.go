package incident_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"hozen/collector/internal/incident"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/id"
)

func TestNumber(t *testing.T) {
	if got := incident.Number(2026, 7); got != "INC-2026-0007" {
		t.Error(got)
	}
	if got := incident.Number(2026, 12345); got != "INC-2026-12345" {
		t.Error(got)
	}
	eve := time.Date(2026, 12, 31, 15, 0, 0, 0, time.UTC)
	if incident.Year(eve) != 2027 || incident.Year(eve.Add(-1)) != 2026 {
		t.Error("the year is not that of Japan")
	}
}

func open(ctx context.Context, db *sqldb.DB, org string, at time.Time, endpoints ...string) (inc incident.Incident, err error) {
	err = db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		inc, err = incident.Insert(ctx, tx, incident.Incident{ID: id.New(id.Incident), OrganisationID: org, Title: "t", Classification: incident.NotYet,
			DiscoveredAt: at, OpenedAt: at, EndpointIDs: endpoints})
		return err
	})
	return inc, err
}

func TestNumbersCountPerOrganisationWithoutGaps(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]int{}
		for range 10 {
			for _, org := range []string{"org_a", "org_b"} {
				wg.Go(func() {
					inc, err := open(t.Context(), db, org, at)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					seen[org+inc.Number]++
				})
			}
		}
		wg.Wait()
		for n := 1; n <= 10; n++ {
			for _, org := range []string{"org_a", "org_b"} {
				if seen[org+incident.Number(2026, n)] != 1 {
					t.Errorf("%s has number %d %d times", org, n, seen[org+incident.Number(2026, n)])
				}
			}
		}
	})
}

func TestNewestOpen(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, at := t.Context(), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
		var all []incident.Incident
		for i := range 3 {
			inc, err := open(ctx, db, "org_a", at.Add(time.Duration(i)*time.Hour), "end_1", "end_2")
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, inc)
		}
		newest := func(endpoint string, since time.Time) string {
			t.Helper()
			inc, err := incident.NewestOpen(ctx, db.Read(), endpoint, since)
			if errors.Is(err, incident.ErrNotFound) {
				return ""
			}
			if err != nil || len(inc.EndpointIDs) != 2 {
				t.Fatal(inc, err)
			}
			return inc.Number
		}
		if got := newest("end_2", time.Time{}); got != all[2].Number {
			t.Error(got)
		}
		if got := newest("end_3", time.Time{}); got != "" {
			t.Error(got)
		}
		if err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			return incident.Close(ctx, tx, all[2].ID, incident.Resolved, at)
		}); err != nil {
			t.Fatal(err)
		}
		if got := newest("end_1", time.Time{}); got != all[1].Number {
			t.Error(got)
		}
		if got := newest("end_1", at.Add(time.Hour)); got != all[1].Number {
			t.Error(got)
		}
		if got := newest("end_1", at.Add(time.Hour+1)); got != "" {
			t.Error(got)
		}
		if _, err := incident.Find(ctx, db.Read(), "org_b", all[0].Number); !errors.Is(err, incident.ErrNotFound) {
			t.Errorf("another organisation finds it: %v", err)
		}
		list, err := incident.List(ctx, db.Read(), "org_a")
		if err != nil || len(list) != 3 || list[0].ID != all[2].ID || len(list[1].EndpointIDs) != 2 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// A timeline that an endpoint has filled is shown as far as a page can bear.
func TestLongTimelineEndsWithTheNewest(t *testing.T) {
	db := sqldbtest.Open(t)
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	inc, err := open(t.Context(), db, "org_a", at)
	if err != nil {
		t.Fatal(err)
	}
	add := func(from, to int64) {
		t.Helper()
		err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			for n := from; n < to; n++ {
				if err := incident.AddEntry(ctx, tx, "org_a", incident.Entry{ID: id.New(id.Timeline), IncidentID: inc.ID, At: at, Kind: incident.EntryNote, LedgerIdx: n}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	add(0, incident.MaxShown)
	list, err := incident.Timeline(t.Context(), db.Read(), inc.ID)
	if err != nil || len(list) != incident.MaxShown || list[0].LedgerIdx != 0 || list[0].Kind != incident.EntryNote {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	add(incident.MaxShown, incident.MaxShown+3)
	list, err = incident.Timeline(t.Context(), db.Read(), inc.ID)
	if err != nil || len(list) != incident.MaxShown+1 {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	if first := list[0]; first.Kind != incident.EntryOlder || first.Params["number"] != "3" || first.LedgerIdx != 2 {
		t.Errorf("begins with %+v", first)
	}
	if list[1].LedgerIdx != 3 || list[len(list)-1].LedgerIdx != incident.MaxShown+2 {
		t.Errorf("from %d to %d", list[1].LedgerIdx, list[len(list)-1].LedgerIdx)
	}
	// On pages all of it is to be had.
	for _, p := range []struct {
		skip, n     int
		first, last int64
	}{{0, 10, incident.MaxShown - 7, incident.MaxShown + 2}, {10, 10, incident.MaxShown - 17, incident.MaxShown - 8}, {incident.MaxShown, 10, 0, 2}} {
		page, total, err := incident.TimelinePage(t.Context(), db.Read(), inc.ID, p.skip, p.n)
		if err != nil || total != incident.MaxShown+3 || len(page) == 0 || page[0].LedgerIdx != p.first || page[len(page)-1].LedgerIdx != p.last {
			t.Errorf("without the newest %d: %d entries of %d, %v", p.skip, len(page), total, err)
		}
	}
	if page, total, err := incident.TimelinePage(t.Context(), db.Read(), inc.ID, 1_000_000, 10); err != nil || len(page) != 0 || total != incident.MaxShown+3 {
		t.Errorf("beyond the end: %d of %d, %v", len(page), total, err)
	}
}
