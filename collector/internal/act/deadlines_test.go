package act_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/calendar"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/deadline"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

func reportable(purpose string) deadline.Answers {
	return deadline.Answers{"personal_data": "yes", "my_number": "no", "happened": "possible", "sensitive": "yes", "improper_purpose": purpose, "processor": "no"}
}

// deadlineOf is one deadline of an incident.
func (x *fixture) deadlineOf(incidentID, clock string) (deadline.Deadline, deadline.Log) {
	x.t.Helper()
	d, err := x.Deadlines(x.t.Context(), x.owner, incidentID)
	ok(x.t, err)
	n := slices.IndexFunc(d.List, func(d deadline.Deadline) bool { return d.Clock.ID == clock })
	return d.List[n], d.Log
}

// told are the events about deadlines on the timeline of an incident.
func (x *fixture) told(incidentID string) (events []string) {
	x.t.Helper()
	list, err := x.Timeline(x.t.Context(), x.owner, incidentID)
	ok(x.t, err)
	for _, e := range list {
		if e.Kind == incident.EntryDeadline {
			events = append(events, strings.TrimSuffix(e.Params["event"]+" "+e.Params["clock"], " "))
		}
	}
	return events
}

func japan(s string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", s, calendar.JST())
	if err != nil {
		panic(err)
	}
	return t
}

// TestDeadlinesOfADiscovery is the story of an incident that was discovered on 22
// November 2026, from the first look to the receipt.
func TestDeadlinesOfADiscovery(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.clock = japan("2026-11-22 21:00")
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", DiscoveredAt: japan("2026-11-22 20:00")})
		ok(t, err)
		p, log := x.deadlineOf(inc.ID, "ppc.preliminary")
		if p.State != deadline.Provisional || p.From.String() != "2026-11-24" || p.LastDay().String() != "2026-11-26" || len(log.Versions) != 0 {
			t.Errorf("%s from %s to %s, %d versions", p.State, p.From, p.LastDay(), len(log.Versions))
		}
		ok(t, x.LookAtDeadlines(ctx))
		ok(t, x.LookAtDeadlines(ctx))
		_, log = x.deadlineOf(inc.ID, "ppc.final")
		if len(log.Versions) != 3 { // preliminary, final, owner
			t.Errorf("%+v", log.Versions)
		}
		if got := x.told(inc.ID); len(got) != 1 || got[0] != "set" {
			t.Errorf("%v", got)
		}

		v, err := x.AnswerReportable(ctx, x.owner, inc.ID, reportable("yes"), "顧客名簿")
		ok(t, err)
		if v.Outcome.Key != "report" {
			t.Errorf("%+v", v)
		}
		final, log := x.deadlineOf(inc.ID, "ppc.final")
		newest, _ := log.Newest("ppc.final")
		if final.LastDay().String() != "2027-01-20" || newest.Version != 2 || newest.Reason != deadline.CountingChanged || newest.Counted != "days:60" {
			t.Errorf("until %s, %+v", final.LastDay(), newest)
		}
		var old []string
		for _, w := range log.Versions {
			if w.Clock == "ppc.final" {
				old = append(old, calendar.DateOf(w.Due.Add(-1)).String())
			}
		}
		if strings.Join(old, " ") != "2026-12-21 2027-01-20" {
			t.Errorf("the versions are %v", old)
		}
		if p, log := x.deadlineOf(inc.ID, "ppc.preliminary"); p.State != deadline.Running {
			t.Errorf("%s", p.State)
		} else if v, _ := log.Newest("ppc.preliminary"); v.Version != 1 {
			t.Errorf("an answer that changes no date made version %d", v.Version)
		}

		x.clock = japan("2026-11-24 10:00")
		wantInvalid(t, x.MeetDeadline(ctx, x.owner, inc.ID, "ppc.preliminary", act.DeadlineMet{At: x.clock.Add(time.Minute)}), "at", "range")
		wantErr(t, x.MeetDeadline(ctx, x.owner, inc.ID, "ppc.none", act.DeadlineMet{}), act.ErrNotFound)
		ok(t, x.MeetDeadline(ctx, x.owner, inc.ID, "ppc.preliminary", act.DeadlineMet{At: japan("2026-11-24 09:30"), ReceiptNo: "受-0042", Note: "分かった範囲で"}))
		p, _ = x.deadlineOf(inc.ID, "ppc.preliminary")
		if p.State != deadline.Met || p.Met.ReceiptNo != "受-0042" || !p.Met.DoneAt.Equal(japan("2026-11-24 09:30")) || p.Met.By != "社長" {
			t.Errorf("%+v", p.Met)
		}
		x.clock = japan("2026-11-28 10:00")
		ok(t, x.LookAtDeadlines(ctx))
		for _, e := range x.told(inc.ID) {
			if strings.HasPrefix(e, "reminder") && strings.HasSuffix(e, "ppc.preliminary") {
				t.Errorf("reminded of what was submitted: %v", x.told(inc.ID))
			}
		}
		x.ledgerStands()
	})
}

func TestAnotherTimeOfDiscoveryMakesAVersion(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.clock = japan("2026-11-22 21:00")
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", DiscoveredAt: japan("2026-11-22 20:00")})
		ok(t, err)
		ok(t, x.LookAtDeadlines(ctx))
		answer := func(i record.Item, s record.State, at time.Time) {
			t.Helper()
			_, err := x.SetAnswer(ctx, x.owner, inc.ID, act.NewAnswer{Item: i, After: act.AnyVersion, State: s, Value: record.Value{At: at}, Reason: "聞き直した"})
			ok(t, err)
		}
		answer(record.DiscoveredAt, record.Known, japan("2026-11-20 09:00"))
		p, log := x.deadlineOf(inc.ID, "ppc.preliminary")
		if v, _ := log.Newest("ppc.preliminary"); p.LastDay().String() != "2026-11-24" || v.Same(p) {
			t.Errorf("until %s, the version says %s", p.LastDay(), v.Due)
		}
		ok(t, x.LookAtDeadlines(ctx))
		_, log = x.deadlineOf(inc.ID, "ppc.preliminary")
		var said []string
		for _, v := range log.Versions {
			if v.Clock == "ppc.preliminary" {
				said = append(said, v.From.String()+" "+v.Reason)
			}
		}
		if strings.Join(said, ", ") != "2026-11-24 set, 2026-11-22 start" {
			t.Errorf("%v", said)
		}
		if got := x.told(inc.ID); !strings.HasPrefix(strings.Join(got, ", "), "set, changed") {
			t.Errorf("%v", got)
		}
		answer(record.KnownAt, record.Estimated, japan("2026-11-21 09:00"))
		if p, _ := x.deadlineOf(inc.ID, "ppc.preliminary"); p.LastDay().String() != "2026-11-25" {
			t.Errorf("known on the 21st: until %s", p.LastDay())
		}
		if o, _ := x.deadlineOf(inc.ID, "owner_update"); !o.Start.Equal(japan("2026-11-20 09:00")) {
			t.Errorf("the owner's clock goes from %s", o.Start)
		}
		answer(record.KnownAt, record.Unknown, time.Time{})
		answer(record.DiscoveredAt, record.Unknown, time.Time{})
		if p, _ := x.deadlineOf(inc.ID, "ppc.preliminary"); p.LastDay().String() != "2026-11-24" || p.State != deadline.Provisional {
			t.Errorf("nobody knows any more: %s until %s", p.State, p.LastDay())
		}
		if c, _ := x.deadlineOf(inc.ID, "client"); c.State != deadline.Off {
			t.Errorf("client: %s", c.State)
		}
		_, err = x.SetAnswer(ctx, x.owner, inc.ID, act.NewAnswer{Item: record.BusinessOperator, After: act.AnyVersion, State: record.Known, Value: record.Value{Fields: map[record.Field]string{record.Client: "株式会社委託元"}}})
		ok(t, err)
		if c, _ := x.deadlineOf(inc.ID, "client"); c.State != deadline.Running {
			t.Errorf("the record names a client: %s", c.State)
		}
		x.ledgerStands()
	})
}

// discovered changes when an incident was discovered.
func (x *fixture) discovered(incidentID string, at time.Time) {
	x.t.Helper()
	_, err := x.SetAnswer(x.t.Context(), x.owner, incidentID, act.NewAnswer{Item: record.DiscoveredAt, State: record.Known, Value: record.Value{At: at}, Reason: "分かった", After: act.AnyVersion})
	ok(x.t, err)
}

// TestUnreadableAnswerStopsNoOther: an answer that can't be read stops the deadlines of its own
// incident, and those are shown as unknown.
func TestUnreadableAnswerStopsNoOther(t *testing.T) {
	for what, damage := range map[string]string{
		"record": `UPDATE record_version SET value = '{' WHERE incident_id = $1`, "answers": `UPDATE deadline_answer SET answers = '{' WHERE incident_id = $1`,
	} {
		t.Run(what, func(t *testing.T) {
			run(t, func(t *testing.T, x *fixture) {
				ctx := t.Context()
				x.clock = japan("2026-11-22 21:00")
				var ids []string
				for _, title := range []string{"good", "bad", "good"} {
					i, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: title, DiscoveredAt: japan("2026-11-22 20:00")})
					ok(t, err)
					_, err = x.AnswerReportable(ctx, x.owner, i.ID, reportable("yes"), "")
					ok(t, err)
					_, err = x.SetAnswer(ctx, x.owner, i.ID, act.NewAnswer{Item: record.DiscoveredAt, State: record.Known, Value: record.Value{At: japan("2026-11-22 20:00")}})
					ok(t, err)
					ids = append(ids, i.ID)
				}
				ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
					_, err := tx.ExecContext(ctx, damage, ids[1])
					return err
				}))
				x.clock = japan("2026-11-25 10:00")
				if err := x.LookAtDeadlines(ctx); err == nil {
					t.Error("nobody hears of the answer that can't be read")
				}
				for _, other := range []string{ids[0], ids[2]} { // before and behind it
					if !slices.ContainsFunc(x.told(other), func(e string) bool { return strings.HasPrefix(e, "reminder.") }) {
						t.Errorf("another incident is not reminded of: %q", x.told(other))
					}
				}
				next, err := x.NextDeadlines(ctx, x.owner)
				if err != nil || len(next) != 3 || !next[0].Unknown || next[0].Incident.ID != ids[1] || next[1].Unknown {
					t.Errorf("%+v, %v", next, err)
				}
				if _, err := x.Deadlines(ctx, x.owner, ids[1]); err == nil {
					t.Error("deadlines that can't be counted are shown")
				}
			})
		})
	}
}

func TestRemindersComeOnce(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		restart := func() { // as a collector that is started again
			var err error
			x.Acts, err = act.New(act.Config{DB: x.db, CA: x.ca, Hub: x.hub, Blobs: x.blobs, PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Now: func() time.Time { return x.clock }})
			ok(t, err)
		}
		x.clock = japan("2026-11-22 00:00")
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		look := func(at, want string) {
			t.Helper()
			x.clock = japan(at)
			before := x.told(inc.ID)
			for range 2 {
				ok(t, x.LookAtDeadlines(ctx))
				restart()
			}
			var new []string
			for _, e := range x.told(inc.ID)[len(before):] {
				if r, is := strings.CutPrefix(e, "reminder."); is {
					new = append(new, strings.Replace(r, ".provisional", "", 1))
				}
			}
			if got := strings.Join(new, ", "); got != want {
				t.Errorf("%s: told %q, want %q", at, got, want)
			}
		}
		look("2026-11-22 00:01", "")
		look("2026-11-22 03:59", "")
		look("2026-11-22 04:00", "overdue owner_update")
		ok(t, x.MeetDeadline(ctx, x.owner, inc.ID, "owner_update", act.DeadlineMet{}))
		look("2026-11-22 07:59", "")
		look("2026-11-22 08:00", "overdue owner_update")
		look("2026-11-24 11:59", "")
		look("2026-11-24 12:00", "half ppc.preliminary")
		look("2026-11-26 00:01", "day ppc.preliminary")
		// Nobody looks for weeks: of each, the last one.
		look("2026-12-30 00:00", "overdue ppc.preliminary, overdue ppc.final")
		if got := x.told(inc.ID); !slices.Contains(got, "reminder.overdue.provisional ppc.final") || slices.Contains(got, "reminder.half.provisional ppc.final") {
			t.Errorf("%v", got)
		}
		if got := strings.Join(x.acts(""), " "); strings.Count(got, "deadline.remind") != 6 {
			t.Errorf("%s", got)
		}
		ok(t, x.CloseIncident(ctx, x.owner, inc.ID, "誤報"))
		x.discovered(inc.ID, japan("2026-12-29 00:00"))
		entries := len(x.acts(""))
		look("2027-02-20 00:00", "")
		if n := len(x.acts("")); n != entries {
			t.Errorf("%v", x.acts("")[entries:])
		}
		x.ledgerStands()
	})
}

func TestRemindersGoOutByTheChannels(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.clock = japan("2026-11-22 00:00")
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "秘密の題"})
		ok(t, err)
		ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			return x.channel(ctx, tx, notify.Channel{ID: id.New(id.Channel), OrganisationID: inc.OrganisationID, Kind: notify.Webhook, Name: "w", Language: "ja", Enabled: true, Kinds: []notify.Kind{notify.DeadlineNear}})
		}))
		ok(t, x.LookAtDeadlines(ctx))
		x.clock = japan("2026-11-24 12:00")
		for range 3 {
			ok(t, x.LookAtDeadlines(ctx))
		}
		list, err := notify.Newest(ctx, x.db.Read(), inc.OrganisationID, 10)
		ok(t, err)
		var said []string
		for _, n := range list {
			e := n.Event
			said = append(said, e.Clock+" "+e.Stage)
			if e.IncidentNumber != inc.Number || e.Path != "/incidents/"+inc.ID+"/deadlines" || e.Due.IsZero() {
				t.Errorf("%+v", e)
			}
		}
		slices.Sort(said)
		if got := strings.Join(said, ", "); got != "owner_update overdue, ppc_preliminary half" {
			t.Errorf("%q", got)
		}
	})
}

func TestContractsSetDeadlines(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.clock = japan("2026-11-22 12:00")
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		if d, _ := x.deadlineOf(inc.ID, "insurer"); d.State != deadline.Unset {
			t.Errorf("%s", d.State)
		}
		_, err = x.SaveContact(ctx, x.owner, contact.Own{Kind: contact.Insurer, Name: "保険", WithinHours: 48})
		ok(t, err)
		_, err = x.SaveContact(ctx, x.owner, contact.Own{Kind: contact.Client, Name: "委託元", WithinHours: 6})
		ok(t, err)
		if d, _ := x.deadlineOf(inc.ID, "insurer"); !d.Due.Equal(japan("2026-11-24 12:00")) {
			t.Errorf("until %s", d.Due)
		}
		answers := reportable("no")
		answers["processor"] = "yes"
		v, err := x.AnswerReportable(ctx, x.owner, inc.ID, answers, "")
		ok(t, err)
		if !v.Starts("client") {
			t.Errorf("%+v", v.Notes)
		}
		if d, _ := x.deadlineOf(inc.ID, "client"); d.State != deadline.Running || !d.Due.Equal(japan("2026-11-22 18:00")) {
			t.Errorf("%s until %s", d.State, d.Due)
		}
		next, err := x.NextDeadlines(ctx, x.owner)
		ok(t, err)
		if len(next) != 1 || next[0].Incident.ID != inc.ID || next[0].Deadline.Clock.ID != "client" {
			t.Errorf("%+v", next)
		}
		answers["sensitive"] = "maybe"
		_, err = x.AnswerReportable(ctx, x.owner, inc.ID, answers, "")
		wantInvalid(t, err, "sensitive", "unknown")
		_, err = x.AnswerReportable(ctx, x.owner, "inc_none", reportable("no"), "")
		wantErr(t, err, act.ErrNotFound)
		for _, r := range []operator.Role{operator.Viewer, operator.Auditor, operator.Vendor} {
			a := x.person("p-"+string(r), r)
			_, err := x.AnswerReportable(ctx, a, inc.ID, reportable("no"), "")
			wantErr(t, err, act.ErrForbidden)
			wantErr(t, x.MeetDeadline(ctx, a, inc.ID, "client", act.DeadlineMet{}), act.ErrForbidden)
			if _, err := x.Deadlines(ctx, a, inc.ID); err != nil && r != operator.Vendor { // who was not let in
				t.Errorf("%s may not look: %v", r, err)
			}
		}
		d, err := x.Deadlines(ctx, x.owner, inc.ID)
		ok(t, err)
		if len(d.Log.Answered) != 1 || d.Answered.Answers["financial"] != "unknown" || d.Answered.By != "社長" {
			t.Errorf("%+v", d.Log.Answered)
		}
		x.ledgerStands()
	})
}

// TestGuidesFitTogether is made by act.New already; here the data are there at all.
func TestGuidesFitTogether(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		g := x.Guides()
		if len(g.Playbooks.Keys()) != 5 || len(g.Contacts.Desks()) < 30 || len(g.Deadlines.Clocks()) < 5 {
			t.Errorf("%v", g.Playbooks.Keys())
		}
		if x.GateText("ransomware.contain.3").JA == "" || x.GateText("evidence_sealed").EN == "" {
			t.Error("a gate has no words")
		}
	})
}
