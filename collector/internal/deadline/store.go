package deadline

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"hozen/collector/internal/calendar"
	"hozen/collector/internal/sqldb"
)

// Limits of what people write, in bytes.
const (
	MaxText    = 4096
	MaxReceipt = 256
)

// Version is a deadline as it was set; another time of knowing or another answer makes
// another version, and the old one stays.
type Version struct {
	Clock     string
	Version   int64 // counts from 1
	Start     time.Time
	From      calendar.Date
	Due       time.Time
	Counted   string
	Reason    string // "set", "start", "counting"
	At        time.Time
	LedgerIdx int64
}

// Why a version was made.
const (
	FirstSet        = "set"
	StartChanged    = "start"
	CountingChanged = "counting"
)

// NewVersion is the version of a deadline that counts otherwise than the one before, which is
// the zero Version where there was none.
func NewVersion(before Version, d Deadline, at time.Time) Version {
	v := Version{Clock: d.Clock.ID, Version: before.Version + 1, Start: d.Start, From: d.From, Due: d.Due, Counted: d.Counted, At: at}
	v.Reason = reasonOf(before, v)
	return v
}

// LastDay is the last day that the version leaves; zero for one that counts hours.
func (v Version) LastDay() calendar.Date {
	if !strings.HasPrefix(v.Counted, "days:") {
		return calendar.Date{}
	}
	return calendar.DateOf(v.Due.Add(-1))
}

// Same reports whether a deadline still is what the version says.
func (v Version) Same(d Deadline) bool {
	return v.Start.Equal(d.Start) && v.Due.Equal(d.Due) && v.From == d.From
}

// Reminded is a reminder that was given.
type Reminded struct {
	Clock   string
	Version int64
	Kind    ReminderKind
	At      time.Time
	Told    bool // false: a later one was given in its place
}

// Log is all that was recorded of one incident.
type Log struct {
	Answered []Answered // the verdicts are those of the data as they are now
	Versions []Version  // by clock, older first
	Done     []Done
	Reminded []Reminded
	// Fault is why something that was recorded of it is missing here; nothing can be counted then.
	Fault error
}

// Newest returns the newest version of a clock.
func (l Log) Newest(clock string) (Version, bool) {
	var newest Version
	for _, v := range l.Versions {
		if v.Clock == clock && v.Version > newest.Version {
			newest = v
		}
	}
	return newest, newest.Version > 0
}

// Logs returns what was recorded of incidents, by incident; those of which nothing was
// are not in it.
func (b *Book) Logs(ctx context.Context, q sqldb.Queryer, incidentIDs []string) (map[string]*Log, error) {
	logs := map[string]*Log{}
	of := func(id string) *Log {
		if logs[id] == nil {
			logs[id] = &Log{}
		}
		return logs[id]
	}
	for ids, in := range sqldb.In(incidentIDs, 1) {
		for _, read := range []func(context.Context, sqldb.Queryer, []any, string, func(string) *Log) error{b.readAnswers, readVersions, readDone, readReminded} {
			if err := read(ctx, q, ids, in, of); err != nil {
				return nil, fmt.Errorf("read deadlines: %w", err)
			}
		}
	}
	return logs, nil
}

// each runs scan for every row of a query.
func each(ctx context.Context, q sqldb.Queryer, query string, args []any, scan func(rows *sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// unread keeps with an incident what can't be read of it, so that those of others can.
func unread(of func(string) *Log, incident string, err error) error {
	if incident == "" {
		return err
	}
	l := of(incident)
	l.Fault = errors.Join(l.Fault, err)
	return nil
}

func (b *Book) readAnswers(ctx context.Context, q sqldb.Queryer, ids []any, in string, of func(string) *Log) error {
	return each(ctx, q, `SELECT incident_id, seq, answers, note, at, actor_name FROM deadline_answer WHERE incident_id IN `+in+` ORDER BY incident_id, ledger_idx, seq`, ids, func(rows *sql.Rows) error {
		var incident, answers string
		var a Answered
		if err := rows.Scan(&incident, &a.Seq, &answers, &a.Note, sqldb.ScanTime(&a.At), &a.By); err != nil {
			return unread(of, incident, err)
		}
		if err := json.Unmarshal([]byte(answers), &a.Answers); err != nil {
			return unread(of, incident, err)
		}
		a.Verdict = b.Decide(a.Answers)
		l := of(incident)
		l.Answered = append(l.Answered, a)
		return nil
	})
}

func readVersions(ctx context.Context, q sqldb.Queryer, ids []any, in string, of func(string) *Log) error {
	return each(ctx, q, `SELECT incident_id, clock, version, start_at, window_from, due_at, counted, reason, at, ledger_idx FROM deadline_version
		WHERE incident_id IN `+in+` ORDER BY incident_id, clock, version`, ids, func(rows *sql.Rows) error {
		var incident, from string
		var v Version
		if err := rows.Scan(&incident, &v.Clock, &v.Version, sqldb.ScanTime(&v.Start), &from, sqldb.ScanTime(&v.Due), &v.Counted, &v.Reason, sqldb.ScanTime(&v.At), &v.LedgerIdx); err != nil {
			return unread(of, incident, err)
		}
		if from != "" {
			var err error
			if v.From, err = calendar.ParseDate(from); err != nil {
				return unread(of, incident, err)
			}
		}
		l := of(incident)
		l.Versions = append(l.Versions, v)
		return nil
	})
}

func readDone(ctx context.Context, q sqldb.Queryer, ids []any, in string, of func(string) *Log) error {
	return each(ctx, q, `SELECT incident_id, seq, clock, done_at, receipt_no, note, at, actor_name, ledger_idx, withdrawn FROM deadline_done
		WHERE incident_id IN `+in+` ORDER BY incident_id, ledger_idx, seq`, ids, func(rows *sql.Rows) error {
		var incident string
		var d Done
		var withdrawn bool
		if err := rows.Scan(&incident, &d.Seq, &d.Clock, sqldb.ScanTime(&d.DoneAt), &d.ReceiptNo, &d.Note, sqldb.ScanTime(&d.At), &d.By, &d.LedgerIdx, sqldb.ScanBool(&withdrawn)); err != nil {
			return unread(of, incident, err)
		}
		l := of(incident)
		if withdrawn {
			if last := LastDone(l.Done, d.Clock); last != nil {
				last.Withdrawn = &Withdrawal{Reason: d.Note, At: d.At, By: d.By, LedgerIdx: d.LedgerIdx}
			}
			return nil
		}
		l.Done = append(l.Done, d)
		return nil
	})
}

func readReminded(ctx context.Context, q sqldb.Queryer, ids []any, in string, of func(string) *Log) error {
	return each(ctx, q, `SELECT incident_id, clock, version, kind, at, told FROM deadline_reminder WHERE incident_id IN `+in, ids, func(rows *sql.Rows) error {
		var incident string
		var r Reminded
		if err := rows.Scan(&incident, &r.Clock, &r.Version, &r.Kind, sqldb.ScanTime(&r.At), sqldb.ScanBool(&r.Told)); err != nil {
			return unread(of, incident, err)
		}
		l := of(incident)
		l.Reminded = append(l.Reminded, r)
		return nil
	})
}

// InsertAnswer stores answers with what they came to when they were given.
func InsertAnswer(ctx context.Context, tx *sqldb.Tx, organisationID, incidentID string, a Answered, ledgerIdx int64) error {
	answers, err := json.Marshal(a.Answers)
	if err != nil {
		return fmt.Errorf("store answers: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO deadline_answer (incident_id, seq, organisation_id, answers, outcome, rule, note, at, actor_name, ledger_idx)
		VALUES ($1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM deadline_answer WHERE incident_id = $1), $2, $3, $4, $5, $6, $7, $8, $9)`,
		incidentID, organisationID, string(answers), a.Verdict.Outcome.Key, a.Verdict.Rule, sqldb.CleanText(a.Note), sqldb.FormatTime(a.At), sqldb.CleanText(a.By), ledgerIdx)
	if err != nil {
		return fmt.Errorf("store answers: %w", err)
	}
	return nil
}

// InsertVersion stores a version.
func InsertVersion(ctx context.Context, tx *sqldb.Tx, organisationID, incidentID string, v Version) error {
	from := ""
	if !v.From.IsZero() {
		from = v.From.String()
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO deadline_version (incident_id, clock, version, organisation_id, start_at, window_from, due_at, counted, reason, at, ledger_idx)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		incidentID, v.Clock, v.Version, organisationID, sqldb.FormatTime(v.Start), from, sqldb.FormatTime(v.Due), v.Counted, v.Reason, sqldb.FormatTime(v.At), v.LedgerIdx)
	if err != nil {
		return fmt.Errorf("store deadline: %w", err)
	}
	return nil
}

// InsertDone stores that something was done about a deadline.
func InsertDone(ctx context.Context, tx *sqldb.Tx, organisationID, incidentID string, d Done) error {
	return insertDone(ctx, tx, organisationID, incidentID, d, false)
}

// InsertWithdrawal stores that what was done last about a clock, and stands, was not done
// after all. The row of what was done stays.
func InsertWithdrawal(ctx context.Context, tx *sqldb.Tx, organisationID, incidentID, clock string, w Withdrawal) error {
	return insertDone(ctx, tx, organisationID, incidentID, Done{Clock: clock, DoneAt: w.At, Note: w.Reason, At: w.At, By: w.By, LedgerIdx: w.LedgerIdx}, true)
}

func insertDone(ctx context.Context, tx *sqldb.Tx, organisationID, incidentID string, d Done, withdrawn bool) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO deadline_done (incident_id, seq, organisation_id, clock, done_at, receipt_no, note, at, actor_name, ledger_idx, withdrawn)
		VALUES ($1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM deadline_done WHERE incident_id = $1), $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		incidentID, organisationID, d.Clock, sqldb.FormatTime(d.DoneAt), sqldb.CleanText(d.ReceiptNo), sqldb.CleanText(d.Note), sqldb.FormatTime(d.At), sqldb.CleanText(d.By), d.LedgerIdx, sqldb.FormatBool(withdrawn))
	if err != nil {
		return fmt.Errorf("store what was done about a deadline: %w", err)
	}
	return nil
}

// InsertReminded stores that a reminder was given. One that was given before is an
// error, so that nobody is told twice.
func InsertReminded(ctx context.Context, tx *sqldb.Tx, organisationID, incidentID string, r Reminded) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO deadline_reminder (incident_id, clock, version, kind, organisation_id, at, told) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		incidentID, r.Clock, r.Version, string(r.Kind), organisationID, sqldb.FormatTime(r.At), sqldb.FormatBool(r.Told))
	if err != nil {
		return fmt.Errorf("store reminder: %w", err)
	}
	return nil
}
