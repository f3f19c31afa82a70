package incident

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// DetailTimeline is the detail by which an entry of the ledger says which lines of timelines
// name it: the SHA-256 of each, in hexadecimal, with a space between.
const DetailTimeline = "timeline"

// ActLine is the act of an entry that says so for another one (detail "of") that was sealed
// before its line was written. Its subject is the incident.
const ActLine = "incident.line"

// AddEntry adds a line to the timeline of an incident, and to its entry of the ledger that
// this is the line.
func AddEntry(ctx context.Context, tx *sqldb.Tx, organisationID string, e Entry) error {
	params := map[string]string{}
	for k, v := range e.Params {
		params[k] = sqldb.CleanText(v)
	}
	text, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("add to timeline: %w", err)
	}
	l := line{e.ID, organisationID, e.IncidentID, sqldb.FormatTime(e.At), sqldb.FormatTime(e.AgentAt), string(e.Kind),
		sqldb.CleanText(e.Actor), sqldb.CleanText(e.Text), string(text)}
	sum := l.sum()
	if !ledger.Attach(tx, organisationID, e.LedgerIdx, DetailTimeline, sum) {
		if _, err := ledger.Append(ctx, tx, ledger.Entry{OrganisationID: organisationID, At: e.At, ActorKind: "system", Act: ActLine, Subject: e.IncidentID,
			Details: map[string]string{"of": strconv.FormatInt(e.LedgerIdx, 10), DetailTimeline: sum}}); err != nil {
			return fmt.Errorf("add to timeline: %w", err)
		}
	}
	err = tx.Gather(ctx, sqldb.Rows{Table: "incident_entry", Columns: lineColumns + ", ledger_idx"},
		l[0], l[1], l[2], l[3], l[4], l[5], l[6], l[7], l[8], e.LedgerIdx)
	if err != nil {
		return fmt.Errorf("add to timeline: %w", err)
	}
	return nil
}

// lineColumns are the columns that [line.sum] covers, in its order.
const lineColumns = "id, organisation_id, incident_id, at, agent_at, kind, actor, text, params"

// line is a line of a timeline as the database has it, without the index of its entry.
type line [9]string

// sum is by what the ledger knows the line.
func (l *line) sum() string { return ledger.RowSum(l[:]...) }

// MaxShown is how many entries [Timeline] returns at most, besides the one that says so.
const MaxShown = 2000

// Timeline returns the entries of an incident in the order in which they were made. Of
// more than [MaxShown] it returns the newest, and before them one of the kind
// [EntryOlder], which is not stored: the ledger has them all.
func Timeline(ctx context.Context, q sqldb.Queryer, incidentID string) ([]Entry, error) {
	list, err := entries(ctx, q, `WHERE incident_id = $1 ORDER BY ledger_idx DESC, id DESC LIMIT $2`, incidentID, MaxShown+1)
	if err != nil {
		return nil, err
	}
	slices.Reverse(list)
	if len(list) <= MaxShown {
		return list, nil
	}
	n, err := countEntries(ctx, q, incidentID)
	if err != nil {
		return nil, err
	}
	list[0] = Entry{
		IncidentID: incidentID, At: list[0].At, Kind: EntryOlder, LedgerIdx: list[0].LedgerIdx,
		Params: map[string]string{"number": strconv.Itoa(n - MaxShown)},
	}
	return list, nil
}

// TimelinePage returns at most n entries of an incident in the order in which they were
// made, without the newest skip, and how many it has in all.
func TimelinePage(ctx context.Context, q sqldb.Queryer, incidentID string, skip, n int) (list []Entry, total int, err error) {
	if list, err = entries(ctx, q, `WHERE incident_id = $1 ORDER BY ledger_idx DESC, id DESC LIMIT $2 OFFSET $3`, incidentID, n, skip); err != nil {
		return nil, 0, err
	}
	slices.Reverse(list)
	if skip == 0 && len(list) < n {
		return list, len(list), nil
	}
	total, err = countEntries(ctx, q, incidentID)
	return list, total, err
}

func countEntries(ctx context.Context, q sqldb.Queryer, incidentID string) (n int, err error) {
	if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM incident_entry WHERE incident_id = $1`, incidentID).Scan(&n); err != nil {
		return 0, fmt.Errorf("count timeline: %w", err)
	}
	return n, nil
}

// entries reads what a condition and an order choose.
func entries(ctx context.Context, q sqldb.Queryer, choice string, args ...any) ([]Entry, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, incident_id, at, agent_at, kind, actor, text, params, ledger_idx FROM incident_entry `+choice, args...)
	if err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	defer rows.Close()
	var list []Entry
	for rows.Next() {
		var e Entry
		var params string
		if err := rows.Scan(&e.ID, &e.IncidentID, sqldb.ScanTime(&e.At), sqldb.ScanTime(&e.AgentAt), &e.Kind, &e.Actor, &e.Text, &params, &e.LedgerIdx); err != nil {
			return nil, fmt.Errorf("read timeline: %w", err)
		}
		if err := json.Unmarshal([]byte(params), &e.Params); err != nil {
			return nil, fmt.Errorf("read timeline entry %s: %w", e.ID, err)
		}
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	return list, nil
}

// Alert is one report of trouble by the user of a PC.
type Alert struct {
	ID             string // made by the agent
	OrganisationID string
	EndpointID     string
	IncidentID     string
	Message        string
	Reporter       string
	ReportedAt     time.Time // agent clock
	ReceivedAt     time.Time // collector clock; zero when only evidence has named it so far
}

// ErrNoAlert means that there is no such alert.
var ErrNoAlert = errors.New("no such alert")

// InsertAlert stores an alert.
func InsertAlert(ctx context.Context, tx *sqldb.Tx, a Alert) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO incident_alert (alert_id, organisation_id, endpoint_id, incident_id, message, reporter, reported_at, received_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, a.ID, a.OrganisationID, a.EndpointID, a.IncidentID, sqldb.CleanText(a.Message),
		sqldb.CleanText(a.Reporter), sqldb.FormatTime(a.ReportedAt), sqldb.FormatTime(a.ReceivedAt))
	if err != nil {
		return fmt.Errorf("store alert: %w", err)
	}
	return nil
}

// FillAlert stores what an alert says that was known by name only, and to which incident it
// belongs by now.
func FillAlert(ctx context.Context, tx *sqldb.Tx, a Alert) error {
	_, err := tx.ExecContext(ctx, `UPDATE incident_alert SET message = $1, reporter = $2, reported_at = $3, received_at = $4, incident_id = $5 WHERE alert_id = $6`,
		sqldb.CleanText(a.Message), sqldb.CleanText(a.Reporter), sqldb.FormatTime(a.ReportedAt), sqldb.FormatTime(a.ReceivedAt), a.IncidentID, a.ID)
	if err != nil {
		return fmt.Errorf("store alert: %w", err)
	}
	return nil
}

// AlertByID finds an alert.
func AlertByID(ctx context.Context, q sqldb.Queryer, id string) (Alert, error) {
	var a Alert
	err := q.QueryRowContext(ctx, `SELECT alert_id, organisation_id, endpoint_id, incident_id, message, reporter, reported_at, received_at
		FROM incident_alert WHERE alert_id = $1`, id).Scan(&a.ID, &a.OrganisationID, &a.EndpointID, &a.IncidentID, &a.Message, &a.Reporter,
		sqldb.ScanTime(&a.ReportedAt), sqldb.ScanTime(&a.ReceivedAt))
	if errors.Is(err, sql.ErrNoRows) {
		return Alert{}, ErrNoAlert
	}
	if err != nil {
		return Alert{}, fmt.Errorf("read alert: %w", err)
	}
	return a, nil
}
