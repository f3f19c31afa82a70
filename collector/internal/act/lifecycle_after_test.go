package act_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/record"
	"hozen/collector/internal/report"
	"hozen/internal/artifact"
	"hozen/internal/i18n"
	"hozen/internal/id"
)

func (x *fixture) opened(title string, endpoints ...string) incident.Incident {
	x.t.Helper()
	i, err := x.OpenIncident(x.t.Context(), x.owner, act.NewIncident{Title: title, EndpointIDs: endpoints})
	ok(x.t, err)
	return i
}

// What was merged is kept as long as that in which it goes on: while it is open or held, and
// for the days after its closing.
func TestMergedEvidenceIsKeptWithTheOther(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx, o := t.Context(), newOffice(t, x)
		x.uploading()
		o.keiri.send("flash", captured())
		u := x.sent(o.incident, "fw.log", "bytes")
		b, c := x.opened("b"), x.opened("c")
		_, err := x.MergeIncident(ctx, x.owner, o.incident, b.ID, "同じ")
		ok(t, err)
		_, err = x.MergeIncident(ctx, x.owner, b.ID, c.ID, "これも")
		ok(t, err)
		numbers := []string{o.incident + "-E01", u.Exhibit}
		refused := func(when string, want error) {
			t.Helper()
			for _, number := range numbers {
				g, err := x.DisposalOf(ctx, x.owner, number)
				if !errors.Is(err, want) {
					t.Errorf("%s %s: %v", when, number, err)
				}
				if _, err := x.DisposeExhibit(ctx, x.owner, number, "x", g.Fingerprint()); !errors.Is(err, want) {
					t.Errorf("%s %s is disposed of: %v", when, number, err)
				}
			}
		}
		refused("open", act.ErrRetained)
		ok(t, x.HoldIncident(ctx, x.owner, c.ID, "訴訟"))
		refused("open and held", act.ErrHeld)
		if cu := o.custody(); !cu.Held || cu.HeldHere() || cu.HeldIn.ID != c.ID || cu.Hold.Purpose != "訴訟" {
			t.Errorf("%+v", cu)
		}
		ok(t, x.SetRetention(ctx, x.owner, 30))
		x.clock = x.clock.AddDate(0, 0, 40)
		ok(t, x.CloseIncident(ctx, x.owner, c.ID, "終息"))
		refused("closed and held", act.ErrHeld)
		ok(t, x.ReleaseHold(ctx, x.owner, c.ID, "和解"))
		refused("closed just now", act.ErrRetained)
		if due := o.custody().Due; !due.Equal(x.clock.AddDate(0, 0, 30)) {
			t.Errorf("due %s", due)
		}
		x.clock = x.clock.AddDate(0, 0, 31)
		ok(t, x.ReopenIncident(ctx, x.owner, c.ID, "また"))
		refused("opened again", act.ErrRetained)
		ok(t, x.CloseIncident(ctx, x.owner, c.ID, "終息"))
		x.clock = x.clock.AddDate(0, 0, 31)
		// A hold of the other that comes after the order stops what is not finished.
		for _, number := range numbers {
			g, err := x.DisposalOf(ctx, x.owner, number)
			ok(t, err)
			if _, err := o.over(&forgetful{x.blobs, 0}).DisposeExhibit(ctx, x.owner, number, "終了", g.Fingerprint()); !errors.Is(err, errPower) {
				t.Fatal(err)
			}
		}
		ok(t, x.HoldIncident(ctx, x.owner, c.ID, "また訴訟"))
		ok(t, x.FinishDisposals(ctx))
		if there, all := o.stored(); there != all || all == 0 || x.lines(evidence.ActDisposed) != 0 || len(o.custody().Unfinished) != 2 {
			t.Errorf("%d of %d files are there; unfinished %q", there, all, o.custody().Unfinished)
		}
		ok(t, x.ReleaseHold(ctx, x.owner, c.ID, "和解"))
		ok(t, x.FinishDisposals(ctx))
		if there, _ := o.stored(); there != 0 || x.lines(evidence.ActDisposed) != 2 {
			t.Errorf("%d files are there at the end", there)
		}
		x.ledgerStands()
	})
}

// A legal hold goes where the endpoints go.
func TestHoldGoesOnAfterSplitAndMerge(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, q := x.enrolled("pc"), x.enrolled("other")
		a, b, c := x.opened("a", p.id, q.id), x.opened("b"), x.opened("c")
		ok(t, x.HoldIncident(ctx, x.owner, a.ID, "訴訟"))
		made, err := x.SplitIncident(ctx, x.owner, a.ID, []string{q.id}, "d", "別件")
		ok(t, err)
		_, err = x.MergeIncident(ctx, x.owner, a.ID, b.ID, "同じ")
		ok(t, err)
		for name, i := range map[string]incident.Incident{"split": made, "merged": b} {
			cu, err := x.Custody(ctx, x.owner, i.ID)
			ok(t, err)
			if !cu.Held || !cu.HeldHere() || !strings.Contains(cu.Hold.Purpose, "訴訟") || !strings.Contains(cu.Hold.Purpose, a.Number) {
				t.Errorf("%s: %v %+v", name, cu.Held, cu.Hold)
			}
			if !strings.Contains(x.kinds(i.ID), "custody") {
				t.Errorf("%s: timeline %s", name, x.kinds(i.ID))
			}
		}
		_, err = x.MergeIncident(ctx, x.owner, made.ID, b.ID, "やはり同じ") // held already
		ok(t, err)
		if n := strings.Count(x.kinds(b.ID), "custody"); n != 1 {
			t.Errorf("%d holds", n)
		}
		free := x.opened("e", p.id, q.id)
		made, err = x.SplitIncident(ctx, x.owner, free.ID, []string{q.id}, "f", "別件")
		ok(t, err)
		_, err = x.MergeIncident(ctx, x.owner, free.ID, c.ID, "同じ")
		ok(t, err)
		for _, i := range []incident.Incident{made, c} {
			if cu, err := x.Custody(ctx, x.owner, i.ID); err != nil || cu.Held {
				t.Errorf("%s is held: %v", i.Title, err)
			}
		}
		x.ledgerStands()
	})
}

// What was ordered or announced before a split goes with the endpoint, and does not bring it back.
func TestSplitStays(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, q := x.enrolled("pc"), x.enrolled("other")
		a := x.opened("a", p.id, q.id)
		cmd, err := x.Acquire(ctx, x.owner, q.id, act.Order{IncidentID: a.ID})
		ok(t, err)
		stays, err := x.Acquire(ctx, x.owner, p.id, act.Order{IncidentID: a.ID})
		ok(t, err)
		alert := id.New(id.Alert)
		ahead := x.tie(q, artifact.Manifest{AlertID: alert})
		if ahead.IncidentID != a.ID {
			t.Fatalf("%+v", ahead)
		}
		made, err := x.SplitIncident(ctx, x.owner, a.ID, []string{q.id}, "b", "別件")
		ok(t, err)
		lies := func(when string, m artifact.Manifest, pc pc, want incident.Incident) {
			t.Helper()
			tied := x.tie(pc, m)
			if tied.IncidentID != want.ID {
				t.Errorf("%s: %+v, want %s", when, tied, want.Number)
			}
			x.accept(pc, tied.IncidentID, artifact.KindProcess, "{}\n")
		}
		lies("by the order", artifact.Manifest{CommandID: cmd.ID}, q, made)
		lies("by the alert", artifact.Manifest{AlertID: alert}, q, made)
		lies("what stays", artifact.Manifest{CommandID: stays.ID}, p, a)
		got, err := x.Incident(ctx, x.owner, a.ID)
		if err != nil || !slices.Equal(got.EndpointIDs, []string{p.id}) {
			t.Errorf("it came back: %q, %v", got.EndpointIDs, err)
		}
		if inc, err := x.ReportTrouble(ctx, q.id, act.AlertCall{AlertID: alert, Message: "変"}); err != nil || inc.ID != made.ID {
			t.Errorf("%+v, %v", inc, err)
		}
		// Further on: into another, and out of that.
		c := x.opened("c", p.id)
		_, err = x.MergeIncident(ctx, x.owner, made.ID, c.ID, "同じ")
		ok(t, err)
		lies("merged", artifact.Manifest{CommandID: cmd.ID}, q, c)
		again, err := x.SplitIncident(ctx, x.owner, c.ID, []string{q.id}, "d", "別件")
		ok(t, err)
		lies("split again", artifact.Manifest{CommandID: cmd.ID}, q, again)
		_, err = x.MergeIncident(ctx, x.owner, again.ID, a.ID, "元に")
		ok(t, err)
		lies("back by a merge", artifact.Manifest{CommandID: cmd.ID}, q, a)
		x.ledgerStands()
	})
}

// What comes after a merge stands where people look: a report that its evidence overtook, what
// came of an order, a file that was on its way.
func TestWhatComesAfterAMerge(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.uploading()
		p := x.enrolled("pc")
		a, b := x.opened("a", p.id), x.opened("b")
		cmd, err := x.Acquire(ctx, x.owner, p.id, act.Order{IncidentID: a.ID})
		ok(t, err)
		alert := id.New(id.Alert)
		x.tie(p, artifact.Manifest{AlertID: alert})
		u, err := x.BeginUpload(ctx, x.owner, act.NewUpload{File: record.File{Source: record.Router, Name: "fw.log", Person: "佐藤"}, IncidentID: a.ID, Size: 5})
		ok(t, err)
		_, err = x.MergeIncident(ctx, x.owner, a.ID, b.ID, "同じ")
		ok(t, err)
		for range 2 {
			if inc, err := x.ReportTrouble(ctx, p.id, act.AlertCall{AlertID: alert, Message: "変"}); err != nil || inc.ID != b.ID || !slices.Equal(inc.EndpointIDs, []string{p.id}) {
				t.Errorf("%+v, %v", inc, err)
			}
		}
		ok(t, x.CommandFinished(ctx, p.id, dispatch.Result{CommandID: cmd.ID, Status: dispatch.Failed, Detail: "x"}, nil))
		_, err = x.AppendUpload(ctx, x.owner, u.ID, 0, strings.NewReader("bytes"))
		ok(t, err)
		if u, err = x.FinishUpload(ctx, x.owner, u.ID); err != nil || u.IncidentID != b.ID || !strings.HasPrefix(u.Exhibit, b.Number) {
			t.Errorf("%+v, %v", u, err)
		}
		if list, err := x.Uploads(ctx, x.owner, b.ID); err != nil || len(list) != 1 {
			t.Errorf("%d files, %v", len(list), err)
		}
		if x.kinds(a.ID) != "opened command merged" || x.kinds(b.ID) != "opened merged_in joined alert result upload" {
			t.Errorf("timelines: %s and %s", x.kinds(a.ID), x.kinds(b.ID))
		}
		x.ledgerStands()
	})
}

// The documents of an incident have the evidence of what was merged into it.
func TestDocumentsHaveMergedEvidence(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx, o := t.Context(), newOffice(t, x)
		o.keiri.send("flash", captured())
		b, c := x.opened("b"), x.opened("c")
		_, err := x.MergeIncident(ctx, x.owner, o.incident, b.ID, "同じ")
		ok(t, err)
		_, err = x.MergeIncident(ctx, x.owner, b.ID, c.ID, "これも")
		ok(t, err)
		stages := report.Stages(report.Full)
		tells := func(a act.Actor, of string) bool {
			t.Helper()
			d, err := x.DraftReport(ctx, a, act.NewReport{IncidentID: of, Kind: report.Full, Stage: stages[len(stages)-1], Language: i18n.Japanese})
			ok(t, err)
			b, err := json.Marshal(d)
			ok(t, err)
			return strings.Contains(string(b), o.incident+"-E01")
		}
		for _, of := range []string{c.ID, o.incident} {
			if !tells(x.owner, of) {
				t.Errorf("the document of %s lacks it", of)
			}
		}
		vendor := x.person("vendor", operator.Vendor)
		ok(t, x.GrantIncident(ctx, x.owner, vendor.ID, c.ID, x.clock.Add(time.Hour)))
		for _, of := range []string{c.ID, o.incident} {
			if _, err := x.DraftReport(ctx, vendor, act.NewReport{IncidentID: of, Kind: report.Full, Stage: stages[len(stages)-1], Language: i18n.Japanese}); !errors.Is(err, act.ErrForbidden) {
				t.Errorf("whoever was granted the one drafts a document of %s: %v", of, err)
			}
		}
	})
}
