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
// merging. Neither is [Drilled].
const (
	Resolved   CloseCode = "resolved"
	FalseAlarm CloseCode = "false_alarm" // it was none; everything about it stays
	Duplicate  CloseCode = "duplicate"   // of another one that is not merged with it
	Merged     CloseCode = "merged"
	Drilled    CloseCode = "drilled" // how drills end, and nothing else
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
	all, err := Course(ctx, q, i)
	if err != nil {
		return Incident{}, err
	}
	return all[len(all)-1], nil
}

// Course returns an incident and those in which it goes on after merges, in that order.
func Course(ctx context.Context, q sqldb.Queryer, i Incident) ([]Incident, error) {
	all := []Incident{i}
	for n := 0; i.MergedInto != "" && n < maxMerges; n++ {
		var err error
		if i, err = FindBare(ctx, q, i.OrganisationID, i.MergedInto); err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, nil
}

// MergedFrom returns the incidents that went into one, oldest first, without endpoints.
func MergedFrom(ctx context.Context, q sqldb.Queryer, id string) ([]Incident, error) {
	return queryBare(ctx, q, `merged_into = $1 ORDER BY opened_at, id`, id)
}

// AllMergedFrom is [MergedFrom] with those that went into them before.
func AllMergedFrom(ctx context.Context, q sqldb.Queryer, id string) ([]Incident, error) {
	all, err := MergedFrom(ctx, q, id)
	for n := 0; err == nil && n < len(all); n++ { // it ends: each was merged into one, and later than what went into it
		var more []Incident
		more, err = MergedFrom(ctx, q, all[n].ID)
		all = append(all, more...)
	}
	return all, err
}

// FoundIn returns the real incidents about signs that were found in a drill, oldest first,
// without endpoints.
func FoundIn(ctx context.Context, q sqldb.Queryer, drillID string) ([]Incident, error) {
	return queryBare(ctx, q, `found_in = $1 ORDER BY opened_at, id`, drillID)
}

// SplitInto returns the incidents that came out of one, oldest first, without endpoints.
func SplitInto(ctx context.Context, q sqldb.Queryer, id string) ([]Incident, error) {
	return queryBare(ctx, q, `split_from = $1 ORDER BY opened_at, id`, id)
}

// Where returns the incident to which something belongs that comes of an endpoint for an
// incident: the one in which that goes on after merges, or into which the endpoint went when
// it was split off.
func Where(ctx context.Context, q sqldb.Queryer, i Incident, endpointID string) (Incident, error) {
	last, err := GoesOn(ctx, q, i)
	if err != nil {
		return Incident{}, err
	}
	where, found, err := wentTo(ctx, q, last, endpointID, map[string]bool{})
	if err != nil || !found {
		return last, err
	}
	return where, nil
}

// wentTo looks for an endpoint in an incident, then in those that were split off it, newest
// first. One that was split off may have been merged back: each is looked at once.
func wentTo(ctx context.Context, q sqldb.Queryer, i Incident, endpointID string, seen map[string]bool) (Incident, bool, error) {
	i, err := GoesOn(ctx, q, i)
	if err != nil || seen[i.ID] {
		return Incident{}, false, err
	}
	seen[i.ID] = true
	var n int
	if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM incident_endpoint WHERE incident_id = $1 AND endpoint_id = $2`, i.ID, endpointID).Scan(&n); err != nil {
		return Incident{}, false, fmt.Errorf("look for endpoint in incident: %w", err)
	}
	if n > 0 {
		return i, true, nil
	}
	off, err := SplitInto(ctx, q, i.ID)
	if err != nil {
		return Incident{}, false, err
	}
	for _, o := range slices.Backward(off) {
		if where, found, err := wentTo(ctx, q, o, endpointID, seen); found || err != nil {
			return where, found, err
		}
	}
	return Incident{}, false, nil
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
