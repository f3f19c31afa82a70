package evidence

import "context"

// AcceptedBefore returns all acquisitions of an incident whose acceptance stands before the
// entry size of the ledger, in the order of their acceptance.
func (r Reader) AcceptedBefore(ctx context.Context, organisationID, incidentID string, size int64) ([]Acquisition, error) {
	return r.acquisitions(ctx, `WHERE organisation_id = $1 AND incident_id = $2 AND ledger_idx < $3 ORDER BY ledger_idx`, organisationID, incidentID, size)
}

// TiedExcept returns the acquisitions of an organisation that belong to an incident, in the
// order of their acceptance, without those that are named.
func (r Reader) TiedExcept(ctx context.Context, organisationID string, not map[string]bool) ([]Acquisition, error) {
	all, err := r.acquisitions(ctx, `WHERE organisation_id = $1 AND incident_id <> '' ORDER BY ledger_idx`, organisationID)
	if err != nil {
		return nil, err
	}
	var out []Acquisition
	for _, a := range all {
		if !not[a.ID] {
			out = append(out, a)
		}
	}
	return out, nil
}
