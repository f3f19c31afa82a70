package deadline

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries; their subject is the incident.
const (
	ActAnswer   = "deadline.answer"
	ActSet      = "deadline.set"
	ActDone     = "deadline.done"
	ActWithdraw = "deadline.withdraw"
	ActRemind   = "deadline.remind"
)

// Details are what the entry of versions that were set at once says, each under its clock.
func Details(versions []Version) map[string]string {
	with := map[string]string{}
	for _, v := range versions {
		with["due."+v.Clock] = sqldb.FormatTime(v.Due)
		with["start."+v.Clock] = sqldb.FormatTime(v.Start)
		with["counted."+v.Clock] = v.Counted
		with["version."+v.Clock] = strconv.FormatInt(v.Version, 10)
		if !v.From.IsZero() {
			with["from."+v.Clock] = v.From.String()
		}
	}
	return with
}

// Audit holds what was recorded of deadlines against the entries in the ledger, and these
// against that, by organisation. q is one unchanging view. The error is only about not being
// able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	found, err := ledger.EachDifference(ctx, q, func(ctx context.Context, org string) (map[int64]ledger.Claim, error) {
		claims := map[int64]ledger.Claim{}
		for _, read := range []func(context.Context, sqldb.Queryer, string, map[int64]ledger.Claim) error{claimAnswers, claimVersions, claimDone} {
			if err := read(ctx, q, org, claims); err != nil {
				return nil, err
			}
		}
		for _, table := range []string{"deadline_answer", "deadline_done"} {
			odd, err := ledger.OutOfOrder(ctx, q, org, table, "incident_id", "seq")
			if err != nil {
				return nil, err
			}
			for _, idx := range odd {
				if c, ok := claims[idx]; ok { // a withdrawal of nothing claims nothing
					c.Details["seq"] = "in another order" // no entry says that
				}
			}
		}
		return claims, nil
	}, []string{ActAnswer, ActSet, ActDone, ActWithdraw})
	for org := range found {
		if err == nil {
			found[org], err = auditReminders(ctx, q, org, found[org])
		}
	}
	if err != nil {
		return nil, fmt.Errorf("audit deadlines: %w", err)
	}
	return found, nil
}

func claimAnswers(ctx context.Context, q sqldb.Queryer, org string, claims map[int64]ledger.Claim) error {
	return each(ctx, q, `SELECT incident_id, answers, outcome, rule, note, at, actor_name, ledger_idx FROM deadline_answer WHERE organisation_id = $1`, []any{org}, func(rows *sql.Rows) error {
		var answers, outcome, rule, note string
		c := ledger.Claim{Act: ActAnswer}
		var idx int64
		if err := rows.Scan(&c.Subject, &answers, &outcome, &rule, &note, sqldb.ScanTime(&c.At), &c.By, &idx); err != nil {
			return err
		}
		c.Details = map[string]string{"outcome": outcome, "rule": rule, "note": note}
		given := Answers{}
		if err := json.Unmarshal([]byte(answers), &given); err != nil {
			c.Details["answers"] = answers // no entry says that
		}
		for question, answer := range given {
			c.Details["answer."+question] = answer
		}
		ledger.Put(claims, idx, c)
		return nil
	})
}

func claimVersions(ctx context.Context, q sqldb.Queryer, org string, claims map[int64]ledger.Claim) error {
	logs, err := logsOf(ctx, q, org, "deadline_version", readVersions)
	for incident, l := range logs {
		at := map[int64][]Version{}
		var last Version
		for _, v := range l.Versions { // by clock, older first
			if v.Clock != last.Clock {
				last = Version{}
			}
			if v.Reason != reasonOf(last, v) {
				v.Counted += " " + v.Reason // no entry says that
			}
			at[v.LedgerIdx], last = append(at[v.LedgerIdx], v), v
		}
		for idx, list := range at {
			c := ledger.Claim{Act: ActSet, Subject: incident, Details: Details(list), Later: map[string]string{}, At: list[0].At}
			for _, v := range list {
				if name := "from." + v.Clock; c.Details[name] != "" {
					c.Later[name] = c.Details[name]
					delete(c.Details, name)
				}
			}
			ledger.Put(claims, idx, c)
		}
	}
	return err
}

// reasonOf is why a version was made that came after another, which is the zero Version where
// there was none.
func reasonOf(before, v Version) string {
	switch {
	case before.Version == 0:
		return FirstSet
	case !before.Start.Equal(v.Start):
		return StartChanged
	}
	return CountingChanged
}

func claimDone(ctx context.Context, q sqldb.Queryer, org string, claims map[int64]ledger.Claim) error {
	logs, err := logsOf(ctx, q, org, "deadline_done", readDone)
	for incident, l := range logs {
		for _, d := range l.Done {
			ledger.Put(claims, d.LedgerIdx, ledger.Claim{Act: ActDone, Subject: incident, At: d.At, By: d.By,
				Details: map[string]string{"clock": d.Clock, "done_at": sqldb.FormatTime(d.DoneAt), "receipt_no": d.ReceiptNo, "note": d.Note}})
			if w := d.Withdrawn; w != nil {
				ledger.Put(claims, w.LedgerIdx, ledger.Claim{Act: ActWithdraw, Subject: incident, At: w.At, By: w.By,
					Details: map[string]string{"clock": d.Clock, "done": strconv.FormatInt(d.LedgerIdx, 10), "reason": w.Reason}})
			}
		}
	}
	if err != nil {
		return err
	}
	return each(ctx, q, `SELECT ledger_idx FROM deadline_done WHERE organisation_id <> $1 AND incident_id IN (SELECT incident_id FROM deadline_done WHERE organisation_id = $1)`, []any{org}, func(rows *sql.Rows) error {
		var idx int64
		if err := rows.Scan(&idx); err != nil {
			return err
		}
		if c, ok := claims[idx]; ok {
			c.Details["organisation"] = "another" // no entry says that
		}
		return nil
	})
}

// logsOf reads the rows of one table of an organisation.
func logsOf(ctx context.Context, q sqldb.Queryer, org, table string, read func(context.Context, sqldb.Queryer, []any, string, func(string) *Log) error) (map[string]*Log, error) {
	logs := map[string]*Log{}
	err := read(ctx, q, []any{org}, `(SELECT DISTINCT incident_id FROM `+table+` WHERE organisation_id = $1)`, func(id string) *Log {
		if logs[id] == nil {
			logs[id] = &Log{}
		}
		return logs[id]
	})
	return logs, err
}

// reminder names one reminder.
type reminder struct{ incident, clock, version, kind string }

// auditReminders holds the reminders that were given against the ledger: one that nobody was
// given would keep it from ever being given.
func auditReminders(ctx context.Context, q sqldb.Queryer, org string, found []ledger.Difference) ([]ledger.Difference, error) {
	told, passed := map[reminder]bool{}, map[reminder]string{}
	newest := map[string]bool{} // incident, clock, version and moment of those that were told
	err := each(ctx, q, `SELECT incident_id, clock, version, kind, at, told FROM deadline_reminder WHERE organisation_id = $1 ORDER BY told DESC`, []any{org}, func(rows *sql.Rows) error {
		var r reminder
		var at string
		var was bool
		if err := rows.Scan(&r.incident, &r.clock, &r.version, &r.kind, &at, sqldb.ScanBool(&was)); err != nil {
			return err
		}
		moment := fmt.Sprintf("%q %q %q %q", r.incident, r.clock, r.version, at)
		if was {
			told[r], newest[moment] = true, true
		} else if !newest[moment] {
			passed[r] = at
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = ledger.Each(ctx, q, org, ActRemind, func(e ledger.Recorded) {
		r := reminder{e.Subject, e.Details["clock"], e.Details["version"], e.Details["kind"]}
		if !told[r] {
			found = append(found, ledger.Difference{Code: ledger.Missing, Subject: e.Subject, Detail: fmt.Sprintf("entry %d of the ledger, %s, has no row", e.Index, ActRemind)})
		}
		delete(told, r)
	})
	for r := range told {
		passed[r] = ""
	}
	alone := len(found)
	for r := range passed {
		found = append(found, ledger.Difference{Code: ledger.Surplus, Subject: r.incident,
			Detail: fmt.Sprintf("no entry of the ledger says that the reminder %s of %s, version %s, was given", r.kind, r.clock, r.version)})
	}
	slices.SortFunc(found[alone:], func(a, b ledger.Difference) int { return strings.Compare(a.Subject+a.Detail, b.Subject+b.Detail) })
	return found, err
}
