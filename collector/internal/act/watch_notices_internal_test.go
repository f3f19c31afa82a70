package act

import (
	"context"
	"fmt"
	"testing"
	"time"

	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/id"
	"hozen/internal/pki"
)

// TestSilenceIsNoFlood: PCs of one incident that are switched off one after the other are
// told of once an hour, and a collector that was started again tells nothing twice.
func TestSilenceIsNoFlood(t *testing.T) {
	db := sqldbtest.Open(t)
	clock := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ca, err := pki.NewCA("test", clock)
	if err != nil {
		t.Fatal(err)
	}
	blobs, _ := fsblob.Open(t.TempDir())
	key, _ := secret.NewKey(make([]byte, 32))
	s, err := New(Config{DB: db, CA: ca, Hub: NewHub(), Blobs: blobs, Secrets: &key, PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	o, _, err := s.Found(t.Context(), "org", NewOperator{Name: "owner", DisplayName: "x"})
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		return notify.SaveChannel(ctx, tx, notify.Channel{ID: id.New(id.Channel), OrganisationID: o.OrganisationID, Kind: notify.Webhook, Name: "n", Language: "ja", Kinds: notify.Kinds(), Enabled: true, CreatedAt: clock, ChangedAt: clock})
	})
	var ids []string
	err = db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		for i := range 30 {
			e := endpoint.Endpoint{ID: id.New(id.Endpoint), OrganisationID: o.OrganisationID, EnrolledAt: clock}
			e.Hostname = fmt.Sprint("pc", i)
			if err := endpoint.Insert(ctx, tx, e, fmt.Sprint("k", i)); err != nil {
				return err
			}
			// switched off one after the other, two minutes apart
			if _, err := tx.ExecContext(ctx, `UPDATE endpoint_endpoint SET last_seen_at = $1 WHERE id = $2`, sqldb.FormatTime(clock.Add(time.Duration(i)*2*time.Minute)), e.ID); err != nil {
				return err
			}
			ids = append(ids, e.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(time.Minute)
	if err := s.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		d := &deed{tx: tx, now: clock, actor: Actor{Kind: BySystem, OrganisationID: o.OrganisationID}}
		_, err := s.open(ctx, d, NewIncident{Title: "t", EndpointIDs: ids})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	w := noticeWatch{since: clock, silent: map[string]bool{}, groups: map[string]bool{}, care: map[string]bool{}}
	for range 180 {
		clock = clock.Add(time.Minute)
		if err := s.lookForNotices(t.Context(), &w); err != nil {
			t.Fatal(err)
		}
	}
	look := func() int {
		t.Helper()
		list, err := notify.Newest(t.Context(), db.Read(), o.OrganisationID, 1000)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	told := look()
	if told < 1 || told > 3 {
		t.Errorf("%d notices of 30 PCs that fell silent within an hour", told)
	}
	again := noticeWatch{since: clock.Add(-time.Hour), silent: map[string]bool{}, groups: map[string]bool{}, care: map[string]bool{}}
	if err := s.lookForNotices(t.Context(), &again); err != nil {
		t.Fatal(err)
	}
	if n := look(); n != told {
		t.Errorf("after a new start %d notices, want %d", n, told)
	}
}
