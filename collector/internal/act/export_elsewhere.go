package act

import (
	"context"

	"hozen/collector/internal/export"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
)

// elsewhere is what belongs to the case and is not in the package: the evidence of incidents
// that were merged or split, and the bytes of files that people sent where the order leaves
// them out.
func (s *Acts) elsewhere(ctx context.Context, q sqldb.Queryer, inc incident.Incident, size int64) (export.Elsewhere, error) {
	var e export.Elsewhere
	var err error
	if e.Files, err = sentFiles(ctx, q, inc.ID, size); err != nil {
		return e, err
	}
	add := func(how export.Relation, list ...incident.Incident) error {
		for _, i := range list {
			files, err := sentFiles(ctx, q, i.ID, size)
			if err != nil {
				return err
			}
			all, err := s.evidence.AcceptedBefore(ctx, i.OrganisationID, i.ID, size)
			if err != nil {
				return err
			}
			e.Incidents = append(e.Incidents, export.Related{Relation: how, ID: i.ID, Number: i.Number, Acquisitions: len(all), Files: len(files)})
		}
		return nil
	}
	merged, err := incident.AllMergedFrom(ctx, q, inc.ID)
	if err == nil {
		err = add(export.MergedFrom, merged...)
	}
	if err != nil {
		return e, err
	}
	course, err := incident.Course(ctx, q, inc)
	if err == nil {
		err = add(export.MergedInto, course[1:]...)
	}
	if err != nil {
		return e, err
	}
	if inc.SplitFrom != "" {
		from, err := incident.FindBare(ctx, q, inc.OrganisationID, inc.SplitFrom)
		if err == nil {
			err = add(export.SplitFrom, from)
		}
		if err != nil {
			return e, err
		}
	}
	split, err := incident.SplitInto(ctx, q, inc.ID)
	if err == nil {
		err = add(export.SplitInto, split...)
	}
	return e, err
}

// sentFiles are the files that people sent to an incident and that are kept, as the ledger's
// entries before size know them.
func sentFiles(ctx context.Context, q sqldb.Queryer, incidentID string, size int64) ([]export.File, error) {
	all, err := record.Uploads(ctx, q, incidentID)
	var list []export.File
	for _, u := range all {
		if !u.ReceivedAt.IsZero() && u.LedgerIdx < size && u.DisposedAt.IsZero() {
			list = append(list, export.File{Exhibit: u.Exhibit, Name: u.Name, Size: u.Size, SHA256: u.SHA256})
		}
	}
	return list, err
}
