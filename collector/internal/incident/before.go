package incident

import (
	"context"

	"hozen/collector/internal/sqldb"
)

// TimelineBefore returns all entries of an incident whose entries of the ledger stand
// before size, in the order in which they were made.
func TimelineBefore(ctx context.Context, q sqldb.Queryer, incidentID string, size int64) ([]Entry, error) {
	return entries(ctx, q, `WHERE incident_id = $1 AND ledger_idx < $2 ORDER BY ledger_idx, id`, incidentID, size)
}
