package act

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/record"
	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/collector/internal/watch"
	"hozen/internal/capability"
	"hozen/internal/id"
	"hozen/internal/pki"
)

// weeks is a collector at a clock that the test moves.
type weeks struct {
	*Acts
	t     *testing.T
	owner operator.Operator
	clock time.Time
	care  watch.Collector
}

func newWeeks(t *testing.T, db *sqldb.DB) *weeks {
	t.Helper()
	x := &weeks{t: t, clock: time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)} // Saturday noon in Japan
	ca, err := pki.NewCA("test", x.clock)
	x.ok(err)
	blobs, err := fsblob.Open(t.TempDir())
	x.ok(err)
	key, err := secret.NewKey(make([]byte, 32))
	x.ok(err)
	x.care = watch.Collector{BackupDir: "/b", BackupEvery: 24 * time.Hour, CertificateUntil: x.clock.AddDate(0, 3, 0)}
	x.Acts, err = New(Config{DB: db, CA: ca, Hub: NewHub(), Blobs: blobs, Secrets: &key, PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Now: func() time.Time { return x.clock },
		Care: func() watch.Collector { // a backup of tonight, read back
			c := x.care
			c.BackupAt, c.ProvedAt = x.clock.Add(-5*time.Hour), x.clock.Add(-6*time.Hour)
			return c
		}})
	x.ok(err)
	x.owner, _, err = x.Found(t.Context(), "org", NewOperator{Name: "owner", DisplayName: "x"})
	x.ok(err)
	return x
}

func (x *weeks) ok(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *weeks) channel(kinds ...notify.Kind) {
	x.t.Helper()
	x.ok(x.db.Tx(x.t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		return notify.SaveChannel(ctx, tx, notify.Channel{ID: id.New(id.Channel), OrganisationID: x.owner.OrganisationID, Kind: notify.Mail, Name: "m", Language: "ja",
			Settings: notify.Settings{Host: "mail.example", To: []string{"a@example.com", "b@example.com"}}, Kinds: kinds, Enabled: true, CreatedAt: x.clock, ChangedAt: x.clock})
	}))
}

// pc is an endpoint that was last seen that long ago.
func (x *weeks) pc(name string, ago time.Duration) string {
	x.t.Helper()
	e := endpoint.Endpoint{ID: id.New(id.Endpoint), OrganisationID: x.owner.OrganisationID, EnrolledAt: x.clock.AddDate(0, -1, 0)}
	e.Hostname, e.Capability = name, uint32(capability.Current)
	x.ok(x.db.Tx(x.t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		if err := endpoint.Insert(ctx, tx, e, name); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE endpoint_endpoint SET last_seen_at = $1 WHERE id = $2`, sqldb.FormatTime(x.clock.Add(-ago)), e.ID)
		return err
	}))
	return e.ID
}

// look is one tick of a collector that has run for long; it returns the summaries so far,
// newest first.
func (x *weeks) look(at string) []notify.Delivery {
	x.t.Helper()
	now, err := time.ParseInLocation("2006-01-02 15:04", at, time.FixedZone("JST", 9*60*60))
	x.ok(err)
	x.clock = now.UTC()
	w := noticeWatch{since: x.clock.Add(-time.Hour), silent: map[string]bool{}, groups: map[string]bool{}, care: map[string]bool{}}
	x.ok(x.lookForNotices(x.t.Context(), &w))
	all, err := notify.Newest(x.t.Context(), x.db.Read(), x.owner.OrganisationID, 1000)
	x.ok(err)
	var list []notify.Delivery
	for _, d := range all {
		if d.Event.Kind == notify.WeeklySummary {
			list = append(list, d)
		}
	}
	return list
}

func TestWeekIsToldOnce(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		x := newWeeks(t, db)
		x.channel(notify.IncidentOpened) // does not want it
		x.channel(notify.WeeklySummary)
		x.pc("keiri-secret-name", time.Hour)
		for _, c := range []struct {
			at   string
			want int // deliveries: two recipients each
		}{
			{"2026-11-21 12:00", 0}, // the first look makes a note and tells nothing
			{"2026-11-23 07:59", 0},
			{"2026-11-23 08:00", 2},
			{"2026-11-23 08:01", 2}, // and as a collector that was started again: each look is one
			{"2026-11-29 12:00", 2},
			{"2026-12-02 19:00", 4}, // nobody was there on Monday: late, once
			{"2026-12-02 19:01", 4},
			{"2026-12-07 08:00", 6},
			{"2027-01-10 00:00", 8}, // of several weeks the newest
		} {
			if got := x.look(c.at); len(got) != c.want {
				t.Fatalf("%s: %d, want %d", c.at, len(got), c.want)
			}
		}
		a := Actor{Kind: BySystem, OrganisationID: x.owner.OrganisationID}
		x.ok(x.SetWeeklySettings(t.Context(), a, notify.Weekly{Enabled: true, Weekday: time.Tuesday, Hour: 18}))
		if n := len(x.look("2027-01-11 08:00")); n != 8 {
			t.Errorf("told at the old time, %d", n)
		}
		if n := len(x.look("2027-01-12 18:00")); n != 10 {
			t.Errorf("not told at the new time, %d", n)
		}
		x.ok(x.SetWeeklySettings(t.Context(), a, notify.Weekly{Weekday: time.Tuesday, Hour: 18}))
		if n := len(x.look("2027-02-12 18:00")); n != 10 {
			t.Errorf("told although it is off, %d", n)
		}
		if err := x.SetWeeklySettings(t.Context(), a, notify.Weekly{Weekday: 9}); err == nil {
			t.Error("a ninth day of the week was taken")
		}
	})
}

// TestWeekSaysHowThingsAre: nothing to do says so, and what there is to do is told in
// numbers without a name of a person or a PC.
func TestWeekSaysHowThingsAre(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		x := newWeeks(t, db)
		x.channel(notify.WeeklySummary)
		x.look("2026-11-21 12:00")
		pc := x.pc("keiri-secret-name", time.Hour)
		quiet := x.look("2026-11-23 08:00")[0].Event.Week
		if quiet.Needs() != 0 || quiet.Endpoints != 1 || quiet.Heard != 1 || quiet.BackupAt.IsZero() || quiet.CertificateUntil.IsZero() || !quiet.DrillAt.IsZero() {
			t.Errorf("a quiet week: %+v", quiet)
		}
		for i := range 3 {
			x.pc(fmt.Sprint("silent-secret-", i), 30*24*time.Hour)
		}
		x.care.DiskTight = true
		x.ok(x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			d := &deed{tx: tx, now: x.clock, actor: Actor{Kind: BySystem, OrganisationID: x.owner.OrganisationID}}
			_, err := x.open(ctx, d, NewIncident{Title: "秘密の題", Classification: incident.Ransomware, EndpointIDs: []string{pc}})
			return err
		}))
		x.clock = time.Date(2026, 11, 29, 23, 0, 0, 0, time.UTC)
		x.ok(x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error { // a drill is no incident that needs anybody
			d := &deed{tx: tx, now: x.clock, actor: Actor{Kind: BySystem, OrganisationID: x.owner.OrganisationID}}
			_, err := x.open(ctx, d, NewIncident{Title: "秘密の訓練", Classification: incident.Ransomware, EndpointIDs: []string{pc}, Drill: true})
			return err
		}))
		e := x.look("2026-11-30 08:00")[0].Event
		w := e.Week
		if len(w.Concerns) < 2 || w.Concerns[0].Code != "disk" || !w.Concerns[0].Urgent || w.Endpoints != 4 || w.Heard != 0 {
			t.Errorf("%+v", w)
		}
		for _, c := range w.Concerns {
			if c.Code == "silent" && c.Count != 4 {
				t.Errorf("%d silent", c.Count)
			}
		}
		if len(w.Incidents) != 1 || w.Incidents[0].Clock == "" || w.Incidents[0].Due.IsZero() {
			t.Errorf("%+v", w.Incidents)
		}
		b, err := json.Marshal(e)
		x.ok(err)
		m, err := x.WeeklyPreview(t.Context(), Actor{Kind: BySystem, OrganisationID: x.owner.OrganisationID}, "ja")
		x.ok(err)
		for _, said := range []string{string(b), m.Subject + m.Text} {
			if strings.Contains(said, "secret") || strings.Contains(said, "秘密") || strings.Contains(said, "mail.example") {
				t.Errorf("a name goes out: %s", said)
			}
		}
		if w.Drills != 1 || !w.DrillAt.Equal(time.Date(2026, 11, 29, 23, 0, 0, 0, time.UTC)) {
			t.Errorf("%d drills, %v", w.Drills, w.DrillAt)
		}
		if !strings.Contains(m.Text, w.Incidents[0].Number) {
			t.Errorf("%s", m.Text)
		}
	})
}

// A summary that can't be made, here because its row can't be read, keeps nobody from being told
// of what fell silent.
func TestWeekThatFailsSilencesNothing(t *testing.T) {
	x := newWeeks(t, sqldbtest.Open(t))
	x.channel(notify.EndpointSilent)
	x.look("2026-11-21 12:00")
	x.pc("pc", 30*24*time.Hour)
	x.ok(x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE notify_weekly SET told_for = 'zz'`)
		return err
	}))
	w := noticeWatch{since: x.clock.Add(-time.Hour), silent: map[string]bool{}, groups: map[string]bool{}, care: map[string]bool{}}
	if err := x.lookForNotices(t.Context(), &w); err == nil {
		t.Error("nobody hears of the summary that can't be made")
	}
	all, err := notify.Newest(t.Context(), x.db.Read(), x.owner.OrganisationID, 10)
	if err != nil || len(all) != 2 || all[0].Event.Kind != notify.EndpointSilent { // two recipients
		t.Errorf("%+v, %v", all, err)
	}
}

// Deadlines that can't be counted are said to be unknown, before all others.
func TestWeekSaysWhatIsUnknown(t *testing.T) {
	x := newWeeks(t, sqldbtest.Open(t))
	me := Actor{Kind: ByOperator, ID: x.owner.ID, OrganisationID: x.owner.OrganisationID, Role: operator.Owner}
	change := func(sql string, args ...any) {
		x.ok(x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, sql, args...)
			return err
		}))
	}
	change(`UPDATE operator_operator SET must_change_password = 0`)
	var ids []string
	for range 2 {
		i, err := x.OpenIncident(t.Context(), me, NewIncident{Title: "t", DiscoveredAt: x.clock})
		x.ok(err)
		_, err = x.SetAnswer(t.Context(), me, i.ID, NewAnswer{Item: record.DiscoveredAt, State: record.Known, Value: record.Value{At: x.clock}})
		x.ok(err)
		ids = append(ids, i.Number, i.ID)
	}
	change(`UPDATE record_version SET value = '{' WHERE incident_id = $1`, ids[3])
	e, err := x.weekly(t.Context(), x.db.Read(), x.owner.OrganisationID, x.clock)
	x.ok(err)
	if l := e.Week.Incidents; len(l) != 2 || !l[0].Unknown || l[0].Number != ids[2] || l[1].Unknown || l[1].Due.IsZero() {
		t.Errorf("%+v", l)
	}
}

// No more go on at one time than the collector bears.
func TestSearchesAtOneTime(t *testing.T) {
	x := newWeeks(t, sqldbtest.Open(t))
	me := Actor{Kind: BySystem, OrganisationID: x.owner.OrganisationID}
	for range maxSearches {
		x.searching <- struct{}{}
	}
	if _, err := x.Search(t.Context(), me, "x", ""); !errors.Is(err, ErrBusy) {
		t.Errorf("%v", err)
	}
	<-x.searching
	for range 2 { // each gives its place back
		_, err := x.Search(t.Context(), me, "x", "")
		x.ok(err)
	}
}
