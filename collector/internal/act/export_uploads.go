package act

import (
	"context"
	"fmt"

	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/export"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
)

// sentUploads are the files that people sent to an incident, as a package that is ordered now
// names them: with their bytes, or with the entry by which these were disposed of.
func sentUploads(ctx context.Context, q sqldb.Queryer, inc incident.Incident) ([]export.Upload, error) {
	all, err := record.Uploads(ctx, q, inc.ID)
	if err != nil {
		return nil, err
	}
	events, err := exhibit.Events(ctx, q, inc.ID)
	if err != nil {
		return nil, err
	}
	gone := map[string]int64{}
	for _, e := range events {
		if e.Type == exhibit.Dispose {
			gone[e.ItemID] = e.LedgerIdx
		}
	}
	var list []export.Upload
	for _, u := range all {
		if u.ReceivedAt.IsZero() {
			continue
		}
		x := export.Upload{ID: u.ID, Exhibit: u.Exhibit, ExhibitID: u.ExhibitID, Name: u.Name, Source: string(u.Source), Size: u.Size, SHA256: u.SHA256}
		if by, ok := gone[u.ExhibitID]; ok {
			x.DisposedBy = &by
		} else {
			x.File = export.UploadName(u.Exhibit, u.Name)
		}
		list = append(list, x)
	}
	return list, nil
}

// addUploads adds the files that people sent, as they were when the package was ordered. about
// gets what their entries of the ledger are about.
func addUploads(ctx context.Context, q sqldb.Queryer, p *export.Package, about subjects) error {
	for _, x := range p.Frozen.Uploads {
		about.add(x.ID)
		if x.File == "" {
			continue
		}
		u, err := record.FindUpload(ctx, q, p.OrganisationID, x.ID)
		if err != nil {
			return err
		}
		if !u.DisposedAt.IsZero() {
			return fmt.Errorf("%w: %s was disposed of after this package was ordered; order another one", ErrConflict, x.Exhibit)
		}
	}
	return nil
}

// exportedUploads records of every file that people sent and that is in a package that it was
// taken.
func (d *deed) exportedUploads(ctx context.Context, r export.Record) error {
	for _, x := range r.Frozen.Uploads {
		if x.File == "" {
			continue
		}
		i, err := exhibit.Find(ctx, d.tx, r.OrganisationID, x.ExhibitID)
		if err != nil {
			return err
		}
		if _, err := d.happened(ctx, i, exhibit.Event{Type: exhibit.Export, To: exhibit.Party{Person: r.Recipient}, Purpose: r.Purpose,
			HashBefore: x.SHA256, Text: r.Number}, nil); err != nil {
			return err
		}
	}
	return nil
}
