package act_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
)

// TestWhatIsSeenAndTakenStandsOnTheTimeline: looking at an exhibit is one line a day and
// person, and everything that leaves the collector is a line each time.
func TestWhatIsSeenAndTakenStandsOnTheTimeline(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		ctx := t.Context()
		items, err := o.AcquisitionItems(ctx, o.owner, o.keiri.send("flash", captured()))
		ok(t, err)
		count := func() map[string]int {
			list, err := o.Timeline(ctx, o.owner, o.custody().Incident.ID)
			ok(t, err)
			n := map[string]int{}
			for _, e := range list {
				if e.Kind == incident.EntryCustody || e.Kind == incident.EntryExport {
					n[string(e.Kind)+"."+e.Params["event"]]++
				}
			}
			return n
		}
		open := func(n int, p act.Purpose) {
			_, r, err := o.OpenEvidence(ctx, o.owner, items[n].ID, p)
			ok(t, err)
			ok(t, r.Close())
		}
		open(0, act.ToView)
		open(1, act.ToView)
		open(0, act.ToDownload)
		open(0, act.ToDownload)
		if n := count(); n["custody.view"] != 1 || n["custody.copy"] != 2 {
			t.Errorf("%v", n)
		}
		x.clock = x.clock.Add(25 * time.Hour)
		open(0, act.ToView)
		var form bytes.Buffer
		ok(t, o.CustodyForm(ctx, o.owner, o.custody().Incident.ID, &form))
		doc, err := o.DraftReport(ctx, o.owner, o.newReport(report.Owner))
		ok(t, err)
		if words := strings.Join(doc.Words(), "\n"); strings.Contains(words, "証拠一式を作りました") {
			t.Error("a form is told as a package")
		}
		o.write(o.order(act.NewExport{}))
		ok(t, o.DescribeExhibit(ctx, o.owner, o.incident+"-E01", map[exhibit.Field]string{exhibit.Serial: "PF3", exhibit.Maker: "メーカー"}))
		ok(t, o.DescribeExhibit(ctx, o.owner, o.incident+"-E01", map[exhibit.Field]string{exhibit.Maker: "メーカー"})) // nothing new
		n := count()
		for _, one := range []string{"export.form", "export.taken", "export.", "custody.describe"} {
			if n[one] != 1 {
				t.Errorf("%s: %d lines", one, n[one])
			}
		}
		r := o.order(act.NewExport{})
		o.write(r)
		o.write(r)
		doc, err = o.DraftReport(ctx, o.owner, o.newReport(report.Owner))
		ok(t, err)
		if words := strings.Join(doc.Words(), "\n"); !strings.Contains(words, "調査に渡す証拠一式を作りました（計2回）。") {
			t.Error(words)
		}
		if n["custody.view"] != 2 {
			t.Errorf("%d lines of two days", n["custody.view"])
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
	})
}

// TestAnEndpointThatIsBarredIsOnTheTimeline: and so is what it was ordered and will not do.
func TestAnEndpointThatIsBarredIsOnTheTimeline(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.enrolled("pc-1")
		inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{p.id}})
		ok(t, err)
		_, err = x.Acquire(t.Context(), x.owner, p.id, act.Order{Reason: "見る", IncidentID: inc.ID, Profile: "flash"})
		ok(t, err)
		ok(t, x.RevokeEndpoint(t.Context(), x.owner, p.id, "盗まれた"))
		list, err := x.Timeline(t.Context(), x.owner, inc.ID)
		ok(t, err)
		var got []string
		for _, e := range list {
			if e.Kind == incident.EntryResult {
				got = append(got, e.Params["status"])
			}
			if e.Params["command"] == "revoke_endpoint" {
				got = append(got, e.Text)
			}
		}
		if len(got) != 2 || got[0] != "expired" || got[1] != "盗まれた" {
			t.Errorf("%q", got)
		}
	})
}

// TestAnOrderToAGroupThatWaitsIsOnTheTimeline: of the incident for which it is asked for.
func TestAnOrderToAGroupThatWaitsIsOnTheTimeline(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.office(4)
		second := x.person("second", operator.Handler)
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{MaxShare: 100, TwoShare: 50}))
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		o := act.GroupOrder{Verb: dispatch.Isolate, Order: act.Order{Reason: "広がっている", IncidentID: inc.ID}}
		pv, err := x.PreviewGroup(ctx, x.owner, act.Selection{All: true}, o)
		ok(t, err)
		o.Confirmed = pv.Fingerprint
		_, err = x.OrderGroup(ctx, x.owner, act.Selection{All: true}, o)
		var waits *act.SecondPerson
		if !errors.As(err, &waits) || waits.Group == nil {
			t.Fatal(err)
		}
		ok(t, x.RefuseGroup(ctx, second, waits.Group.ID, "ほかの方法がある"))
		list, err := x.Timeline(ctx, x.owner, inc.ID)
		ok(t, err)
		var got []string
		for _, e := range list {
			if e.Kind == incident.EntryCommand {
				got = append(got, e.Params["command"]+" "+e.Params["verb"]+" "+e.Params["n"]+" "+e.Text+" "+e.Actor)
			}
		}
		if len(got) != 2 || got[0] != "ask_group isolate 4 広がっている "+list[0].Actor || got[1] != "refuse_group isolate  ほかの方法がある second" {
			t.Errorf("%q", got)
		}
		x.ledgerStands()
	})
}

// TestACopyOfWhatAPersonSentIsOnTheTimeline: as one of what an agent sent is.
func TestACopyOfWhatAPersonSentIsOnTheTimeline(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.uploading()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		u := x.sent(inc.ID, "vpn.log", "0123456789")
		for range 2 {
			_, r, err := x.OpenUpload(ctx, x.owner, u.ID)
			ok(t, err)
			ok(t, r.Close())
		}
		list, err := x.Timeline(ctx, x.owner, inc.ID)
		ok(t, err)
		n := 0
		for _, e := range list {
			if e.Kind == incident.EntryCustody && e.Params["event"] == "copy" && e.Params["exhibit"] == u.Exhibit && e.LedgerIdx != 0 {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%d lines of two copies: %+v", n, list)
		}
		x.ledgerStands()
	})
}

// TestAnOrderToAGroupIsRefusedWhateverItSays: what somebody made of its words in the database
// keeps nobody from refusing it.
func TestAnOrderToAGroupIsRefusedWhateverItSays(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.office(4)
		second := x.person("second", operator.Handler)
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{MaxShare: 100, TwoShare: 50}))
		into, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "into"})
		ok(t, err)
		for name, said := range map[string]string{"no JSON": "x", "an incident that is not there": `{"incident":"inc_x"}`, "merged": ""} {
			inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: name})
			ok(t, err)
			o := act.GroupOrder{Verb: dispatch.Isolate, Order: act.Order{Reason: "広がっている", IncidentID: inc.ID}}
			pv, err := x.PreviewGroup(ctx, x.owner, act.Selection{All: true}, o)
			ok(t, err)
			o.Confirmed = pv.Fingerprint
			_, err = x.OrderGroup(ctx, x.owner, act.Selection{All: true}, o)
			var waits *act.SecondPerson
			if !errors.As(err, &waits) || waits.Group == nil {
				t.Fatal(err)
			}
			if said == "" {
				_, err = x.MergeIncident(ctx, x.owner, inc.ID, into.ID, "同じ")
				ok(t, err)
			} else {
				ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
					_, err := tx.ExecContext(ctx, `UPDATE group_asked SET said = $1 WHERE id = $2`, said, waits.Group.ID)
					return err
				}))
			}
			if err := x.RefuseGroup(ctx, second, waits.Group.ID, "ほかの方法がある"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			list, err := x.GroupsWaiting(ctx, x.owner)
			if err != nil || len(list) != 0 {
				t.Errorf("%s: waits still: %+v, %v", name, list, err)
			}
		}
		list, err := x.Timeline(ctx, x.owner, into.ID)
		ok(t, err)
		n := 0
		for _, e := range list {
			if e.Kind == incident.EntryCommand && e.Params["command"] == "refuse_group" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d lines where the merged incident goes on: %+v", n, list)
		}
	})
}
