package record

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"hozen/collector/internal/sqldb"
)

// ActAnswer is the act of the ledger's entry of every version; its subject is the incident.
const ActAnswer = "record.answer"

// Details are what the ledger's entry of a version says. They hold the whole version.
func (v Version) Details() map[string]string {
	return map[string]string{"item": string(v.Item), "version": strconv.FormatInt(v.No, 10), "state": string(v.State), "value": v.Value.Encode(),
		"basis": v.Basis.encode(), "reason": v.Reason}
}

func (b Basis) encode() string {
	if b.Empty() {
		return ""
	}
	t, err := json.Marshal(b)
	if err != nil {
		panic(fmt.Sprintf("record: %v", err)) // strings only
	}
	return string(t)
}

// NextVersion returns the number that the next version of an item gets.
func NextVersion(ctx context.Context, q sqldb.Queryer, incidentID string, i Item) (int64, error) {
	var no int64
	if err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_no), 0) + 1 FROM record_version WHERE incident_id = $1 AND item = $2`, incidentID, string(i)).Scan(&no); err != nil {
		return 0, fmt.Errorf("number an answer: %w", err)
	}
	return no, nil
}

const versionColumns = `incident_id, item, version_no, organisation_id, state, value, basis, reason, entered_id, entered_by, entered_at, ledger_idx`

// InsertVersion adds a version.
func InsertVersion(ctx context.Context, tx *sqldb.Tx, v Version) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO record_version (`+versionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		v.IncidentID, string(v.Item), v.No, v.OrganisationID, string(v.State), v.Value.Encode(), v.Basis.encode(), v.Reason,
		v.EnteredID, v.EnteredBy, sqldb.FormatTime(v.EnteredAt), v.LedgerIdx); err != nil {
		return fmt.Errorf("store an answer: %w", err)
	}
	return nil
}

// Versions returns all answers of an incident, those of each item in the order of their
// numbers.
func Versions(ctx context.Context, q sqldb.Queryer, incidentID string) ([]Version, error) {
	return queryVersions(ctx, q, `incident_id = $1 ORDER BY item, version_no`, incidentID)
}

func queryVersions(ctx context.Context, q sqldb.Queryer, cond string, args ...any) ([]Version, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+versionColumns+` FROM record_version WHERE `+cond, args...)
	if err != nil {
		return nil, fmt.Errorf("read answers: %w", err)
	}
	defer rows.Close()
	var list []Version
	for rows.Next() {
		var v Version
		var value, basis string
		if err := rows.Scan(&v.IncidentID, &v.Item, &v.No, &v.OrganisationID, &v.State, &value, &basis, &v.Reason,
			&v.EnteredID, &v.EnteredBy, sqldb.ScanTime(&v.EnteredAt), &v.LedgerIdx); err != nil {
			return nil, fmt.Errorf("read answers: %w", err)
		}
		if v.Value, err = DecodeValue(value); err != nil {
			return nil, fmt.Errorf("read version %d of %s: %w", v.No, v.Item, err)
		}
		if basis != "" {
			if err := json.Unmarshal([]byte(basis), &v.Basis); err != nil {
				return nil, fmt.Errorf("read version %d of %s: %w", v.No, v.Item, err)
			}
		}
		list = append(list, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read answers: %w", err)
	}
	return list, nil
}
