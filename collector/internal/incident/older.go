package incident

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// OlderAlerts returns the alerts of an organisation that evidence named before they came, and
// of which an earlier version recorded nothing.
func OlderAlerts(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Alert, error) {
	said := ledger.States{}
	if err := ledger.Walk(ctx, q, organisationID, []string{ActExpect, ActAlert}, func(e ledger.Recorded) { replayAlerts(said, e) }); err != nil {
		return nil, fmt.Errorf("list older alerts: %w", err)
	}
	rows, err := ledger.ReadStates(ctx, q, `SELECT organisation_id, alert_id, endpoint_id, incident_id FROM incident_alert WHERE received_at = ''`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list older alerts: %w", err)
	}
	var list []Alert
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if said[id] == nil {
			list = append(list, Alert{ID: id, OrganisationID: organisationID, EndpointID: rows[id]["endpoint_id"], IncidentID: rows[id]["incident_id"]})
		}
	}
	return list, nil
}
