package evidence

import (
	"context"
	"fmt"
)

// AcceptedBefore returns all acquisitions of an incident whose acceptance stands before the
// entry size of the ledger, in the order of their acceptance.
func (r Reader) AcceptedBefore(ctx context.Context, organisationID, incidentID string, size int64) ([]Acquisition, error) {
	rows, err := r.DB.Read().QueryContext(ctx, `SELECT `+acquisitionColumns+` FROM evidence_acquisitions
		WHERE organisation_id = $1 AND incident_id = $2 AND ledger_idx < $3 ORDER BY ledger_idx`, organisationID, incidentID, size)
	if err != nil {
		return nil, fmt.Errorf("read acquisitions: %w", err)
	}
	defer rows.Close()
	var out []Acquisition
	for rows.Next() {
		a, err := scanAcquisition(rows)
		if err != nil {
			return nil, fmt.Errorf("read acquisitions: %w", err)
		}
		out = append(out, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read acquisitions: %w", err)
	}
	return out, nil
}
