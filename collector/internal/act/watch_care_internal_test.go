package act

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/collector/internal/watch"
	"hozen/internal/id"
	"hozen/internal/pki"
)

// TestTheCollectorAsksForHelp: a full disk and a failed backup are told of once a day, a
// certificate once a week, also by a collector that was started again; what is well is not.
func TestTheCollectorAsksForHelp(t *testing.T) {
	ctx, db := t.Context(), sqldbtest.Open(t)
	clock := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC) // a Monday
	ca, err := pki.NewCA("test", clock)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	key, err := secret.NewKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	well := watch.Collector{BackupDir: "/b", BackupEvery: 24 * time.Hour, Started: clock, CertificateUntil: clock.Add(300 * 24 * time.Hour)}
	is := well
	s, err := New(Config{DB: db, CA: ca, Hub: NewHub(), Blobs: blobs, Secrets: &key, PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Now: func() time.Time { return clock },
		Care: func() watch.Collector { c := is; c.BackupAt, c.ProvedAt = clock, clock; return c }})
	if err != nil {
		t.Fatal(err)
	}
	o, _, err := s.Found(ctx, "org", NewOperator{Name: "owner", DisplayName: "x"})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		return notify.SaveChannel(ctx, tx, notify.Channel{ID: id.New(id.Channel), OrganisationID: o.OrganisationID, Kind: notify.Webhook, Name: "n", Language: "ja", Kinds: []notify.Kind{notify.CollectorCare}, Enabled: true, CreatedAt: clock, ChangedAt: clock})
	})
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	look := func(what, want string) {
		t.Helper()
		for range 2 { // the second one is a collector that was started again
			w := noticeWatch{since: clock, silent: map[string]bool{}, groups: map[string]bool{}, care: map[string]bool{}}
			for range 2 {
				if err := s.lookForNotices(ctx, &w); err != nil {
					t.Fatal(err)
				}
			}
		}
		list, err := notify.Newest(ctx, db.Read(), o.OrganisationID, 100)
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, d := range list[:len(list)-told] {
			if d.Event.Kind != notify.CollectorCare || d.Event.Path != "/watch" {
				t.Errorf("%s: %+v", what, d.Event)
			}
			words = append(words, d.Event.Care)
		}
		slices.Sort(words)
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%s: told %q, want %q", what, got, want)
		}
		told = len(list)
	}
	look("well", "")
	is.DiskTight, is.BackupFailed, is.CertificateUntil = true, "no space", clock.Add(20*24*time.Hour)
	look("trouble", "backup certificate disk")
	clock = clock.Add(time.Hour)
	look("an hour later", "")
	clock = clock.Add(24 * time.Hour)
	look("a day later", "backup disk")
	is.DiskTight = false
	clock = clock.Add(7 * 24 * time.Hour)
	look("a week later", "backup certificate")
	is = well
	clock = clock.Add(24 * time.Hour)
	look("mended", "")
}
