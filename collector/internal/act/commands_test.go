package act_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
	"hozen/internal/profile"
)

func described() endpoint.Description {
	return endpoint.Description{Hostname: "pc", OS: "linux", BootID: "boot", Capability: 1}
}

func measured(s endpoint.State, at time.Time) endpoint.IsolationStatus {
	return endpoint.IsolationStatus{Desired: s, Observed: s, MeasuredAt: at, WayHome: true, Capable: true}
}

// kinds returns the kinds of an incident's timeline.
func (x *fixture) kinds(incidentID string) string {
	x.t.Helper()
	list, err := x.Timeline(x.t.Context(), x.owner, incidentID)
	if err != nil {
		x.t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, string(e.Kind))
	}
	return strings.Join(names, " ")
}

func TestLifeOfACommand(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, other := x.enrolled("pc"), x.enrolled("other")
		wake, _, cancel := x.hub.SubscribeEndpoint(p.id)
		defer cancel()
		c, err := x.Isolate(ctx, x.owner, p.id, act.Order{Reason: "画面がおかしい", IsolateFirst: true})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-wake:
		default:
			t.Error("the endpoint was not woken")
		}
		if got := x.acts(c.ID); len(got) != 1 || got[0] != "dispatch.isolate" {
			t.Errorf("ledger before sending: %q", got)
		}
		open, err := x.Outstanding(ctx, p.id)
		if err != nil || len(open) != 1 || open[0].Issuer != "社長" || !open[0].IsolateFirst || open[0].Counter != 1 {
			t.Fatalf("%+v, %v", open, err)
		}
		second, err := x.Acquire(ctx, x.owner, p.id, act.Order{})
		if err != nil || second.Counter != 2 || second.IncidentID != c.IncidentID {
			t.Fatalf("%+v, %v", second, err)
		}
		if elsewhere, err := x.Acquire(ctx, x.owner, other.id, act.Order{}); err != nil || elsewhere.Counter != 1 || elsewhere.IncidentID == c.IncidentID {
			t.Errorf("%+v, %v", elsewhere, err)
		}

		wantErr(t, x.CommandAcked(ctx, other.id, c.ID), act.ErrNotFound) // only for itself
		for range 2 {
			if err := x.CommandAcked(ctx, p.id, c.ID); err != nil {
				t.Fatal(err)
			}
		}
		r := dispatch.Result{CommandID: c.ID, Status: dispatch.Done, FinishedAt: x.clock, AcquisitionID: id.New(id.Acquisition)}
		i := measured(endpoint.Isolated, x.clock)
		i.CommandID = c.ID
		wantErr(t, x.CommandFinished(ctx, other.id, r, &i), act.ErrNotFound)
		for range 2 {
			if err := x.CommandFinished(ctx, p.id, r, &i); err != nil {
				t.Fatal(err)
			}
		}
		late := r
		late.Status = dispatch.Failed
		if err := x.CommandFinished(ctx, p.id, late, nil); err != nil {
			t.Fatal(err)
		}
		done, err := x.Command(ctx, x.owner, c.ID)
		if err != nil || done.Status != dispatch.Done || done.AcquisitionID != r.AcquisitionID {
			t.Errorf("the first word does not stand: %+v, %v", done, err)
		}
		if got := strings.Join(x.acts(c.ID), " "); got != "dispatch.isolate dispatch.accept dispatch.finish" {
			t.Errorf("ledger: %s", got)
		}
		if got := x.kinds(c.IncidentID); got != "opened command command result" {
			t.Errorf("timeline: %s", got)
		}
		e, err := x.Endpoint(ctx, x.owner, p.id)
		if err != nil || e.Isolation.Observed != endpoint.Isolated {
			t.Errorf("%+v, %v", e.Isolation, err)
		}
		if open, err := x.Outstanding(ctx, p.id); err != nil || len(open) != 1 || open[0].ID != second.ID {
			t.Errorf("%+v, %v", open, err)
		}
		bad := dispatch.Result{CommandID: second.ID, Status: dispatch.Queued}
		wantInvalid(t, x.CommandFinished(ctx, p.id, bad, nil), "status", "unknown")
		bad = dispatch.Result{CommandID: second.ID, Status: dispatch.Done, AcquisitionID: "../x"}
		wantInvalid(t, x.CommandFinished(ctx, p.id, bad, nil), "acquisition_id", "malformed")
		x.ledgerStands()
	})
}

func TestOrdersAreChecked(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.enrolled("pc")
		_, err := x.Acquire(ctx, x.owner, p.id, act.Order{Profile: "everything"})
		wantInvalid(t, err, "profile", "unknown")
		for _, known := range profile.All() {
			c, err := x.Acquire(ctx, x.owner, p.id, act.Order{Profile: known.Name})
			if err != nil || c.Profile != known.Name {
				t.Errorf("%s: %v, ordered as %s", known.Name, err, c.Profile)
			}
		}
		// The memory of one process is taken where the agent can, and of a process that is named.
		one := profile.ProcessName(4711, 1795476210610665)
		_, err = x.Acquire(ctx, x.owner, p.id, act.Order{Profile: one})
		wantInvalid(t, err, "profile", "unknown")
		w := x.enrolled("office")
		if err := x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE endpoint_endpoint SET os = 'windows' WHERE id = $1`, w.id)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if c, err := x.Acquire(ctx, x.owner, w.id, act.Order{Profile: one}); err != nil || c.Profile != one {
			t.Errorf("%v, ordered as %s", err, c.Profile)
		}
		_, err = x.Acquire(ctx, x.owner, w.id, act.Order{Profile: profile.Process})
		wantInvalid(t, err, "profile", "unknown")
		_, err = x.Isolate(ctx, x.owner, p.id, act.Order{Reason: strings.Repeat("x", 1025)})
		wantInvalid(t, err, "reason", "too_long")
		_, err = x.Isolate(ctx, x.owner, "end_none", act.Order{})
		wantErr(t, err, act.ErrNotFound)
		_, err = x.Isolate(ctx, x.owner, p.id, act.Order{IncidentID: "INC-2026-9999"})
		wantErr(t, err, act.ErrNotFound)
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Isolate(ctx, x.owner, p.id, act.Order{IncidentID: inc.Number}); err != nil {
			t.Error(err)
		}
		if got := x.kinds(inc.ID); got != "opened joined command" {
			t.Errorf("timeline: %s", got)
		}
		if err := x.CloseIncident(ctx, x.owner, inc.ID, "done"); err != nil {
			t.Fatal(err)
		}
		wantErr(t, x.CloseIncident(ctx, x.owner, inc.ID, "done"), act.ErrConflict)
		_, err = x.Isolate(ctx, x.owner, p.id, act.Order{IncidentID: inc.ID})
		wantErr(t, err, act.ErrConflict)
		list, err := x.Commands(ctx, x.owner, act.CommandFilter{EndpointID: p.id, IncidentID: inc.Number})
		if err != nil || len(list) != 1 {
			t.Errorf("%d commands, %v", len(list), err)
		}
	})
}

func TestIsolationIsAsMeasuredOrUnknown(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.enrolled("pc")
		look := func() endpoint.Endpoint {
			t.Helper()
			e, err := x.Endpoint(ctx, x.owner, p.id)
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		if e := look(); e.Isolation.Observed != endpoint.Unknown || e.Online {
			t.Errorf("%+v", e)
		}
		_, _, gone := x.hub.SubscribeEndpoint(p.id)
		d := described()
		d.Isolation = measured(endpoint.Released, x.clock)
		d.AgentTime = x.clock.Add(-3 * time.Minute)
		if err := x.EndpointConnected(ctx, p.id, d, "192.0.2.7:1"); err != nil {
			t.Fatal(err)
		}
		if e := look(); e.Isolation.Observed != endpoint.Released || !e.Online || e.ClockOffset != -3*time.Minute || e.BootID != "boot" {
			t.Errorf("%+v", e)
		}
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{p.id}})
		if err != nil {
			t.Fatal(err)
		}
		// Somebody takes the rules away by hand, or puts them there: nobody ordered it.
		for range 2 {
			if err := x.EndpointIsolation(ctx, p.id, measured(endpoint.Isolated, x.clock)); err != nil {
				t.Fatal(err)
			}
		}
		if got := x.kinds(inc.ID); got != "opened isolation" {
			t.Errorf("timeline: %s", got)
		}
		x.clock = x.clock.Add(80 * time.Second)
		if e := look(); e.Isolation.Observed != endpoint.Isolated {
			t.Errorf("%+v", e.Isolation)
		}
		x.clock = x.clock.Add(20 * time.Second)
		if e := look(); e.Isolation.Observed != endpoint.Unknown || e.Isolation.Desired != endpoint.Isolated {
			t.Errorf("a stale measurement is shown as %s", e.Isolation.Observed)
		}
		if err := x.EndpointSeen(ctx, p.id, measured(endpoint.Isolated, x.clock)); err != nil {
			t.Fatal(err)
		}
		if e := look(); e.Isolation.Observed != endpoint.Isolated || !e.LastSeenAt.Equal(x.clock) {
			t.Errorf("%+v", e)
		}
		if err := x.EndpointSeen(ctx, p.id, measured(endpoint.Released, x.clock)); err != nil {
			t.Fatal(err)
		}
		if got := x.kinds(inc.ID); got != "opened isolation isolation" {
			t.Errorf("a change that came with a heartbeat is not in the timeline: %s", got)
		}
		gone()
		if err := x.EndpointDisconnected(ctx, p.id); err != nil {
			t.Fatal(err)
		}
		if e := look(); e.Online {
			t.Error("online without a stream")
		}
		if got := x.kinds(inc.ID); got != "opened isolation isolation" {
			t.Errorf("timeline: %s", got)
		}
		x.ledgerStands()
	})
}

func TestAlertsOpenAndJoin(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, other := x.enrolled("pc"), x.enrolled("other")
		call := act.AlertCall{AlertID: id.New(id.Alert), Message: "ファイルが開けない\n詳しくは…", Reporter: "yamada", ReportedAt: x.clock.Add(-time.Minute)}
		inc, err := x.ReportTrouble(ctx, p.id, call)
		if err != nil {
			t.Fatal(err)
		}
		if inc.Number != "INC-2026-0001" || inc.Title != "ファイルが開けない" || inc.Reporter != "yamada" || !inc.DiscoveredAt.Equal(call.ReportedAt) {
			t.Errorf("%+v", inc)
		}
		if again, err := x.ReportTrouble(ctx, p.id, call); err != nil || again.ID != inc.ID {
			t.Errorf("%+v, %v", again, err)
		}
		if got := x.kinds(inc.ID); got != "opened alert" {
			t.Errorf("timeline: %s", got)
		}
		_, err = x.ReportTrouble(ctx, other.id, call)
		wantErr(t, err, act.ErrConflict)
		x.clock = x.clock.Add(29 * time.Minute)
		second := act.AlertCall{AlertID: id.New(id.Alert), Message: "まだ", ReportedAt: x.clock}
		if joined, err := x.ReportTrouble(ctx, p.id, second); err != nil || joined.ID != inc.ID {
			t.Errorf("%+v, %v", joined, err)
		}
		if apart, err := x.ReportTrouble(ctx, other.id, act.AlertCall{AlertID: id.New(id.Alert)}); err != nil || apart.Number != "INC-2026-0002" || apart.Title != "other" {
			t.Errorf("%+v, %v", apart, err)
		}
		x.clock = x.clock.Add(2 * time.Minute)
		if later, err := x.ReportTrouble(ctx, p.id, act.AlertCall{AlertID: id.New(id.Alert)}); err != nil || later.Number != "INC-2026-0003" {
			t.Errorf("%+v, %v", later, err)
		}
		_, err = x.ReportTrouble(ctx, p.id, act.AlertCall{AlertID: "alt_../x"})
		wantInvalid(t, err, "alert_id", "malformed")
		x.ledgerStands()
	})
}

func TestIncidentsAreNumberedByTheYearInJapan(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.clock = time.Date(2026, 12, 31, 14, 59, 0, 0, time.UTC)
		var numbers []string
		for range 2 {
			inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Classification: incident.Ransomware})
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, inc.Number)
			x.clock = x.clock.Add(time.Minute)
		}
		if got := strings.Join(numbers, " "); got != "INC-2026-0001 INC-2027-0001" {
			t.Error(got)
		}
		_, err := x.OpenIncident(ctx, x.owner, act.NewIncident{})
		wantInvalid(t, err, "title", "required")
		_, err = x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Classification: "fire"})
		wantInvalid(t, err, "classification", "unknown")
		_, err = x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", DiscoveredAt: x.clock.Add(time.Hour)})
		wantInvalid(t, err, "discovered_at", "range")
		_, err = x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{"end_none"}})
		wantErr(t, err, act.ErrNotFound)
		wantInvalid(t, x.AddNote(ctx, x.owner, numbers[0], " \n"), "text", "required")
		if err := x.AddNote(ctx, x.owner, numbers[0], "電話した\x00"); err != nil {
			t.Error(err)
		}
	})
}
