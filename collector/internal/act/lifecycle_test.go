package act_test

import (
	"slices"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/internal/artifact"
	"hozen/internal/id"
)

func TestIncidentsCloseAndReopen(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.enrolled("pc")
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{p.id}})
		if err != nil {
			t.Fatal(err)
		}
		wantErr(t, x.ReopenIncident(ctx, x.owner, inc.ID, "x"), act.ErrConflict)
		wantInvalid(t, x.CloseIncidentAs(ctx, x.owner, inc.ID, incident.Merged, "x"), "code", "unknown")
		if err := x.CloseIncidentAs(ctx, x.owner, inc.ID, incident.FalseAlarm, "誤検知"); err != nil {
			t.Fatal(err)
		}
		wantErr(t, x.CloseIncident(ctx, x.owner, inc.ID, "x"), act.ErrConflict)
		got, err := x.Incident(ctx, x.owner, inc.ID)
		if err != nil || got.ClosedAt.IsZero() || got.CloseCode != incident.FalseAlarm {
			t.Errorf("%+v, %v", got, err)
		}
		wantInvalid(t, x.ReopenIncident(ctx, x.owner, inc.ID, " "), "reason", "required")
		if err := x.ReopenIncident(ctx, x.owner, inc.ID, "別の端末にもあった"); err != nil {
			t.Fatal(err)
		}
		got, err = x.Incident(ctx, x.owner, inc.ID)
		if err != nil || !got.ClosedAt.IsZero() || got.CloseCode != "" {
			t.Errorf("%+v, %v", got, err)
		}
		if kinds := x.kinds(inc.ID); kinds != "opened closed reopened" {
			t.Errorf("timeline: %s", kinds)
		}
		if acts := x.acts(inc.ID); !slices.Equal(acts, []string{"incident.open", "incident.close", "incident.reopen"}) {
			t.Errorf("ledger: %q", acts)
		}
		x.ledgerStands()
	})
}

func TestMergedIncidentGoesOnInTheOther(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, q := x.enrolled("pc"), x.enrolled("other")
		a, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "a", EndpointIDs: []string{p.id}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "b", EndpointIDs: []string{q.id}})
		if err != nil {
			t.Fatal(err)
		}
		c, err := x.Acquire(ctx, x.owner, p.id, act.Order{IncidentID: a.ID})
		if err != nil {
			t.Fatal(err)
		}
		for _, into := range []string{a.ID, "inc_none", ""} {
			_, err := x.MergeIncident(ctx, x.owner, a.ID, into, "x")
			wantInvalid(t, err, "into", "unknown")
		}
		if _, err := x.MergeIncident(ctx, x.owner, a.ID, b.Number, "同じメール"); err != nil {
			t.Fatal(err)
		}
		_, err = x.MergeIncident(ctx, x.owner, a.ID, b.ID, "x")
		wantErr(t, err, act.ErrConflict)
		wantErr(t, x.ReopenIncident(ctx, x.owner, a.ID, "x"), act.ErrConflict)
		got, err := x.Incident(ctx, x.owner, a.ID)
		if err != nil || got.ClosedAt.IsZero() || got.CloseCode != incident.Merged || got.MergedInto != b.ID {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := x.Incident(ctx, x.owner, b.ID); err != nil || !slices.Contains(got.EndpointIDs, p.id) || !slices.Contains(got.EndpointIDs, q.id) {
			t.Errorf("%+v, %v", got, err)
		}
		// What its order brings now, and what its PC's user reports, belongs where people look.
		if tied := x.tie(p, artifact.Manifest{CommandID: c.ID}); tied.IncidentID != b.ID || tied.IncidentNumber != b.Number {
			t.Errorf("%+v", tied)
		}
		if inc, err := x.ReportTrouble(ctx, p.id, act.AlertCall{AlertID: id.New(id.Alert), Message: "また出た"}); err != nil || inc.ID != b.ID {
			t.Errorf("%+v, %v", inc, err)
		}
		if kinds := x.kinds(b.ID); kinds != "opened merged_in joined alert" {
			t.Errorf("timeline: %s", kinds)
		}
		x.ledgerStands()
	})
}

func TestEndpointsAreSplitOff(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, q := x.enrolled("pc"), x.enrolled("other")
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "a", Classification: incident.Malware, EndpointIDs: []string{p.id, q.id}})
		if err != nil {
			t.Fatal(err)
		}
		for code, ids := range map[string][]string{"required": nil, "unknown": {"end_none"}, "range": {p.id, q.id}} {
			_, err := x.SplitIncident(ctx, x.owner, inc.ID, ids, "b", "x")
			wantInvalid(t, err, "endpoint_ids", code)
		}
		made, err := x.SplitIncident(ctx, x.owner, inc.ID, []string{q.id}, "別件", "原因が違う")
		if err != nil || made.SplitFrom != inc.ID || made.Classification != incident.Malware || made.Number == inc.Number {
			t.Fatalf("%+v, %v", made, err)
		}
		old, err := x.Incident(ctx, x.owner, inc.ID)
		if err != nil || !slices.Equal(old.EndpointIDs, []string{p.id}) {
			t.Errorf("%+v, %v", old, err)
		}
		if got, err := x.Incident(ctx, x.owner, made.ID); err != nil || !slices.Equal(got.EndpointIDs, []string{q.id}) || got.SplitFrom != inc.ID {
			t.Errorf("%+v, %v", got, err)
		}
		if tied := x.tie(q, artifact.Manifest{}); tied.IncidentID != made.ID {
			t.Errorf("%+v", tied)
		}
		if a, b := x.kinds(inc.ID), x.kinds(made.ID); a != "opened split" || b != "opened split_from" {
			t.Errorf("timelines: %s and %s", a, b)
		}
		x.ledgerStands()
	})
}

func TestReportsWithinHalfAnHourJoin(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, q := x.enrolled("pc"), x.enrolled("other")
		report := func(join bool, endpoints ...string) incident.Incident {
			t.Helper()
			inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "電話で報告", Reporter: "佐藤", EndpointIDs: endpoints, Join: join})
			if err != nil {
				t.Fatal(err)
			}
			return inc
		}
		first := report(true, p.id)
		if alert, err := x.ReportTrouble(ctx, p.id, act.AlertCall{AlertID: id.New(id.Alert), Message: "変"}); err != nil || alert.ID != first.ID {
			t.Errorf("the PC's own report opened %s, %v", alert.Number, err)
		}
		x.clock = x.clock.Add(incident.JoinWithin)
		if second := report(true, q.id, p.id); second.ID != first.ID || !slices.Contains(second.EndpointIDs, q.id) {
			t.Errorf("%+v", second)
		}
		if alone := report(false, p.id); alone.ID == first.ID {
			t.Error("a separate incident was asked for")
		}
		if none := report(true); none.ID == first.ID {
			t.Error("a report without an endpoint joined")
		}
		x.clock = x.clock.Add(incident.JoinWithin + time.Second)
		if later := report(true, p.id); later.ID == first.ID {
			t.Error("half an hour has passed")
		}
		if kinds := x.kinds(first.ID); kinds != "opened alert alert joined" {
			t.Errorf("timeline: %s", kinds)
		}
		x.ledgerStands()
	})
}
