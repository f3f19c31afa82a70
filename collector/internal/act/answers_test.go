package act_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/id"
)

// hostileWords is what people and PCs write that pages, ledger and database must bear.
const hostileWords = "<script>alert(1)</script>\x00\xff𠮷野家 👩‍💻\u202e\n2行目"

// said is an answer with one field.
func said(i record.Item, f record.Field, words string) act.NewAnswer {
	return act.NewAnswer{Item: i, State: record.Known, Value: record.Value{Fields: map[record.Field]string{f: words}}, After: act.AnyVersion}
}

func (x *fixture) recordClean() {
	x.t.Helper()
	err := x.db.ReadTx(x.t.Context(), func(ctx context.Context, q sqldb.Queryer) error {
		found, err := record.Audit(ctx, q)
		for _, f := range found {
			x.t.Errorf("%+v", f)
		}
		return err
	})
	if err != nil {
		x.t.Error(err)
	}
}

func TestAnswersAreVersions(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		discovered := x.clock.Add(-2 * time.Hour)
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Reporter: "佐藤", DiscoveredAt: discovered, Classification: incident.Leak})
		if err != nil {
			t.Fatal(err)
		}
		sheet, err := x.Record(ctx, x.owner, inc.Number)
		if err != nil || !sheet.KnownAt().At.Equal(discovered) || sheet.KnownAt().Version != 0 || sheet.Opening.Reporter != "佐藤" || sheet.Types()[0] != "leak" {
			t.Fatalf("%+v, %v", sheet.Opening, err)
		}
		answer := func(n act.NewAnswer) record.Version {
			t.Helper()
			v, err := x.SetAnswer(ctx, x.owner, inc.ID, n)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		at := func(at time.Time, reason string, after int64) act.NewAnswer {
			return act.NewAnswer{Item: record.DiscoveredAt, State: record.Known, Value: record.Value{At: at}, Reason: reason, After: after}
		}
		first := answer(at(discovered, "", 0))
		if first.No != 1 || first.EnteredBy != "社長" || first.Basis.Person != "社長" || !first.EnteredAt.Equal(x.clock) {
			t.Errorf("%+v", first)
		}
		if same := answer(at(discovered, "", 0)); same.LedgerIdx != first.LedgerIdx {
			t.Errorf("the same answer is another version: %+v", same)
		}
		earlier := discovered.Add(-time.Hour)
		_, err = x.SetAnswer(ctx, x.owner, inc.ID, at(earlier, "", 1))
		wantInvalid(t, err, "reason", "required")
		_, err = x.SetAnswer(ctx, x.owner, inc.ID, at(earlier, "聞き取り", 0))
		wantErr(t, err, act.ErrConflict)
		_, err = x.SetAnswer(ctx, x.owner, inc.ID, at(x.clock.Add(time.Hour), "", 1))
		wantInvalid(t, err, "at", "range")
		second := answer(at(earlier, "聞き取り", 1))
		if i, err := x.Incident(ctx, x.owner, inc.ID); err != nil || !i.DiscoveredAt.Equal(earlier) {
			t.Errorf("the incident says %v, %v", i.DiscoveredAt, err)
		}
		sheet, err = x.Record(ctx, x.owner, inc.ID)
		if err != nil || second.No != 2 || !sheet.KnownAt().At.Equal(earlier) || sheet.KnownAt().Version != 2 || len(sheet.Answers[record.DiscoveredAt].Older()) != 1 || !sheet.Opening.DiscoveredAt.Equal(discovered) {
			t.Errorf("%+v, %v", sheet, err)
		}
		answer(act.NewAnswer{Item: record.KnownAt, State: record.Unknown, After: act.AnyVersion})
		answer(act.NewAnswer{Item: record.Cause, State: record.Unknown, After: act.AnyVersion})
		answer(said(record.Symptoms, record.What, hostileWords))
		answer(act.NewAnswer{Item: record.Type, State: record.Known, Value: record.Value{Types: []string{"ransomware", "leak", "ransomware"}}, After: act.AnyVersion})
		if i, err := x.Incident(ctx, x.owner, inc.ID); err != nil || i.Classification != incident.Ransomware {
			t.Errorf("the primary classification is %s, %v", i.Classification, err)
		}
		sheet, err = x.Record(ctx, x.owner, inc.ID)
		if v, ok := sheet.Get(record.Cause); err != nil || !ok || v.State != record.Unknown {
			t.Errorf("unknown is no answer: %+v, %v", v, err)
		}
		if got := strings.Join(sheet.Types(), " "); got != "ransomware leak" {
			t.Errorf("types %q", got)
		}
		if v, _ := sheet.Get(record.Symptoms); !strings.Contains(v.Value.Get(record.What), "𠮷野家 👩‍💻") {
			t.Errorf("%q", v.Value.Get(record.What))
		}
		answer(act.NewAnswer{Item: record.Type, State: record.Unknown, After: act.AnyVersion})
		if i, err := x.Incident(ctx, x.owner, inc.ID); err != nil || i.Classification != incident.NotYet {
			t.Errorf("the classification is %s, %v", i.Classification, err)
		}
		if got := x.kinds(inc.ID); got != "opened"+strings.Repeat(" answer", 7) {
			t.Errorf("timeline: %s", got)
		}
		x.recordClean()
		x.ledgerStands()
	})
}

func TestAnswersThatAreRefused(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			n           act.NewAnswer
			field, code string
		}{
			"timeline":           {act.NewAnswer{Item: record.Timeline, State: record.Known}, "item", "unknown"},
			"no state":           {act.NewAnswer{Item: record.Cause}, "state", "unknown"},
			"nothing":            {act.NewAnswer{Item: record.Cause, State: record.Known}, "value", "required"},
			"no such type":       {act.NewAnswer{Item: record.Type, State: record.Known, Value: record.Value{Types: []string{"flood"}}}, "types", "unknown"},
			"unknown as a type":  {act.NewAnswer{Item: record.Type, State: record.Known, Value: record.Value{Types: []string{"unknown"}}}, "types", "unknown"},
			"future occurrence":  {act.NewAnswer{Item: record.OccurredAt, State: record.Estimated, Value: record.Value{At: x.clock, Until: x.clock.Add(time.Hour)}}, "until", "range"},
			"evidence of nobody": {act.NewAnswer{Item: record.Cause, State: record.Known, Value: record.Value{Fields: map[record.Field]string{record.Text: "x"}}, Basis: record.Basis{Evidence: []string{"INC-2026-9999-E01"}}}, "evidence", "unknown"},
			"long person":        {act.NewAnswer{Item: record.Cause, State: record.Unknown, Basis: record.Basis{Person: strings.Repeat("x", record.MaxName+1)}}, "person", "too_long"},
		} {
			_, err := x.SetAnswer(ctx, x.owner, inc.ID, c.n)
			inv, ok := errors.AsType[*act.Invalid](err)
			if !ok || inv.Field != c.field || inv.Code != c.code {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err = x.SetAnswer(ctx, x.owner, "inc_none", said(record.Cause, record.Text, "x"))
		wantErr(t, err, act.ErrNotFound)
		if got := x.kinds(inc.ID); got != "opened" {
			t.Errorf("refused answers are on the timeline: %s", got)
		}
		for _, role := range []operator.Role{operator.Viewer, operator.Auditor, operator.Vendor} {
			p := x.person("p"+string(role), role)
			if _, err := x.Record(ctx, p, inc.ID); err != nil && role != operator.Vendor { // who was let into no incident
				t.Errorf("%s may not look: %v", role, err)
			}
			_, err := x.SetAnswer(ctx, p, inc.ID, said(record.Cause, record.Text, "x"))
			wantErr(t, err, act.ErrForbidden)
			_, err = x.RecordDecision(ctx, p, inc.ID, record.Decision{Kind: record.DecideOther, Options: "o", Facts: "f", Decision: "d", Reason: "r", Decider: "s"})
			wantErr(t, err, act.ErrForbidden)
			_, err = x.RecordEnquiry(ctx, p, inc.ID, record.Enquiry{Channel: record.ByPhone, Who: "w", Question: "q"})
			wantErr(t, err, act.ErrForbidden)
			_, err = x.Suggestions(ctx, p, inc.ID)
			wantErr(t, err, act.ErrForbidden)
		}
	})
}

// suggestedFor finds the suggestion of an item.
func (x *fixture) suggestedFor(incidentID string, i record.Item) (act.Suggestion, bool) {
	x.t.Helper()
	list, err := x.Suggestions(x.t.Context(), x.owner, incidentID)
	if err != nil {
		x.t.Fatal(err)
	}
	n := slices.IndexFunc(list, func(g act.Suggestion) bool { return g.Item == i })
	if n < 0 {
		return act.Suggestion{}, false
	}
	return list[n], true
}

func TestSuggestionsAreFrozenByAYes(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		o := newOffice(t, x)
		x.clock = x.clock.Add(time.Hour) // the office's own incident is none to join
		alert := id.New(id.Alert)
		inc, err := x.ReportTrouble(ctx, o.keiri.endpoint.ID, act.AlertCall{AlertID: alert, Message: "変な画面", Reporter: "佐藤", ReportedAt: x.clock.Add(-time.Minute)})
		ok(t, err)
		begin := x.clock.Add(-3 * time.Hour).UTC()
		o.keiri.sendAlso(map[artifact.Kind][]string{
			artifact.KindProcess: {`{"pid":1,"exe":"/usr/bin/ok","started_at_derived":"2020-01-01T00:00:00Z"}`, `{"pid":2,"exe":"/tmp/<b>evil","started_at_derived":"` + begin.Format(time.RFC3339Nano) + `"}`,
				`{"pid":3,"exe":"/tmp/late","started_at_derived":"2030-01-01T00:00:00Z"}`, `{"pid":"x"}`, `{"exe":"` + strings.Repeat("x", 100<<10) + `"}`},
			artifact.KindHostInfo: {`{"hostname":"keiri-pc","os":"linux","platform":"debian","platform_version":"12.11","kernel_version":"6.1.0","arch":"x86_64"}`},
			artifact.KindSecurity: {`{"name":"clamav","category":"antivirus","state":"running"}`, `{"name":"falcon","category":"edr","state":"absent"}`},
		})
		x.clock = x.clock.Add(time.Minute) // what comes later does not count
		o.keiri.sendAlso(map[artifact.Kind][]string{artifact.KindSecurity: {`{"name":"rival","category":"antivirus","state":"running"}`}})

		yes := func(i record.Item) record.Version {
			t.Helper()
			g, found := x.suggestedFor(inc.ID, i)
			if !found {
				t.Fatalf("nothing is suggested for %s", i)
			}
			v, err := x.AcceptSuggestion(ctx, x.owner, inc.ID, i, g.Fingerprint())
			if err != nil {
				t.Fatalf("%s: %v", i, err)
			}
			if _, again := x.suggestedFor(inc.ID, i); again {
				t.Errorf("%s is suggested although it is answered", i)
			}
			return v
		}
		reported := x.clock.Add(-2 * time.Minute)
		if v := yes(record.DiscoveredAt); !v.Value.At.Equal(reported) || v.Basis.Alert != alert || v.Value.Get(record.Who) != "佐藤" || v.State != record.Estimated {
			t.Errorf("%+v", v)
		}
		if v := yes(record.OccurredAt); !v.Value.At.Equal(begin) || !v.Value.Until.Equal(reported) || v.State != record.Estimated || v.Value.Confidence != record.Low || len(v.Basis.Evidence) != 1 || v.Value.Get(record.How) != "<b>evil" {
			t.Errorf("%+v", v)
		}
		if v := yes(record.Assets); len(v.Value.Facts) != 1 || v.Value.Facts[0].Name != "debian 12.11" || v.Value.Facts[0].Host != "keiri-pc" || v.Value.Facts[0].Evidence != v.Basis.Evidence[0] || v.Value.Facts[0].At.IsZero() {
			t.Errorf("%+v", v)
		}
		if v := yes(record.Tools); len(v.Value.Facts) != 1 || v.Value.Facts[0].Name != "clamav" || v.Value.Facts[0].State != "running" || v.Value.Facts[0].Host != "経理PC-01" {
			t.Errorf("%+v", v)
		}
		if v := yes(record.BusinessOperator); v.Value.Get(record.Name) != "組織" {
			t.Errorf("%+v", v)
		}

		other, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{o.sales.endpoint.ID}})
		ok(t, err)
		if _, found := x.suggestedFor(other.ID, record.Assets); found {
			t.Error("evidence of another incident is suggested")
		}
		o.sales.sendAlso(map[artifact.Kind][]string{artifact.KindSecurity: {`{"name":"clamav","category":"antivirus","state":"absent"}`}})
		if g, found := x.suggestedFor(other.ID, record.Tools); !found || len(g.Value.Facts) != 1 || g.Value.Facts[0].Name != "" || g.Value.Facts[0].Detail != "1" {
			t.Errorf("that none was found is not said: %+v", g)
		}
		g, _ := x.suggestedFor(other.ID, record.BusinessOperator)
		_, err = x.AcceptSuggestion(ctx, x.owner, other.ID, record.BusinessOperator, g.Fingerprint()[:8])
		wantInvalid(t, err, "fingerprint", "changed")
		_, err = x.SetAnswer(ctx, x.owner, other.ID, said(record.BusinessOperator, record.Name, "別"))
		ok(t, err)
		_, err = x.AcceptSuggestion(ctx, x.owner, other.ID, record.BusinessOperator, g.Fingerprint())
		wantInvalid(t, err, "fingerprint", "changed")
		x.recordClean()
		x.ledgerStands()
	})
}

// sendAlso is [sender.send] with kinds that it leaves out.
func (s *sender) sendAlso(lines map[artifact.Kind][]string) {
	s.x.t.Helper()
	s.change = func(a *evidencetest.Acquisition) {
		for _, k := range []artifact.Kind{artifact.KindHostInfo, artifact.KindSecurity} {
			if len(lines[k]) > 0 {
				a.Manifest.Probes = slices.DeleteFunc(a.Manifest.Probes, func(p artifact.ProbeOutcome) bool { return p.Kind == k })
				a.Add(s.x.t, k, []byte(strings.Join(lines[k], "\n")+"\n"), int64(len(lines[k])))
			}
		}
	}
	s.send("volatile", lines)
	s.change = nil
}

// A PC that says much of itself gets an answer that still fits.
func TestSuggestionsOfATalkativePC(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	o := newOffice(t, x)
	var tools []string
	for n := range 300 {
		tools = append(tools, fmt.Sprintf(`{"name":"%d%s","state":"running","mode":"%s"}`, n, strings.Repeat("<", 5000), strings.Repeat("&", 5000)))
	}
	o.keiri.sendAlso(map[artifact.Kind][]string{artifact.KindSecurity: tools})
	o.sales.sendAlso(map[artifact.Kind][]string{artifact.KindSecurity: tools})
	g, found := x.suggestedFor(o.incident, record.Tools)
	if !found || len(g.Value.Encode()) > record.MaxValue {
		t.Fatalf("%d bytes", len(g.Value.Encode()))
	}
	_, err := x.AcceptSuggestion(t.Context(), x.owner, o.incident, record.Tools, g.Fingerprint())
	ok(t, err)
}

func TestDecisionsAndEnquiries(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		if err != nil {
			t.Fatal(err)
		}
		whole := record.Decision{Kind: record.DecidePay, Options: "払う\n払わない", Facts: hostileWords, Decision: "払わない", Reason: "警察と相談", Decider: "社長", DecidedAt: x.clock.Add(-time.Hour),
			No: 77, EnteredBy: "嘘", IncidentID: "inc_x"}
		for field, d := range map[string]record.Decision{
			"options": {Kind: whole.Kind, Facts: "f", Decision: "d", Reason: "r", Decider: "s"}, "facts": {Kind: whole.Kind, Options: "o", Decision: "d", Reason: "r", Decider: "s"},
			"decision": {Kind: whole.Kind, Options: "o", Facts: "f", Reason: "r", Decider: "s"}, "reason": {Kind: whole.Kind, Options: "o", Facts: "f", Decision: "d", Decider: "s"},
			"decider": {Kind: whole.Kind, Options: "o", Facts: "f", Decision: "d", Reason: "r"},
		} {
			_, err := x.RecordDecision(ctx, x.owner, inc.ID, d)
			wantInvalid(t, err, field, "required")
		}
		d, err := x.RecordDecision(ctx, x.owner, inc.ID, whole)
		if err != nil || d.No != 1 || d.EnteredBy != "社長" || d.IncidentID != inc.ID {
			t.Fatalf("%+v, %v", d, err)
		}
		if d, err = x.RecordDecision(ctx, x.owner, inc.ID, whole); err != nil || d.No != 2 {
			t.Fatalf("%+v, %v", d, err)
		}
		list, err := x.Decisions(ctx, x.owner, inc.ID)
		if err != nil || len(list) != 2 || list[0].Decision != "払わない" || !list[0].DecidedAt.Equal(x.clock.Add(-time.Hour)) {
			t.Errorf("%+v, %v", list, err)
		}
		ask := record.Enquiry{Who: "顧客", Contact: "03-0000-0000", Channel: record.ByPhone, Question: "漏れたのか"}
		if _, err := x.RecordEnquiry(ctx, x.owner, inc.ID, ask); err != nil {
			t.Fatal(err)
		}
		_, err = x.RecordEnquiry(ctx, x.owner, inc.ID, record.Enquiry{Who: "顧客", Channel: record.ByPhone, Follows: 9, Answer: "調査中"})
		wantInvalid(t, err, "follows", "unknown")
		_, err = x.RecordEnquiry(ctx, x.owner, inc.ID, record.Enquiry{Who: "顧客", Channel: record.ByPhone})
		wantInvalid(t, err, "question", "required")
		if e, err := x.RecordEnquiry(ctx, x.owner, inc.ID, record.Enquiry{Who: "顧客", Channel: record.ByPhone, Follows: 1, Answer: "調査中"}); err != nil || e.No != 2 {
			t.Errorf("%+v, %v", e, err)
		}
		if got := x.kinds(inc.ID); got != "opened decision decision enquiry enquiry" {
			t.Errorf("timeline: %s", got)
		}
		if nd, ne, err := x.LogSizes(ctx, x.owner, inc.ID); nd != 2 || ne != 2 || err != nil {
			t.Error(nd, ne, err)
		}
		x.recordClean()
		x.ledgerStands()
		// What somebody changes behind the collector is found.
		for _, sql := range []string{`UPDATE record_decision SET decision = 'x' WHERE decision_no = 1`, `DELETE FROM record_enquiry WHERE enquiry_no = 1`} {
			if err := x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { _, err := tx.ExecContext(ctx, sql); return err }); err != nil {
				t.Fatal(err)
			}
		}
		var found []record.Finding
		if err := x.db.ReadTx(ctx, func(ctx context.Context, q sqldb.Queryer) (err error) { found, err = record.Audit(ctx, q); return err }); err != nil {
			t.Fatal(err)
		}
		if len(found) != 2 || found[0].Fault != record.RowEdited || found[1].Fault != record.RowMissing {
			t.Errorf("%+v", found)
		}
	})
}
