package record

import (
	"context"
	"encoding/json"
	"errors"
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

// VersionsOf is [Versions] of many incidents. An answer that can't be read stands in faults, by
// its incident, and keeps those of no other from being read.
func VersionsOf(ctx context.Context, q sqldb.Queryer, incidentIDs []string) (of map[string][]Version, faults map[string]error, err error) {
	of, faults = map[string][]Version{}, map[string]error{}
	for ids, in := range sqldb.In(incidentIDs, 1) {
		if err := eachVersion(ctx, q, func(v Version, err error) error {
			switch {
			case err != nil && v.IncidentID == "":
				return err
			case err != nil:
				faults[v.IncidentID] = errors.Join(faults[v.IncidentID], err)
			default:
				of[v.IncidentID] = append(of[v.IncidentID], v)
			}
			return nil
		}, `incident_id IN `+in+` ORDER BY incident_id, item, version_no`, ids...); err != nil {
			return nil, nil, err
		}
	}
	return of, faults, nil
}

func queryVersions(ctx context.Context, q sqldb.Queryer, cond string, args ...any) (list []Version, err error) {
	err = eachVersion(ctx, q, func(v Version, err error) error {
		list = append(list, v)
		return err
	}, cond, args...)
	if err != nil {
		return nil, err
	}
	return list, nil
}

// eachVersion calls do for every version, or for what can't be read of one.
func eachVersion(ctx context.Context, q sqldb.Queryer, do func(Version, error) error, cond string, args ...any) error {
	rows, err := q.QueryContext(ctx, `SELECT `+versionColumns+` FROM record_version WHERE `+cond, args...)
	if err != nil {
		return fmt.Errorf("read answers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(scanVersion(rows.Scan)); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read answers: %w", err)
	}
	return nil
}

// scanVersion reads a version. Where it fails, what was read before stands in it.
func scanVersion(scan func(dest ...any) error) (v Version, err error) {
	var value, basis string
	if err := scan(&v.IncidentID, &v.Item, &v.No, &v.OrganisationID, &v.State, &value, &basis, &v.Reason,
		&v.EnteredID, &v.EnteredBy, sqldb.ScanTime(&v.EnteredAt), &v.LedgerIdx); err != nil {
		return v, fmt.Errorf("read answers: %w", err)
	}
	if v.Value, err = DecodeValue(value); err != nil {
		return v, fmt.Errorf("read version %d of %s: %w", v.No, v.Item, err)
	}
	if basis != "" {
		if err := json.Unmarshal([]byte(basis), &v.Basis); err != nil {
			return v, fmt.Errorf("read version %d of %s: %w", v.No, v.Item, err)
		}
	}
	return v, nil
}
