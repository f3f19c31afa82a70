package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

// InsertStep keeps a step.
func InsertStep(ctx context.Context, tx *sqldb.Tx, s Step) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO drill_step (id, organisation_id, incident_id, endpoint_id, what, at, actor_kind, actor_id, actor_name, note, ledger_idx)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, s.ID, s.OrganisationID, s.IncidentID, s.EndpointID, string(s.What), sqldb.FormatTime(s.At),
		s.ActorKind, s.ActorID, sqldb.CleanText(s.ActorName), sqldb.CleanText(s.Note), s.LedgerIdx)
	if err != nil {
		return fmt.Errorf("keep step of drill: %w", err)
	}
	return nil
}

// Steps returns the steps of a drill, oldest first.
func Steps(ctx context.Context, q sqldb.Queryer, incidentID string) ([]Step, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, organisation_id, incident_id, endpoint_id, what, at, actor_kind, actor_id, actor_name, note, ledger_idx
		FROM drill_step WHERE incident_id = $1 ORDER BY ledger_idx, id`, incidentID)
	if err != nil {
		return nil, fmt.Errorf("list steps of drill: %w", err)
	}
	defer rows.Close()
	var list []Step
	for rows.Next() {
		var s Step
		if err := rows.Scan(&s.ID, &s.OrganisationID, &s.IncidentID, &s.EndpointID, &s.What, sqldb.ScanTime(&s.At), &s.ActorKind, &s.ActorID, &s.ActorName, &s.Note, &s.LedgerIdx); err != nil {
			return nil, fmt.Errorf("list steps of drill: %w", err)
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// Kept is a result as it was kept when its drill was closed. A drill that is reopened and
// closed again has another version.
type Kept struct {
	IncidentID string
	Version    int64
	At         time.Time
	ActorName  string
	Result     Result
	LedgerIdx  int64
}

// Encode writes a result for the ledger and the database: the same result, the same bytes.
func (r Result) Encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode result of drill: %w", err)
	}
	return b, nil
}

// InsertResult keeps a result.
func InsertResult(ctx context.Context, tx *sqldb.Tx, organisationID string, k Kept) error {
	b, err := k.Result.Encode()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO drill_result (incident_id, version, organisation_id, at, actor_name, result, ledger_idx) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		k.IncidentID, k.Version, organisationID, sqldb.FormatTime(k.At), sqldb.CleanText(k.ActorName), string(b), k.LedgerIdx)
	if err != nil {
		return fmt.Errorf("keep result of drill: %w", err)
	}
	return nil
}

// Results returns the results that were kept of a drill, oldest first.
func Results(ctx context.Context, q sqldb.Queryer, incidentID string) ([]Kept, error) {
	rows, err := q.QueryContext(ctx, `SELECT incident_id, version, at, actor_name, result, ledger_idx FROM drill_result WHERE incident_id = $1 ORDER BY version`, incidentID)
	if err != nil {
		return nil, fmt.Errorf("list results of drill: %w", err)
	}
	defer rows.Close()
	var list []Kept
	for rows.Next() {
		var k Kept
		var text string
		if err := rows.Scan(&k.IncidentID, &k.Version, sqldb.ScanTime(&k.At), &k.ActorName, &text, &k.LedgerIdx); err != nil {
			return nil, fmt.Errorf("list results of drill: %w", err)
		}
		if err := json.Unmarshal([]byte(text), &k.Result); err != nil {
			return nil, fmt.Errorf("read result of drill %s: %w", k.IncidentID, err)
		}
		list = append(list, k)
	}
	return list, rows.Err()
}
