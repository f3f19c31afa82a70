package act_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/id"
)

// wrong is a change to the database by hand, and what finds it out: one of [rowAudits], and the
// code.
type wrong struct{ of, how, sql string }

// named carries each change out, holds the rows against the ledger, and takes it back.
func (x *fixture) named(t *testing.T, changes map[string]wrong) {
	undo := errors.New("undo")
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			err := x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				for sql := range strings.SplitSeq(c.sql, ";") {
					res, err := tx.ExecContext(ctx, sql)
					ok(t, err)
					if n, err := res.RowsAffected(); n == 0 || err != nil {
						t.Errorf("%s changes nothing: %v", sql, err)
					}
				}
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

// Who has the database and changes an incident or its timeline is found out by the ledger.
func TestIncidentsAgainstTheLedger(t *testing.T) {
	ctx, x := t.Context(), newFixture(t, sqldbtest.Open(t))
	p, q, r := x.enrolled("pc"), x.enrolled("other"), x.enrolled("third")
	inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{p.id, q.id}})
	ok(t, err)
	ok(t, x.AddNote(ctx, x.owner, inc.ID, "一つ目"))
	x.clock = x.clock.Add(time.Hour)
	ok(t, x.AddNote(ctx, x.owner, inc.ID, "二つ目\x00"))
	_, err = x.SetAnswer(ctx, x.owner, inc.ID, act.NewAnswer{Item: record.Type, State: record.Known, Value: record.Value{Types: []string{"leak"}}, After: act.AnyVersion})
	ok(t, err)
	_, err = x.SetAnswer(ctx, x.owner, inc.ID, act.NewAnswer{Item: record.DiscoveredAt, State: record.Known, Value: record.Value{At: x.clock.Add(-2 * time.Hour)}, After: act.AnyVersion})
	ok(t, err)
	ok(t, x.CloseIncidentAs(ctx, x.owner, inc.ID, incident.FalseAlarm, "誤検知"))
	ok(t, x.ReopenIncident(ctx, x.owner, inc.ID, "やはり"))
	part, err := x.SplitIncident(ctx, x.owner, inc.ID, []string{q.id}, "part", "別件")
	ok(t, err)
	other, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "other", EndpointIDs: []string{r.id}})
	ok(t, err)
	_, err = x.MergeIncident(ctx, x.owner, other.ID, part.ID, "同じ")
	ok(t, err)
	ok(t, x.CloseIncident(ctx, x.owner, inc.ID, "済"))
	_, err = x.ReportTrouble(ctx, p.id, act.AlertCall{AlertID: id.New(id.Alert), Message: "変な画面", Reporter: "山田", ReportedAt: x.clock})
	ok(t, err)
	x.tie(q, artifact.Manifest{AlertID: id.New(id.Alert)})
	x.drill()
	x.clock = x.clock.Add(-time.Second) // set back a little, as clocks are
	_, err = x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "later", EndpointIDs: []string{p.id}})
	ok(t, err)
	x.ledgerStands()

	const split, first = `split_from <> ''`, `id = (SELECT MIN(id) FROM incident_entry WHERE kind = 'note')`
	changes := map[string]wrong{
		"two notes exchanged": {"timeline", "edited", `UPDATE incident_entry SET ledger_idx = (SELECT SUM(ledger_idx) FROM incident_entry WHERE kind = 'note') - ledger_idx WHERE kind = 'note'`},
		"a line taken away":   {"timeline", "missing", `DELETE FROM incident_entry WHERE ` + first},
		"all lines":           {"timeline", "missing", `DELETE FROM incident_entry`},
		"one of two lines of an entry taken away": {"timeline", "missing", `DELETE FROM incident_entry WHERE kind = 'merged_in'`},
		"a line that nobody wrote":                {"timeline", "surplus", `INSERT INTO incident_entry SELECT 'tml_x', organisation_id, incident_id, at, agent_at, kind, actor, text, params, ledger_idx FROM incident_entry WHERE ` + first},
		"a line of before there were any":         {"timeline", "surplus", `INSERT INTO incident_entry SELECT 'tml_x', organisation_id, incident_id, at, agent_at, kind, actor, text, params, 0 FROM incident_entry WHERE ` + first},
		"a line to come":                          {"timeline", "surplus", `INSERT INTO incident_entry SELECT 'tml_x', organisation_id, incident_id, at, agent_at, kind, actor, text, params, 9999 FROM incident_entry WHERE ` + first},
		"a line of an unknown organisation":       {"timeline", "surplus", `INSERT INTO incident_entry SELECT 'tml_x', 'org_x', incident_id, at, agent_at, kind, actor, text, params, ledger_idx FROM incident_entry WHERE ` + first},

		"an incident taken away":         {"incident", "missing", `DELETE FROM incident_incident WHERE drill = 1`},
		"an incident that nobody opened": {"incident", "surplus", `INSERT INTO incident_incident SELECT 'inc_x', organisation_id, 'INC-2026-0099', title, classification, reporter, discovered_at, opened_at, closed_at, close_code, merged_into, split_from, drill, found_in FROM incident_incident WHERE drill = 1`},
		"not closed":                     {"incident", "edited", `UPDATE incident_incident SET closed_at = '' WHERE close_code = 'resolved'`},
		"closed":                         {"incident", "edited", `UPDATE incident_incident SET closed_at = opened_at WHERE ` + split},
		"a drill made real":              {"incident", "edited", `UPDATE incident_incident SET drill = 0 WHERE drill = 1`},
		"an endpoint taken out":          {"incident", "missing", `DELETE FROM incident_endpoint WHERE endpoint_id = '` + r.id + `' AND incident_id = '` + other.ID + `'`},
		"an endpoint put in":             {"incident", "surplus", `INSERT INTO incident_endpoint SELECT incident_id, 'end_x', organisation_id, added_at FROM incident_endpoint WHERE incident_id = '` + other.ID + `'`},
		"an endpoint put back":           {"incident", "surplus", `INSERT INTO incident_endpoint SELECT '` + inc.ID + `', '` + q.id + `', organisation_id, added_at FROM incident_endpoint WHERE incident_id = '` + other.ID + `'`},
		"an endpoint that came earlier":  {"incident", "edited", `UPDATE incident_endpoint SET added_at = '2026-11-22T00:00:00.000000000Z' WHERE incident_id = '` + other.ID + `'`},
		"an endpoint of somebody else":   {"incident", "missing", `UPDATE incident_endpoint SET organisation_id = 'org_x' WHERE incident_id = '` + other.ID + `'`},
		"a number given back":            {"incident", "edited", `UPDATE incident_counter SET counter = counter - 1`},
		"a drill's number given back":    {"incident", "missing", `DELETE FROM incident_drill_counter`},
		"an alert taken away":            {"incident", "missing", `DELETE FROM incident_alert WHERE message <> ''`},
		"an alert that nobody gave":      {"incident", "surplus", `INSERT INTO incident_alert SELECT 'alt_x', organisation_id, endpoint_id, incident_id, message, reporter, reported_at, received_at FROM incident_alert WHERE message = ''`},
		"an alert that is not expected":  {"incident", "missing", `DELETE FROM incident_alert WHERE message = ''`},
	}
	for _, column := range strings.Fields("id incident_id organisation_id at agent_at kind actor text params") {
		how := "edited"
		if column == "organisation_id" {
			how = "missing"
		}
		changes["another "+column+" of a line"] = wrong{"timeline", how, `UPDATE incident_entry SET ` + column + ` = ` + column + ` || 'x' WHERE ` + first}
	}
	for _, column := range strings.Fields("number title classification reporter discovered_at opened_at closed_at close_code merged_into split_from found_in") {
		changes["another "+column+" of an incident"] = wrong{"incident", "edited", `UPDATE incident_incident SET ` + column + ` = ` + column + ` || 'x' WHERE ` + split}
	}
	for _, column := range strings.Fields("endpoint_id incident_id message reporter reported_at received_at") {
		changes["another "+column+" of an alert"] = wrong{"incident", "edited", `UPDATE incident_alert SET ` + column + ` = ` + column + ` || 'x' WHERE message = ''`}
	}
	x.named(t, changes)
}

// The lines that an earlier version wrote are spoken for from the first start on.
func TestOlderTimelinesAreSealed(t *testing.T) {
	ctx, x := t.Context(), newFixture(t, sqldbtest.Open(t))
	org := x.organisation()
	older := func(inc string, idx int) string {
		return `INSERT INTO incident_entry (id, organisation_id, incident_id, at, agent_at, kind, actor, text, params, ledger_idx) VALUES ('` +
			id.New(id.Timeline) + `', '` + org + `', '` + inc + `', '2026-11-22T12:00:00.000000000Z', '', 'note', '社長', '古い', '{}', ` + strconv.Itoa(idx) + `)`
	}
	ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		for _, sql := range []string{older("inc_a", 0), older("inc_a", 1), older("inc_b", 1), `INSERT INTO incident_unsealed (organisation_id) VALUES ('` + org + `')`} {
			if _, err := tx.ExecContext(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	}))
	x.ledgerStands() // nothing speaks of them, and of no other line
	for want := range slices.Values([]int{2, 0}) {
		if n, err := x.SealTimelines(ctx); n != want || err != nil {
			t.Fatalf("%d, %v; want %d", n, err, want)
		}
	}
	inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
	ok(t, err)
	ok(t, x.AddNote(ctx, x.owner, inc.ID, "新しい"))
	x.named(t, map[string]wrong{
		"an older line changed":                   {"timeline", "edited", `UPDATE incident_entry SET text = 'x' WHERE incident_id = 'inc_b'`},
		"one taken away":                          {"timeline", "missing", `DELETE FROM incident_entry WHERE incident_id = 'inc_a' AND ledger_idx = 0`},
		"one more":                                {"timeline", "surplus", older("inc_a", 0)},
		"one of another incident":                 {"timeline", "surplus", older("inc_c", 0)},
		"two exchanged":                           {"timeline", "edited", `UPDATE incident_entry SET ledger_idx = 1 - ledger_idx WHERE incident_id = 'inc_a'`},
		"one of now that passes for an older one": {"timeline", "missing", `UPDATE incident_entry SET ledger_idx = 0 WHERE text = '新しい'`},
	})
}

// Once the ledger speaks of timelines, no line that was written by hand gets an entry.
func TestForgedLinesAreNotSealed(t *testing.T) {
	ctx, x := t.Context(), newFixture(t, sqldbtest.Open(t))
	org := x.organisation()
	inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
	ok(t, err)
	columns := []string{id.New(id.Timeline), org, inc.ID, "2026-11-22T12:00:00.000000000Z", "", "note", "社長", "作り話", "{}"}
	forged := `INSERT INTO incident_entry (id, organisation_id, incident_id, at, agent_at, kind, actor, text, params, ledger_idx) VALUES ('` + strings.Join(columns, "', '") + `', 0)`
	asked := `INSERT INTO incident_unsealed (organisation_id) VALUES ('` + org + `')`
	x.named(t, map[string]wrong{
		"a line":               {"timeline", "surplus", forged},
		"that lines be sealed": {"timeline", "surplus", asked},
	})
	ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, forged)
		ok(t, err)
		_, err = tx.ExecContext(ctx, asked)
		return err
	}))
	if n, err := x.SealTimelines(ctx); n != 0 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	differ := func(want int) {
		t.Helper()
		found, err := incident.AuditTimelines(ctx, x.db.Read())
		ok(t, err)
		if len(found[org]) != want {
			t.Errorf("%+v; want %d", found[org], want)
		}
	}
	differ(1)
	sum := sha256.Sum256([]byte("0 " + ledger.RowSum(columns...) + "\n"))
	ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { // as an earlier version did when it was asked
		_, err := ledger.Append(ctx, tx, ledger.Entry{OrganisationID: org, At: x.clock, ActorKind: "system", Act: incident.ActSeal, Subject: inc.ID,
			Details: map[string]string{"lines": "1", "older": hex.EncodeToString(sum[:])}})
		return err
	}))
	differ(2)
}

// What was written empty is held too: a withdrawn order has no end by the endpoint's clock.
func TestEmptyColumnsAreHeld(t *testing.T) {
	ctx, x := t.Context(), newFixture(t, sqldbtest.Open(t))
	p := x.connected("pc")
	c, err := x.down(p)
	ok(t, err)
	ok(t, x.Withdraw(ctx, x.owner, c.ID, "誤りでした"))
	x.named(t, map[string]wrong{"an end where there was none": {"order", "edited", `UPDATE dispatch_command SET finished_at = '2026-11-22T12:00:00.000000000Z' WHERE status = 'withdrawn'`}})
}
