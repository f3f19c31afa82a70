package evidence

import (
	"context"
	"fmt"
	"strings"

	"hozen/internal/artifact"
)

// Counted returns the newest acquisition of an endpoint that has an item of one of some
// kinds, or an error wrapping [ErrNotFound].
func (r Reader) Counted(ctx context.Context, organisationID, endpointID string, kinds ...artifact.Kind) (Acquisition, error) {
	args, places := []any{organisationID, endpointID}, make([]string, len(kinds))
	for i, k := range kinds {
		args = append(args, string(k))
		places[i] = fmt.Sprintf("$%d", len(args))
	}
	a, err := scanAcquisition(r.DB.Read().QueryRowContext(ctx, `SELECT `+acquisitionColumns+` FROM evidence_acquisitions
		WHERE organisation_id = $1 AND endpoint_id = $2
		AND EXISTS (SELECT 1 FROM evidence_items i WHERE i.acquisition_id = evidence_acquisitions.id AND i.kind IN (`+strings.Join(places, ", ")+`))
		ORDER BY received_at DESC, id DESC LIMIT 1`, args...))
	if err != nil {
		return Acquisition{}, fmt.Errorf("read the newest acquisition with counts: %w", notFound(err))
	}
	return a, nil
}
