package incident

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hozen/collector/internal/sqldb"
)

// CloseCode says how an incident ended.
type CloseCode string

// The ways in which incidents end. [Merged] is none that a person chooses: it follows from
// merging.
const (
	Resolved   CloseCode = "resolved"
	FalseAlarm CloseCode = "false_alarm" // it was none; everything about it stays
	Duplicate  CloseCode = "duplicate"   // of another one that is not merged with it
	Merged     CloseCode = "merged"
)

// CloseCodes returns those that a person chooses.
func CloseCodes() []CloseCode { return []CloseCode{Resolved, FalseAlarm, Duplicate} }

// Valid reports whether a person may choose c.
func (c CloseCode) Valid() bool { return slices.Contains(CloseCodes(), c) }

// Reopen opens a closed incident again.
func Reopen(ctx context.Context, tx *sqldb.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE incident_incident SET closed_at = '', close_code = '' WHERE id = $1`, id); err != nil {
		return fmt.Errorf("reopen incident: %w", err)
	}
	return nil
}

// Close closes an incident and says how it ended.
func Close(ctx context.Context, tx *sqldb.Tx, id string, c CloseCode, at time.Time) error {
	if _, err := tx.ExecContext(ctx, `UPDATE incident_incident SET closed_at = $1, close_code = $2 WHERE id = $3`, sqldb.FormatTime(at), string(c), id); err != nil {
		return fmt.Errorf("close incident: %w", err)
	}
	return nil
}

// Merge closes an incident that goes on in another.
func Merge(ctx context.Context, tx *sqldb.Tx, id, into string, at time.Time) error {
	if _, err := tx.ExecContext(ctx, `UPDATE incident_incident SET closed_at = $1, close_code = $2, merged_into = $3 WHERE id = $4`,
		sqldb.FormatTime(at), string(Merged), into, id); err != nil {
		return fmt.Errorf("merge incident: %w", err)
	}
	return nil
}

// SetSplitFrom notes out of which incident one came.
func SetSplitFrom(ctx context.Context, tx *sqldb.Tx, id, from string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE incident_incident SET split_from = $1 WHERE id = $2`, from, id); err != nil {
		return fmt.Errorf("split incident: %w", err)
	}
	return nil
}

// Split takes an endpoint out of an incident.
func Split(ctx context.Context, tx *sqldb.Tx, id, endpointID string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM incident_endpoint WHERE incident_id = $1 AND endpoint_id = $2`, id, endpointID); err != nil {
		return fmt.Errorf("take endpoint out of incident: %w", err)
	}
	return nil
}

// maxMerges bounds how often an incident that was merged can have gone on in another.
const maxMerges = 100

// GoesOn returns the incident in which one goes on that was merged; itself when it was not.
func GoesOn(ctx context.Context, q sqldb.Queryer, i Incident) (Incident, error) {
	var err error
	for n := 0; i.MergedInto != "" && n < maxMerges; n++ {
		if i, err = FindBare(ctx, q, i.OrganisationID, i.MergedInto); err != nil {
			return Incident{}, err
		}
	}
	return i, nil
}

// MergedFrom returns the incidents that went into one, oldest first, without endpoints.
func MergedFrom(ctx context.Context, q sqldb.Queryer, id string) ([]Incident, error) {
	return queryBare(ctx, q, `merged_into = $1 ORDER BY opened_at, id`, id)
}

func queryBare(ctx context.Context, q sqldb.Queryer, cond string, args ...any) ([]Incident, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM incident_incident WHERE `+cond, args...)
	if err != nil {
		return nil, fmt.Errorf("list incidents: %w", err)
	}
	defer rows.Close()
	var list []Incident
	for rows.Next() {
		i, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list incidents: %w", err)
	}
	return list, nil
}
