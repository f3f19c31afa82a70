package act_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/drill"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
	"hozen/internal/i18n"
	"hozen/internal/id"
)

func (x *fixture) drill(endpoints ...string) incident.Incident {
	x.t.Helper()
	inc, err := x.OpenIncident(x.t.Context(), x.owner, act.NewIncident{Title: "秋の訓練", Classification: incident.Ransomware, Drill: true, EndpointIDs: endpoints})
	ok(x.t, err)
	return inc
}

func TestDrillIsMarkedAndCountsForItself(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.modern("pc")
		_, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Drill: true})
		wantInvalid(t, err, "classification", "required")
		d := x.drill(p.id)
		if d.Number != "DRILL-2026-0001" || !d.Drill || d.Title != "【訓練】秋の訓練" {
			t.Errorf("%+v", d)
		}
		if f := x.details(d.ID); f["drill"] != "true" || f["number"] != d.Number {
			t.Errorf("ledger: %v", f)
		}
		// What comes of itself is real: it does not land in the drill.
		alert, err := x.ReportTrouble(ctx, p.id, act.AlertCall{AlertID: id.New(id.Alert), Message: "変な画面", Reporter: "keiri", ReportedAt: x.clock})
		ok(t, err)
		if alert.Drill || alert.Number != "INC-2026-0001" {
			t.Errorf("an alert of the PC's user went into %+v", alert)
		}
		other := x.modern("other")
		drilled := x.drill(other.id)
		if at, err := x.Attention(ctx, other.id); err != nil || at.Open {
			t.Errorf("the PC of a drill is told that an incident is open: %+v, %v", at, err)
		}
		c, err := x.Isolate(ctx, x.owner, other.id, act.Order{Reason: "本番"}) // nobody names the drill
		ok(t, err)
		if c.IncidentID == drilled.ID {
			t.Error("a real order went into the drill")
		}
		joined, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "電話", EndpointIDs: []string{other.id}, Join: true})
		ok(t, err)
		if joined.Drill {
			t.Error("a report joined a drill")
		}
		x.ledgerStands()
	})
}

func TestNothingIsCutInADrill(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, q := x.modern("pc"), x.modern("other")
		d := x.drill(p.id)
		_, err := x.Isolate(ctx, x.owner, p.id, act.Order{IncidentID: d.ID, Reason: "r"})
		wantErr(t, err, act.ErrInDrill)
		_, err = x.Release(ctx, x.owner, p.id, act.Order{IncidentID: d.Number, Reason: "r"})
		wantErr(t, err, act.ErrInDrill)
		_, err = x.Preserve(ctx, x.owner, p.id, act.Order{IncidentID: d.ID})
		wantErr(t, err, act.ErrInDrill)
		group := act.GroupOrder{Verb: dispatch.Isolate, Order: act.Order{Reason: "r", IncidentID: d.ID}}
		_, err = x.PreviewGroup(ctx, x.owner, act.Selection{Names: []string{q.id}}, group)
		wantErr(t, err, act.ErrInDrill)
		group.IncidentID = ""
		_, err = x.PreviewGroup(ctx, x.owner, act.Selection{IncidentID: d.ID}, group)
		wantErr(t, err, act.ErrInDrill)
		_, err = x.FillForm(ctx, x.owner, act.NewForm{IncidentID: d.ID, Language: i18n.Japanese, Cells: "S!A1 = title"})
		wantErr(t, err, act.ErrInDrill)

		ok(t, x.StepDrill(ctx, x.owner, d.ID, act.DrillStep{What: drill.Isolate, EndpointID: p.id, Note: "手順どおり"}))
		ok(t, x.StepDrill(ctx, x.owner, d.ID, act.DrillStep{What: drill.Release, EndpointID: q.id})) // it joins
		if list, err := x.Commands(ctx, x.owner, act.CommandFilter{}); err != nil || len(list) != 0 {
			t.Errorf("%d commands were stored, %v", len(list), err)
		}
		for _, e := range []pc{p, q} {
			if got, err := x.Endpoint(ctx, x.owner, e.id); err != nil || got.Isolation.Desired == endpoint.Isolated {
				t.Errorf("%+v, %v", got.Isolation, err)
			}
		}
		got, err := x.Incident(ctx, x.owner, d.ID)
		if err != nil || !slices.Equal(got.EndpointIDs, []string{p.id, q.id}) {
			t.Errorf("%+v, %v", got, err)
		}
		if kinds := x.kinds(d.ID); kinds != "opened drill joined drill" {
			t.Error(kinds)
		}
		// By choice for real: evidence, and a minute of isolation that ends by itself.
		c, err := x.Acquire(ctx, x.owner, p.id, act.Order{IncidentID: d.ID})
		ok(t, err)
		if f := x.details(c.ID); f["drill"] != "true" {
			t.Errorf("%v", f)
		}
		c, err = x.Isolate(ctx, x.owner, p.id, act.Order{IncidentID: d.ID, Reason: "r", Isolation: dispatch.Isolation{Drill: true}})
		ok(t, err)
		if !c.Isolation.Drill || c.Isolation.Until.Sub(x.clock) != act.DrillTime {
			t.Errorf("%+v", c.Isolation)
		}

		wantInvalid(t, x.StepDrill(ctx, x.owner, d.ID, act.DrillStep{What: "reboot"}), "what", "unknown")
		wantInvalid(t, x.StepDrill(ctx, x.owner, d.ID, act.DrillStep{What: drill.ToldOwner, EndpointID: p.id}), "endpoint", "conflict")
		wantErr(t, x.StepDrill(ctx, x.owner, d.ID, act.DrillStep{What: drill.Isolate, EndpointID: "end_none"}), act.ErrNotFound)
		earnest := x.opened("本番")
		wantErr(t, x.StepDrill(ctx, x.owner, earnest.ID, act.DrillStep{What: drill.Isolate}), act.ErrConflict)
		wantErr(t, x.StepDrill(ctx, x.person("v", operator.Viewer), d.ID, act.DrillStep{What: drill.Isolate}), act.ErrForbidden)
	})
}

func TestDrillAndEarnestNeverBecomeEachOther(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, q := x.modern("pc"), x.modern("other")
		d, earnest := x.drill(p.id, q.id), x.opened("本番")
		for _, pair := range [][2]string{{d.ID, earnest.ID}, {earnest.ID, d.ID}} {
			_, err := x.MergeIncident(ctx, x.owner, pair[0], pair[1], "同じ")
			wantErr(t, err, act.ErrConflict)
		}
		off, err := x.SplitIncident(ctx, x.owner, d.ID, []string{q.id}, "第2班", "別の部屋")
		if err != nil || !off.Drill {
			t.Errorf("%+v, %v", off, err)
		}
		_, err = x.NotADrill(ctx, x.owner, earnest.ID, act.RealSign{Seen: "s"})
		wantErr(t, err, act.ErrConflict)
		_, err = x.NotADrill(ctx, x.owner, d.ID, act.RealSign{Seen: " "})
		wantInvalid(t, err, "seen", "required")
		found, err := x.NotADrill(ctx, x.owner, d.ID, act.RealSign{Seen: "身に覚えのない通信\n203.0.113.9", Classification: incident.Malware, EndpointIDs: []string{p.id}})
		if err != nil || found.Drill || found.FoundIn != d.ID || found.Number != "INC-2026-0002" || found.Title != "身に覚えのない通信" {
			t.Errorf("%+v, %v", found, err)
		}
		if got, err := x.Incident(ctx, x.owner, d.ID); err != nil || !got.Drill || !got.ClosedAt.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
		now, err := x.DrillOf(ctx, x.owner, d.Number)
		if err != nil || len(now.Real) != 1 || now.Real[0].ID != found.ID {
			t.Errorf("%+v, %v", now.Real, err)
		}
		if k := x.kinds(found.ID); k != "opened drill" {
			t.Error(k)
		}
		if acts := x.acts(d.ID); !slices.Contains(acts, "drill.real") {
			t.Errorf("%q", acts)
		}
		_, err = x.DrillOf(ctx, x.owner, earnest.ID)
		wantErr(t, err, act.ErrNotFound)
		_, err = x.DrillMark(ctx, x.owner, earnest.ID)
		wantErr(t, err, act.ErrNotFound)
		if m, err := x.DrillMark(ctx, x.owner, d.ID); err != nil || m.Number != d.Number {
			t.Errorf("%+v, %v", m, err)
		}
		x.ledgerStands()
	})
}

func TestResultOfADrillIsKept(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.modern("pc")
		d := x.drill(p.id)
		step := func(after time.Duration, w drill.What) {
			x.clock = x.clock.Add(after)
			ok(t, x.StepDrill(ctx, x.owner, d.ID, act.DrillStep{What: w}))
		}
		step(2*time.Minute, drill.Acquire)
		step(time.Minute, drill.Isolate)
		step(40*time.Minute, drill.ToldOwner) // late
		_, _, err := x.IssueReport(ctx, x.owner, act.NewReport{IncidentID: d.ID, Kind: report.Owner, Language: i18n.Japanese})
		ok(t, err)
		doc, _, err := x.IssuedDocument(ctx, x.owner, d.Number+"-R01", 1)
		if err != nil || !doc.Drill || doc.CaseNumber != d.Number {
			t.Errorf("%+v, %v", doc.CaseNumber, err)
		}
		states := func() string {
			t.Helper()
			now, err := x.DrillOf(ctx, x.owner, d.ID)
			ok(t, err)
			var s []string
			for _, l := range now.Result.Laps {
				s = append(s, string(l.State))
			}
			return strings.Join(s, " ")
		}
		const want = "in_time in_time in_time late in_time"
		if s := states(); s != want {
			t.Error(s)
		}
		x.clock = x.clock.Add(time.Hour)
		ok(t, x.CloseIncidentAs(ctx, x.owner, d.ID, incident.FalseAlarm, "反省: 社長への電話が遅い"))
		closed, err := x.Incident(ctx, x.owner, d.ID)
		if err != nil || closed.CloseCode != incident.Drilled {
			t.Errorf("%+v, %v", closed, err)
		}
		x.clock = x.clock.Add(24 * time.Hour)
		now, err := x.DrillOf(ctx, x.owner, d.ID)
		if err != nil || len(now.Kept) != 1 || !now.Result.EndedAt.Equal(closed.ClosedAt) || now.Result.FirstEvidence == nil || !*now.Result.FirstEvidence || states() != want {
			t.Errorf("%+v, %v", now, err)
		}
		wantErr(t, x.StepDrill(ctx, x.owner, d.ID, act.DrillStep{What: drill.ToldOwner}), act.ErrConflict)
		ok(t, x.ReopenIncident(ctx, x.owner, d.ID, "もう一度"))
		ok(t, x.CloseIncident(ctx, x.owner, d.ID, "終わり"))
		if now, err = x.DrillOf(ctx, x.owner, d.ID); err != nil || len(now.Kept) != 2 || now.Kept[1].Version != 2 {
			t.Errorf("%+v, %v", now.Kept, err)
		}
		if _, err := x.NotADrill(ctx, x.owner, d.ID, act.RealSign{Seen: "後から見つかった"}); err != nil {
			t.Error(err)
		}
		x.ledgerStands()
	})
}

func TestDrillWarnsNobodyOutside(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		d := x.drill()
		ok(t, x.SetOwnAddress(ctx, x.owner, "owner@example.jp"))
		ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			for _, c := range []notify.Channel{
				{Kind: notify.Webhook, Name: "w"},
				{Kind: notify.Mail, Name: "m", Settings: notify.Settings{Host: "mail.example.jp", From: "hozen@example.jp", To: []string{"police@example.jp"}, People: true}},
				{Kind: notify.Mail, Name: "o", Settings: notify.Settings{Host: "mail.example.jp", From: "hozen@example.jp", To: []string{"insurer@example.jp"}}},
			} {
				c.ID, c.OrganisationID, c.Language, c.Enabled, c.Kinds = id.New(id.Channel), d.OrganisationID, "ja", true, notify.Kinds()
				if err := x.channel(ctx, tx, c); err != nil {
					return err
				}
			}
			return nil
		}))
		x.clock = x.clock.Add(100 * time.Hour) // the next update to the owner is long overdue
		ok(t, x.LookAtDeadlines(ctx))
		ok(t, x.LookAtDeadlines(ctx))
		var to []string
		texts, err := notify.Texts()
		ok(t, err)
		all, err := x.Deliveries(ctx, x.owner, 100)
		ok(t, err)
		for _, n := range all {
			to = append(to, n.Recipient)
			if m := notify.Words(texts.Printer(i18n.Japanese), n.Event, ""); !strings.Contains(m.Subject, "【訓練】") || !strings.Contains(m.Text, "訓練です") {
				t.Errorf("%+v", m)
			}
		}
		slices.Sort(to)
		if !slices.Equal(slices.Compact(to), []string{"owner@example.jp"}) {
			t.Errorf("told %q", to)
		}
		if next, err := x.NextDeadlines(ctx, x.owner); err != nil || len(next) != 0 {
			t.Errorf("%+v, %v", next, err)
		}
		got, err := x.Deadlines(ctx, x.owner, d.ID)
		if err != nil || len(got.List) == 0 {
			t.Errorf("no deadline to practise with: %+v, %v", got, err)
		}
		ok(t, x.CloseIncident(ctx, x.owner, d.ID, "終わり"))
		if got, err = x.Deadlines(ctx, x.owner, d.ID); err != nil || len(got.List) != 0 {
			t.Errorf("deadlines of a drill that is over: %+v, %v", got.List, err)
		}
	})
}

// TestDrillHidesNothingReal: of what no drill brings with it people of one's own are told, and
// everybody of an agent that was removed while it was drilled.
func TestDrillHidesNothingReal(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.modern("pc")
		d := x.drill(p.id)
		ok(t, x.SetOwnAddress(ctx, x.owner, "owner@example.jp"))
		ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			return x.channel(ctx, tx, notify.Channel{ID: id.New(id.Channel), OrganisationID: d.OrganisationID, Kind: notify.Mail, Name: "m", Language: "ja", Enabled: true, Kinds: []notify.Kind{notify.IsolationDrift},
				Settings: notify.Settings{Host: "mail.example.jp", From: "hozen@example.jp", To: []string{"vendor@example.jp"}, People: true}})
		}))
		c, err := x.Isolate(ctx, x.owner, p.id, act.Order{IncidentID: d.ID, Reason: "r", Isolation: dispatch.Isolation{Drill: true}})
		ok(t, err)
		for _, step := range []struct {
			kind endpoint.IsolationEventKind
			want string
		}{
			{endpoint.EventDrift, ""},
			{endpoint.EventRolledBack, ""},
			{endpoint.EventLeak, "owner@example.jp true " + d.Number},
			{endpoint.EventRecordLost, "owner@example.jp true " + d.Number},
			{endpoint.EventReleasedByCode, "owner@example.jp true " + d.Number},
			{endpoint.EventReleasedByUninstall, "owner@example.jp false , vendor@example.jp false "},
		} {
			x.clock = x.clock.Add(time.Hour)
			ok(t, x.IsolationHappened(ctx, p.id, endpoint.IsolationEvent{ID: id.New(id.IsolationEvent), Kind: step.kind, At: x.clock, CommandID: c.ID, Count: 1}, nil))
			var told []string
			all, err := x.Deliveries(ctx, x.owner, 100)
			ok(t, err)
			for _, n := range all {
				if n.Event.At.Equal(x.clock) {
					told = append(told, fmt.Sprint(n.Recipient, " ", n.Event.Drill, " ", n.Event.IncidentNumber))
				}
			}
			slices.Sort(told)
			if got := strings.Join(told, ", "); got != step.want {
				t.Errorf("%s: told %q, want %q", step.kind, got, step.want)
			}
		}
	})
}
