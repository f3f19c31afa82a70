package act_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/drill"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/phone"
	"hozen/collector/internal/playbook"
	"hozen/collector/internal/record"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/digest"
)

// table is how a table of the schema is held against the ledger.
type table struct {
	// by is the audit that names a change: the name of one of [fsck.RowAudits], or "evidence",
	// "custody", "record", "report". Empty: free says why none does.
	by string
	// free is why the table needs no audit, or where it is held else.
	free string
	// columns are those that no audit holds, and why.
	columns map[string]string
}

// Why columns need no audit.
const (
	searched  = "finds the row; what it says is held by its own column"
	counted   = "counts, for limits; what came is an entry of its own"
	remembers = "a convenience for people; each use is an entry of its own"
	progress  = "how far the collector has come with telling or asking; it decides nothing of a case"
	byEdge    = "the ledger's own hashes, MACs and signatures, see packages ledger and checkpoint"
	signed    = "signed by others, checked at each look, see packages timestamp and cosign"
	byCase    = "rows are found by their incident or report, whose organisation is held"
	elsewhere = "held by the audits of timelines, incidents, endpoints and enrolment, with tests of their own"
	ordered   = "its order alone counts, which must be that of the ledger: see the rows exchanged"
	repeats   = "says again what the entry and the held columns say"
)

// schema is every table: a new one, or a new column, fails the test until somebody decides.
func schema() map[string]table {
	return map[string]table{
		"ledger_entries": {free: byEdge}, "ledger_hashes": {free: byEdge}, "ledger_heads": {free: byEdge},
		"checkpoint_lines": {free: byEdge}, "checkpoint_notes": {free: byEdge}, "checkpoint_conflicts": {free: "entries of the acts about differences say the same; signed notes are in it"},
		"timestamp_tokens": {free: signed}, "cosign_signatures": {free: signed},
		"operator_session":     {free: "sealed with a key outside the database: see operator.AuditSessions"},
		"operator_operator":    {by: "operator", columns: map[string]string{"last_sign_in_at": remembers, "factor_step": "counts on with each code, so that none works twice; a code is good for 90 seconds"}},
		"operator_recovery":    {by: "operator"},
		"operator_grant":       {by: "grant"},
		"operator_token":       {by: "token", columns: map[string]string{"used_at": remembers, "used_from": remembers}},
		"organisation_profile": {by: "organisation"},
		"notify_channel":       {by: "channel"},
		"notify_weekly":        {by: "weekly", columns: map[string]string{"told_for": progress}},
		"notify_delivery":      {free: progress},
		"phone_link":           {by: "link"},
		"phone_use":            {free: counted},
		"exhibit_item":         {by: "custody", columns: map[string]string{"item_no": repeats}},
		"exhibit_change":       {by: "custody", columns: map[string]string{"change_no": ordered, "incident_id": searched}},
		"exhibit_event":        {by: "custody"},
		"exhibit_retention":    {by: "retention"},
		"export_package":       {by: "package"},
		"kit_kit":              {by: "kit"},
		"kit_import":           {by: "kit"},
		"drill_step":           {by: "drill"},
		"drill_result":         {by: "drill"},
		"record_upload":        {by: "upload"},
		"record_version":       {by: "record"},
		"record_decision":      {by: "record"},
		"record_enquiry":       {by: "record"},
		"playbook_own":         {by: "steps"},
		"playbook_mark":        {by: "playbook", columns: map[string]string{"seq": ordered, "actor_kind": repeats, "actor_id": repeats}},
		"deadline_answer":      {by: "deadline", columns: map[string]string{"seq": ordered}},
		"deadline_version":     {by: "deadline", columns: map[string]string{"organisation_id": byCase}},
		"deadline_done":        {by: "deadline", columns: map[string]string{"seq": ordered}},
		"deadline_reminder":    {by: "deadline", columns: map[string]string{"at": progress}},
		"contact_version":      {by: "contact"},
		"report_report":        {by: "report", columns: map[string]string{"report_no": searched}},
		"report_version":       {by: "report", columns: map[string]string{"organisation_id": byCase}},
		"report_sending":       {by: "report", columns: map[string]string{"organisation_id": byCase}},
		"dispatch_command":     {by: "order"},
		"dispatch_release":     {by: "release"},
		"dispatch_counter":     {free: "the next number; that of each order is held, and the endpoint refuses one it had"},
		"group_order":          {by: "group"},
		"group_member":         {by: "group", columns: map[string]string{"result": repeats, "ended": repeats, "ended_at": repeats}},
		"group_asked":          {by: "asked"},
		"incident_incident":    {free: elsewhere}, "incident_entry": {free: elsewhere}, "incident_alert": {free: elsewhere}, "incident_endpoint": {free: elsewhere},
		"incident_counter": {free: counted}, "incident_drill_counter": {free: counted}, "incident_unsealed": {free: elsewhere},
		"endpoint_endpoint": {free: elsewhere}, "endpoint_isolation_event": {free: elsewhere}, "endpoint_tag": {free: elsewhere}, "endpoint_boot": {free: "made of evidence, which is signed, and made again from it"},
		"enroll_token": {free: elsewhere}, "enroll_request": {free: elsewhere}, "enroll_certificate": {free: elsewhere},
		"evidence_acquisitions": {by: "evidence"}, "evidence_items": {by: "evidence"}, "evidence_disposal": {by: "evidence"},
	}
}

// scene fills the tables with what a few days bring.
func scene(t *testing.T) *fixture {
	t.Helper()
	ctx, x := t.Context(), newFixture(t, sqldbtest.Open(t))
	x.uploading()
	d := newDepot(t, x)
	tick := func() { x.clock = x.clock.Add(time.Minute) }
	inc, err := x.Incident(ctx, x.owner, d.incident)
	ok(t, err)
	tick()
	d.keiri.send("flash", map[artifact.Kind][]string{artifact.KindProcess: {`{"pid":1}`}})
	_, files := d.acquired("", digest.Of([]byte("agent")).String())
	if got := d.one(act.ImportOrder{IncidentID: inc.ID}, files); got.State == act.ImportRefused {
		t.Fatalf("%+v", got)
	}
	tick()
	second, vendor := x.person("second", operator.Handler), x.person("vendor", operator.Vendor)
	x.factor(second)
	ok(t, x.GrantIncident(ctx, x.owner, vendor.ID, inc.ID, x.clock.Add(time.Hour)))
	x.token(x.owner, act.ScopeRead)
	_, _, err = x.SaveChannel(ctx, x.owner, act.NewChannel{Kind: notify.Webhook, Name: "w", Language: "ja", Enabled: true, Kinds: notify.Kinds(), Secret: notify.Secret{URL: "https://hooks.example.jp/x"}})
	ok(t, err)
	ok(t, x.SetWeeklySettings(ctx, x.owner, notify.Weekly{Enabled: true, Weekday: time.Friday, Hour: 9}))
	ok(t, x.SetPeopleSettings(ctx, x.owner, organisation.People{ConsoleURL: "https://hozen.example.jp:8443"}))
	ok(t, x.SaveOwnStep(ctx, x.owner, playbook.OwnItem{Playbook: playbook.Common, Substep: "contain", Mode: playbook.Remind, Who: []string{playbook.ByHandler}, Text: playbook.Text{JA: "保守会社に電話する"}}))
	ok(t, x.SetTriageScope(ctx, x.owner, organisation.Triage{Private: true}))
	ok(t, x.SetRetention(ctx, x.owner, 365))
	l, _ := x.link(act.NewLink{Kind: phone.Reports, Note: "受付"})
	ok(t, x.RevokeLink(ctx, x.owner, l.ID))
	x.link(act.NewLink{Kind: phone.Photos, IncidentID: inc.ID})
	tick()
	_, err = d.RecordCustody(ctx, x.owner, d.incident+"-E01", exhibit.Event{Type: exhibit.HandOver, At: x.clock, To: exhibit.Party{Person: "警察 花子", Organisation: "県警察本部"}, Purpose: "被害届"})
	ok(t, err)
	x.sent(inc.ID, "log", "content")
	d.write(d.order(act.NewExport{}))
	tick()
	training := x.drill()
	ok(t, x.StepDrill(ctx, x.owner, training.ID, act.DrillStep{What: drill.ToldOwner, Note: "電話"}))
	ok(t, x.CloseIncidentAs(ctx, x.owner, training.ID, incident.Resolved, "終わり"))
	_, err = x.SetAnswer(ctx, x.owner, inc.ID, act.NewAnswer{Item: record.Cause, State: record.Unknown, Basis: record.Basis{Person: "佐藤"}})
	ok(t, err)
	_, err = x.RecordDecision(ctx, x.owner, inc.ID, record.Decision{Kind: record.DecideOther, Options: "o", Facts: "f", Decision: "d", Reason: "r", Decider: "s"})
	ok(t, err)
	_, err = x.RecordEnquiry(ctx, x.owner, inc.ID, record.Enquiry{Channel: record.ByPhone, Who: "w", Question: "q"})
	ok(t, err)
	ok(t, x.LookAtDeadlines(ctx))
	for _, said := range []string{"no", "yes"} {
		_, err = x.AnswerReportable(ctx, x.owner, inc.ID, reportable(said), "x")
		ok(t, err)
		ok(t, d.DescribeExhibit(ctx, x.owner, d.incident+"-E01", map[exhibit.Field]string{exhibit.Owner: said}))
	}
	x.clock = x.clock.Add(4 * 24 * time.Hour)
	ok(t, x.LookAtDeadlines(ctx))
	ok(t, x.MeetDeadline(ctx, x.owner, inc.ID, "ppc.preliminary", act.DeadlineMet{ReceiptNo: "受-0042"}))
	ok(t, x.WithdrawDone(ctx, x.owner, inc.ID, "ppc.preliminary", "送れていなかった"))
	ok(t, x.MeetDeadline(ctx, x.owner, inc.ID, "ppc.preliminary", act.DeadlineMet{ReceiptNo: "受-0043"}))
	other, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Classification: incident.Malware})
	ok(t, err)
	ok(t, x.MarkItem(ctx, x.owner, other.ID, "malware.detect.1", act.ItemMark{State: playbook.Done, Note: "した"}))
	ok(t, x.MarkItem(ctx, x.owner, other.ID, "malware.detect.1", act.ItemMark{State: playbook.Open, Note: "まだ"}))
	_, err = x.SaveContact(ctx, x.owner, contact.Own{Kind: contact.Insurer, Name: "保険", Tel: "03-1234-5678", WithinHours: 72})
	ok(t, err)
	n := d.newReport(report.Owner)
	draft, err := d.DraftReport(ctx, x.owner, n)
	ok(t, err)
	n.Seen, err = draft.Digest()
	ok(t, err)
	issued, _, err := d.IssueReport(ctx, x.owner, n)
	ok(t, err)
	ok(t, d.RecordSending(ctx, x.owner, issued.Number, act.SentReport{Version: 1, Recipient: "社長", Channel: report.ByHand, At: x.clock}))
	tick()
	x.groups(second)
	tick()
	x.ledgerStands()
	return x
}

// groups gives orders to a group that take a second person, and what comes of them.
func (x *fixture) groups(second act.Actor) {
	x.t.Helper()
	ctx := x.t.Context()
	pcs := x.office(2)
	ok(x.t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{MaxShare: 100, TwoShare: 1, TwoPersons: true}))
	_, waits, err := x.everybody(x.owner, dispatch.Isolate, "because of all")
	ok(x.t, err)
	if waits == nil || waits.Group == nil {
		x.t.Fatalf("%+v", waits)
	}
	g, err := x.AgreeGroup(ctx, second, waits.Group.ID, "because of all", netip.Addr{})
	ok(x.t, err)
	members, err := x.Commands(ctx, x.owner, act.CommandFilter{})
	ok(x.t, err)
	if len(members) == 0 || g.ID == "" {
		x.t.Fatal("nobody was ordered anything")
	}
	for _, c := range members {
		if c.EndpointID == pcs[0].id {
			x.finished(pcs[0], c.ID)
		}
	}
	var asks *act.SecondPerson
	if _, err := x.Release(ctx, x.owner, pcs[0].id, act.Order{Reason: "because"}); !errors.As(err, &asks) {
		x.t.Fatal(err)
	}
	ok(x.t, x.RefuseRelease(ctx, second, pcs[0].id, "no"))
}

// everyAudit is how many things the named audit finds, or the error that it ends with.
func (x *fixture) everyAudit(ctx context.Context, q sqldb.Queryer, by string) (int, error) {
	switch by {
	case "custody":
		f, err := exhibit.Audit(ctx, q)
		return len(f), err
	case "record":
		f, err := record.Audit(ctx, q)
		return len(f), err
	case "report":
		f, _, err := report.Audit(ctx, q, x.blobs)
		return len(f), err
	}
	audit, known := rowAudits()[by]
	if !known {
		return 0, fmt.Errorf("there is no audit %q", by)
	}
	found, err := audit(ctx, q)
	return len(slices.Concat(slices.Collect(maps.Values(found))...)), err
}

// Who changes any column of any table, takes rows away or doubles them is found out, or it is
// said why that needs not be.
func TestEveryTableIsHeld(t *testing.T) {
	x := scene(t)
	ctx := t.Context()
	decided := schema()
	for _, name := range x.column(t, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%migration%' AND name NOT LIKE 'goose%' ORDER BY name`) {
		d, is := decided[name]
		delete(decided, name)
		switch {
		case !is:
			t.Errorf("nobody decided how the table %s is held against the ledger", name)
		case (d.by == "") == (d.free == ""):
			t.Errorf("%s: want an audit, or why there is none", name)
		case d.by != "" && d.by != "evidence":
			x.holds(ctx, t, name, d)
		}
	}
	for name := range decided {
		t.Errorf("there is no table %s", name)
	}
	x.ledgerStands()
}

// holds tampers with each column of a table, and with its rows.
func (x *fixture) holds(ctx context.Context, t *testing.T, name string, d table) {
	t.Helper()
	columns := x.column(t, `SELECT name FROM pragma_table_info('`+name+`') ORDER BY cid`)
	rows := x.column(t, `SELECT CAST(rowid AS TEXT) FROM `+name)
	if len(rows) == 0 {
		t.Errorf("the scene has no rows of %s", name)
		return
	}
	tamper := func(what string, sql ...string) {
		undo := errors.New("undo")
		err := x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			var changed int64
			for _, s := range sql {
				r, err := tx.ExecContext(ctx, s)
				if err != nil {
					return undo // the schema does not allow it
				}
				n, err := r.RowsAffected()
				if err != nil {
					return err
				}
				changed += n
			}
			if found, err := x.everyAudit(ctx, tx, d.by); err == nil && found == 0 && changed > 0 {
				t.Errorf("%s: nobody finds out %s", name, what)
			}
			return undo
		})
		if err != nil && !errors.Is(err, undo) {
			t.Errorf("%s, %s: %v", name, what, err)
		}
	}
	for column := range d.columns {
		if !slices.Contains(columns, column) {
			t.Errorf("%s has no column %s", name, column)
		}
	}
	for _, column := range columns {
		if d.columns[column] == "" {
			tamper("another "+column, fmt.Sprintf(`UPDATE %s SET %s = CASE typeof(%[2]s) WHEN 'integer' THEN 1 - %[2]s WHEN 'text' THEN
				CASE WHEN %[2]s = '' THEN '1026-01-01T00:00:00.000000000Z' WHEN %[2]s LIKE '____-__-__T__:__:__.%%Z' THEN '1' || substr(%[2]s, 2) ELSE %[2]s || 'x' END END WHERE rowid = %[3]s`, name, column, rows[0]))
		}
	}
	for column, why := range d.columns {
		if why == ordered {
			x.exchanged(t, name, column, tamper)
		}
	}
	tamper("all rows taken away", `DELETE FROM `+name)
	for _, odd := range []string{"'a'", "'~'"} { // a copy that is read before the row, and after it
		var copied []string
		keys := x.column(t, `SELECT name FROM pragma_table_info('`+name+`') WHERE pk > 0 UNION SELECT ii.name FROM pragma_index_list('`+name+`') il, pragma_index_info(il.name) ii WHERE il."unique" = 1`)
		numbered := "" // rows that are counted below another stay there
		for _, c := range []string{"version", "change_no", "seq"} {
			if slices.Contains(columns, c) {
				numbered = c
			}
		}
		for _, c := range columns {
			switch {
			case !slices.Contains(keys, c) || c == "organisation_id" || numbered != "" && c != numbered:
			case strings.HasSuffix(c, "_id") || c == "id" || strings.HasSuffix(c, "sha256"):
				c = odd + " || " + c
			case !strings.HasSuffix(c, "ledger_idx"):
				c = fmt.Sprintf("CASE typeof(%[1]s) WHEN 'integer' THEN %[1]s + %[2]d ELSE %[3]s || %[1]s END", c, map[string]int{"'a'": -1000, "'~'": 1000}[odd], odd)
			}
			copied = append(copied, c)
		}
		tamper("a row more", fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM %[1]s WHERE rowid = %[4]s`, name, strings.Join(columns, ", "), strings.Join(copied, ", "), rows[0]))
	}
}

// exchanged gives two rows of one exhibit or incident each the number of the other.
func (x *fixture) exchanged(t *testing.T, name, number string, tamper func(what string, sql ...string)) {
	t.Helper()
	of := "incident_id"
	if name == "exhibit_change" {
		of = "item_id"
	}
	pairs := x.column(t, fmt.Sprintf(`SELECT a.%[2]s || ' ' || b.%[2]s || ' ' || a.%[3]s FROM %[1]s a JOIN %[1]s b ON a.%[3]s = b.%[3]s AND a.%[2]s < b.%[2]s AND a.ledger_idx < b.ledger_idx`, name, number, of))
	if len(pairs) == 0 {
		t.Errorf("the scene has no two rows of %s in order", name)
		return
	}
	for _, pair := range pairs {
		p := strings.Fields(pair)
		set := func(from, to string) string {
			return fmt.Sprintf(`UPDATE %s SET %s = %s WHERE %[2]s = %[4]s AND %[5]s = '%[6]s'`, name, number, to, from, of, p[2])
		}
		tamper("two rows exchanged", set(p[0], "-1"), set(p[1], p[0]), set("-1", p[1]))
	}
}

// column reads the values of one column.
func (x *fixture) column(t *testing.T, sql string) (list []string) {
	t.Helper()
	rows, err := x.db.Read().QueryContext(t.Context(), sql)
	ok(t, err)
	defer rows.Close()
	for rows.Next() {
		var s string
		ok(t, rows.Scan(&s))
		list = append(list, s)
	}
	ok(t, rows.Err())
	return list
}
