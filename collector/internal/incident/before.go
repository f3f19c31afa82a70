package incident

import (
	"context"
	"encoding/json"
	"fmt"

	"hozen/collector/internal/sqldb"
)

// TimelineBefore returns all entries of an incident whose entries of the ledger stand
// before size, in the order in which they were made.
func TimelineBefore(ctx context.Context, q sqldb.Queryer, incidentID string, size int64) ([]Entry, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, incident_id, at, agent_at, kind, actor, text, params, ledger_idx FROM incident_entry
		WHERE incident_id = $1 AND ledger_idx < $2 ORDER BY ledger_idx, id`, incidentID, size)
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
