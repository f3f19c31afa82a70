package report

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"hozen/collector/internal/sqldb"
	"hozen/internal/i18n"
)

const (
	reportColumns  = `id, organisation_id, incident_id, report_no, number, kind, language`
	versionColumns = `report_id, version, organisation_id, at, actor_kind, actor_id, actor_name, stage, title, not_known, ledger_size, bundle_sha256, bundle_size, files, ledger_idx`
	sendingColumns = `report_id, seq, version, organisation_id, recipient, channel, sent_at, note, recorded_at, actor_kind, actor_id, actor_name, ledger_idx`
)

// ForKind finds the report of a kind in a language, with its versions; [ErrNotFound] when
// none was issued.
func ForKind(ctx context.Context, q sqldb.Queryer, organisationID, incidentID string, k Kind, l i18n.Language) (Report, error) {
	return one(ctx, q, `organisation_id = $1 AND incident_id = $2 AND kind = $3 AND language = $4`, organisationID, incidentID, string(k), string(l))
}

// Find finds a report by its identifier or number.
func Find(ctx context.Context, q sqldb.Queryer, organisationID, idOrNumber string) (Report, error) {
	return one(ctx, q, `organisation_id = $1 AND (id = $2 OR number = $2)`, organisationID, sqldb.CleanText(idOrNumber))
}

func one(ctx context.Context, q sqldb.Queryer, where string, args ...any) (Report, error) {
	var r Report
	err := scanReport(q.QueryRowContext(ctx, `SELECT `+reportColumns+` FROM report_report WHERE `+where, args...), &r)
	if errors.Is(err, sql.ErrNoRows) {
		return Report{}, ErrNotFound
	}
	if err != nil {
		return Report{}, fmt.Errorf("read report: %w", err)
	}
	list := []Report{r}
	if err := fill(ctx, q, list, `report_id = $1`, r.ID); err != nil {
		return Report{}, err
	}
	return list[0], nil
}

func scanReport(row interface{ Scan(...any) error }, r *Report) error {
	return row.Scan(&r.ID, &r.OrganisationID, &r.IncidentID, &r.No, &r.Number, &r.Kind, &r.Language)
}

// List returns the reports of an incident in the order of their numbers.
func List(ctx context.Context, q sqldb.Queryer, organisationID, incidentID string) ([]Report, error) {
	list, err := reports(ctx, q, `organisation_id = $1 AND incident_id = $2 ORDER BY report_no`, organisationID, incidentID)
	if err != nil {
		return nil, err
	}
	return list, fill(ctx, q, list, `report_id IN (SELECT id FROM report_report WHERE organisation_id = $1 AND incident_id = $2)`, organisationID, incidentID)
}

func reports(ctx context.Context, q sqldb.Queryer, where string, args ...any) ([]Report, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+reportColumns+` FROM report_report WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	defer rows.Close()
	var list []Report
	for rows.Next() {
		var r Report
		if err := scanReport(rows, &r); err != nil {
			return nil, fmt.Errorf("list reports: %w", err)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	return list, nil
}

// fill adds versions and sendings to reports.
func fill(ctx context.Context, q sqldb.Queryer, list []Report, where string, args ...any) error {
	at := map[string]int{}
	for i, r := range list {
		at[r.ID] = i
	}
	rows, err := q.QueryContext(ctx, `SELECT `+versionColumns+` FROM report_version WHERE `+where+` ORDER BY report_id, version`, args...)
	if err != nil {
		return fmt.Errorf("read versions of reports: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var v Version
		var id, org, files string
		if err := rows.Scan(&id, &v.Version, &org, sqldb.ScanTime(&v.At), &v.ActorKind, &v.ActorID, &v.ActorName, &v.Stage, &v.Title, &v.NotKnown, &v.LedgerSize, &v.BundleSHA256, &v.BundleSize, &files, &v.LedgerIdx); err != nil {
			return fmt.Errorf("read versions of reports: %w", err)
		}
		if err := json.Unmarshal([]byte(files), &v.Files); err != nil {
			return fmt.Errorf("read version %d of report %s: %w", v.Version, id, err)
		}
		if i, ok := at[id]; ok {
			list[i].Versions = append(list[i].Versions, v)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read versions of reports: %w", err)
	}
	return fillSendings(ctx, q, list, at, where, args...)
}

func fillSendings(ctx context.Context, q sqldb.Queryer, list []Report, at map[string]int, where string, args ...any) error {
	rows, err := q.QueryContext(ctx, `SELECT `+sendingColumns+` FROM report_sending WHERE `+where+` ORDER BY report_id, seq`, args...)
	if err != nil {
		return fmt.Errorf("read sendings of reports: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var s Sending
		var id, org string
		if err := rows.Scan(&id, &s.Seq, &s.Version, &org, &s.Recipient, &s.Channel, sqldb.ScanTime(&s.SentAt), &s.Note, sqldb.ScanTime(&s.RecordedAt), &s.ActorKind, &s.ActorID, &s.ActorName, &s.LedgerIdx); err != nil {
			return fmt.Errorf("read sendings of reports: %w", err)
		}
		if i, ok := at[id]; ok {
			list[i].Sendings = append(list[i].Sendings, s)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read sendings of reports: %w", err)
	}
	return nil
}

// NextNo returns the number that the next report of an incident gets.
func NextNo(ctx context.Context, q sqldb.Queryer, organisationID, incidentID string) (int64, error) {
	var no int64
	if err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(report_no), 0) + 1 FROM report_report WHERE organisation_id = $1 AND incident_id = $2`, organisationID, incidentID).Scan(&no); err != nil {
		return 0, fmt.Errorf("number report: %w", err)
	}
	return no, nil
}

// Insert stores a report that has no version yet.
func Insert(ctx context.Context, tx *sqldb.Tx, r Report) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO report_report (`+reportColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		r.ID, r.OrganisationID, r.IncidentID, r.No, r.Number, string(r.Kind), string(r.Language)); err != nil {
		return fmt.Errorf("store report: %w", err)
	}
	return nil
}

// AddVersion stores an issued version.
func AddVersion(ctx context.Context, tx *sqldb.Tx, r Report, v Version) error {
	files, err := json.Marshal(v.Files)
	if err != nil {
		return fmt.Errorf("store version of report: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO report_version (`+versionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		r.ID, v.Version, r.OrganisationID, sqldb.FormatTime(v.At), v.ActorKind, v.ActorID, sqldb.CleanText(v.ActorName), string(v.Stage), sqldb.CleanText(v.Title),
		v.NotKnown, v.LedgerSize, v.BundleSHA256, v.BundleSize, string(files), v.LedgerIdx); err != nil {
		return fmt.Errorf("store version of report: %w", err)
	}
	return nil
}

// AddSending stores that a version was sent.
func AddSending(ctx context.Context, tx *sqldb.Tx, r Report, s Sending) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO report_sending (`+sendingColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		r.ID, s.Seq, s.Version, r.OrganisationID, sqldb.CleanText(s.Recipient), string(s.Channel), sqldb.FormatTime(s.SentAt), sqldb.CleanText(s.Note),
		sqldb.FormatTime(s.RecordedAt), s.ActorKind, s.ActorID, sqldb.CleanText(s.ActorName), s.LedgerIdx); err != nil {
		return fmt.Errorf("store sending of report: %w", err)
	}
	return nil
}
