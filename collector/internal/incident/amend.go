package incident

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

// Opened returns the entry of the timeline that opened an incident: it says for ever what
// was reported then.
func Opened(ctx context.Context, q sqldb.Queryer, incidentID string) (Entry, error) {
	e := Entry{IncidentID: incidentID, Kind: EntryOpened}
	var params string
	err := q.QueryRowContext(ctx, `SELECT id, at, actor, params, ledger_idx FROM incident_entry WHERE incident_id = $1 AND kind = 'opened'
		ORDER BY ledger_idx, id LIMIT 1`, incidentID).Scan(&e.ID, sqldb.ScanTime(&e.At), &e.Actor, &params, &e.LedgerIdx)
	if errors.Is(err, sql.ErrNoRows) {
		return e, ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal([]byte(params), &e.Params)
	}
	if err != nil {
		return e, fmt.Errorf("read the opening of an incident: %w", err)
	}
	return e, nil
}

// FirstAlert returns the alert that came first in an incident, or [ErrNoAlert].
func FirstAlert(ctx context.Context, q sqldb.Queryer, incidentID string) (Alert, error) {
	var alertID string
	err := q.QueryRowContext(ctx, `SELECT alert_id FROM incident_alert WHERE incident_id = $1 ORDER BY received_at, alert_id LIMIT 1`, incidentID).Scan(&alertID)
	if errors.Is(err, sql.ErrNoRows) {
		return Alert{}, ErrNoAlert
	}
	if err != nil {
		return Alert{}, fmt.Errorf("read alert: %w", err)
	}
	return AlertByID(ctx, q, alertID)
}

// SetClassification notes the primary classification, as the newest answer says it.
func SetClassification(ctx context.Context, tx *sqldb.Tx, id string, c Classification) error {
	if _, err := tx.ExecContext(ctx, `UPDATE incident_incident SET classification = $1 WHERE id = $2`, string(c), id); err != nil {
		return fmt.Errorf("classify incident: %w", err)
	}
	return nil
}

// SetDiscovered notes when an incident was recognised, as the newest answer says it.
func SetDiscovered(ctx context.Context, tx *sqldb.Tx, id string, at time.Time) error {
	if _, err := tx.ExecContext(ctx, `UPDATE incident_incident SET discovered_at = $1 WHERE id = $2`, sqldb.FormatTime(at), id); err != nil {
		return fmt.Errorf("note discovery of incident: %w", err)
	}
	return nil
}
