package act_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/playbook"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
)

// Who has the database and changes what was recorded of deadlines, steps or contacts is found
// out by the ledger.
func TestRowsAgainstTheLedger(t *testing.T) {
	ctx, x := t.Context(), newFixture(t, sqldbtest.Open(t))
	x.clock = japan("2026-11-22 21:00")
	inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Classification: incident.Malware, DiscoveredAt: japan("2026-11-22 20:00")})
	ok(t, err)
	ok(t, x.LookAtDeadlines(ctx))
	_, err = x.AnswerReportable(ctx, x.owner, inc.ID, reportable("yes"), "顧客名簿\x00")
	ok(t, err)
	x.clock = japan("2026-11-24 12:00")
	ok(t, x.LookAtDeadlines(ctx))
	ok(t, x.MeetDeadline(ctx, x.owner, inc.ID, "ppc.preliminary", act.DeadlineMet{ReceiptNo: "受-0042"}))
	ok(t, x.WithdrawDone(ctx, x.owner, inc.ID, "ppc.preliminary", "送れていなかった"))
	ok(t, x.MeetDeadline(ctx, x.owner, inc.ID, "ppc.preliminary", act.DeadlineMet{ReceiptNo: "受-0043"}))
	ok(t, x.MarkItem(ctx, x.owner, inc.ID, "malware.detect.1", act.ItemMark{State: playbook.Done, Note: "した"}))
	o, err := x.SaveContact(ctx, x.owner, contact.Own{Kind: contact.Insurer, Name: "保険", Tel: "03-1234-5678", WithinHours: 72})
	ok(t, err)
	_, err = x.SaveContact(ctx, x.owner, o)
	ok(t, err)
	ok(t, x.RemoveContact(ctx, x.owner, o.ID))
	x.ledgerStands()

	undo := errors.New("undo")
	for name, c := range map[string]struct{ of, how, sql string }{
		"a deadline put off":                 {"deadline", "edited", `UPDATE deadline_version SET due_at = replace(due_at, '2027', '2028') WHERE clock = 'ppc.final' AND version = 2`},
		"a window that begins later":         {"deadline", "edited", `UPDATE deadline_version SET window_from = '2026-11-25' WHERE clock = 'ppc.preliminary'`},
		"another reason of a deadline":       {"deadline", "edited", `UPDATE deadline_version SET reason = 'start' WHERE clock = 'ppc.final' AND version = 2`},
		"a deadline taken away":              {"deadline", "edited", `DELETE FROM deadline_version WHERE clock = 'ppc.final' AND version = 1`},
		"all that was set":                   {"deadline", "missing", `DELETE FROM deadline_version`},
		"other answers":                      {"deadline", "edited", `UPDATE deadline_answer SET answers = replace(answers, 'yes', 'no')`},
		"another outcome":                    {"deadline", "edited", `UPDATE deadline_answer SET outcome = 'none'`},
		"answers that nobody can read":       {"deadline", "edited", `UPDATE deadline_answer SET answers = '{'`},
		"another receipt":                    {"deadline", "edited", `UPDATE deadline_done SET receipt_no = '受-1' WHERE seq = 3`},
		"submitted by somebody else":         {"deadline", "edited", `UPDATE deadline_done SET actor_name = 'x' WHERE seq = 3`},
		"recorded earlier":                   {"deadline", "edited", `UPDATE deadline_done SET at = replace(at, '11-24', '11-23') WHERE seq = 3`},
		"a withdrawal taken away":            {"deadline", "missing", `DELETE FROM deadline_done WHERE seq = 2`},
		"a withdrawal made a submission":     {"deadline", "edited", `UPDATE deadline_done SET withdrawn = 0 WHERE seq = 2`},
		"a submission that nobody made":      {"deadline", "surplus", `INSERT INTO deadline_done (incident_id, seq, organisation_id, clock, done_at, receipt_no, note, at, actor_name, ledger_idx) SELECT incident_id, 9, organisation_id, 'ppc.final', done_at, '', '', at, actor_name, 0 FROM deadline_done WHERE seq = 1`},
		"a reminder that nobody was given":   {"deadline", "surplus", `INSERT INTO deadline_reminder (incident_id, clock, version, kind, organisation_id, at, told) SELECT incident_id, 'ppc.final', 2, 'overdue', organisation_id, at, 1 FROM deadline_version WHERE clock = 'ppc.final' AND version = 2`},
		"a reminder passed over":             {"deadline", "surplus", `INSERT INTO deadline_reminder (incident_id, clock, version, kind, organisation_id, at, told) SELECT incident_id, 'ppc.final', 2, 'overdue', organisation_id, at, 0 FROM deadline_version WHERE clock = 'ppc.final' AND version = 2`},
		"a reminder taken away":              {"deadline", "missing", `DELETE FROM deadline_reminder`},
		"a step undone":                      {"playbook", "edited", `UPDATE playbook_mark SET state = 'open'`},
		"another reason of a step":           {"playbook", "edited", `UPDATE playbook_mark SET note = ''`},
		"a step of another incident":         {"playbook", "edited", `UPDATE playbook_mark SET incident_id = 'inc_x'`},
		"a step taken away":                  {"playbook", "missing", `DELETE FROM playbook_mark`},
		"another telephone number":           {"contact", "edited", `UPDATE contact_version SET tel = '0990-1' WHERE version = 2`},
		"more hours":                         {"contact", "edited", `UPDATE contact_version SET within_hours = 720 WHERE version = 1`},
		"a contact that was removed is back": {"contact", "edited", `UPDATE contact_version SET removed = 0`},
		"a contact taken away":               {"contact", "missing", `DELETE FROM contact_version`},
		"a contact that nobody added":        {"contact", "surplus", `INSERT INTO contact_version SELECT contact_id, 9, organisation_id, kind, name, person, tel, mail, url, hours, reference, within_hours, note, removed, at, actor_name, 0 FROM contact_version WHERE version = 1`},
	} {
		t.Run(name, func(t *testing.T) {
			err := x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.ExecContext(ctx, c.sql)
				ok(t, err)
				for of, audit := range rowAudits() {
					found, err := audit(ctx, tx)
					ok(t, err)
					list := slices.Concat(slices.Collect(maps.Values(found))...)
					if of != c.of && len(list) > 0 || of == c.of && !slices.ContainsFunc(list, func(f ledger.Difference) bool { return string(f.Code) == c.how && f.Subject != "" }) {
						t.Errorf("%s: %+v", of, list)
					}
				}
				return undo
			})
			wantErr(t, err, undo)
		})
	}
	x.ledgerStands()
}
