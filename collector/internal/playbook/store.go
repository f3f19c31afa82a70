package playbook

import (
	"context"
	"fmt"
	"strings"

	"hozen/collector/internal/sqldb"
)

// MaxText is how long a note or a reason may be, in bytes.
const MaxText = 4096

const markColumns = `id, organisation_id, incident_id, seq, item, state, note, gates, gate_reason, at, actor_kind, actor_id, actor_name, ledger_idx`

// Marks returns the marks of an incident in the order in which they were made.
func Marks(ctx context.Context, q sqldb.Queryer, incidentID string) ([]Mark, error) {
	return query(ctx, q, `incident_id = $1 ORDER BY ledger_idx, seq`, incidentID)
}

func query(ctx context.Context, q sqldb.Queryer, cond string, args ...any) ([]Mark, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+markColumns+` FROM playbook_mark WHERE `+cond, args...)
	if err != nil {
		return nil, fmt.Errorf("read progress of playbook: %w", err)
	}
	defer rows.Close()
	var list []Mark
	for rows.Next() {
		var m Mark
		var gates string
		if err := rows.Scan(&m.ID, &m.OrganisationID, &m.IncidentID, &m.Seq, &m.Item, &m.State, &m.Note, &gates, &m.GateReason,
			sqldb.ScanTime(&m.At), &m.ActorKind, &m.ActorID, &m.ActorName, &m.LedgerIdx); err != nil {
			return nil, fmt.Errorf("read progress of playbook: %w", err)
		}
		m.Gates = strings.Fields(gates)
		list = append(list, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read progress of playbook: %w", err)
	}
	return list, nil
}

// NextSeq returns the number that the next mark of an incident gets.
func NextSeq(ctx context.Context, q sqldb.Queryer, incidentID string) (int64, error) {
	var seq int64
	if err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) + 1 FROM playbook_mark WHERE incident_id = $1`, incidentID).Scan(&seq); err != nil {
		return 0, fmt.Errorf("number progress of playbook: %w", err)
	}
	return seq, nil
}

// Insert adds a mark.
func Insert(ctx context.Context, tx *sqldb.Tx, m Mark) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO playbook_mark (`+markColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		m.ID, m.OrganisationID, m.IncidentID, m.Seq, m.Item, string(m.State), sqldb.CleanText(m.Note), strings.Join(m.Gates, " "), sqldb.CleanText(m.GateReason),
		sqldb.FormatTime(m.At), m.ActorKind, m.ActorID, sqldb.CleanText(m.ActorName), m.LedgerIdx)
	if err != nil {
		return fmt.Errorf("store progress of playbook: %w", err)
	}
	return nil
}
