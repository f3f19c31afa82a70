package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
)

// Fault says what is wrong with an issued report.
type Fault string

// The faults.
const (
	RowEdited   Fault = "report_edited"  // a row says other things than the ledger
	RowMissing  Fault = "report_missing" // the ledger knows of a row that is not there
	RowSurplus  Fault = "report_surplus" // the ledger knows nothing of a row
	BlobMissing Fault = "report_lost"    // the bytes are not there
	BlobCorrupt Fault = "report_corrupt" // the bytes are others than were issued
)

// Finding is one thing that is wrong.
type Finding struct {
	OrganisationID string
	Subject        string // number of the report, or its identifier
	Fault          Fault
	Detail         string // English, for experts
}

// Audit holds every row against its entry in the ledger, every entry against its row, and
// every issued version against its bytes. It returns the blobs that reports have. The error
// is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer, blobs blob.Store) (found []Finding, used []digest.Digest, err error) {
	list, err := reports(ctx, q, `1 = 1 ORDER BY organisation_id, incident_id, report_no`)
	if err != nil {
		return nil, nil, err
	}
	if err := fill(ctx, q, list, `1 = 1`); err != nil {
		return nil, nil, err
	}
	heads, err := ledger.Heads(ctx, q)
	if errors.Is(err, ledger.ErrBroken) {
		heads, err = nil, nil // the ledger's own verification names it
	}
	if err != nil {
		return nil, nil, fmt.Errorf("audit reports: %w", err)
	}
	for _, h := range heads {
		f, err := auditRows(ctx, q, h.OrganisationID, list)
		if err != nil {
			return nil, nil, fmt.Errorf("audit reports: %w", err)
		}
		found = append(found, f...)
	}
	for _, r := range list {
		for _, v := range r.Versions {
			d, err := digest.Parse(v.BundleSHA256)
			if err == nil {
				used = append(used, d)
				err = check(ctx, blobs, d, v)
			}
			switch {
			case err == nil:
			case errors.Is(err, blob.ErrNotFound):
				found = append(found, Finding{r.OrganisationID, r.Number, BlobMissing, fmt.Sprintf("version %d is not there", v.Version)})
			case ctx.Err() != nil:
				return nil, nil, ctx.Err()
			default:
				found = append(found, Finding{r.OrganisationID, r.Number, BlobCorrupt, fmt.Sprintf("version %d: %v", v.Version, err)})
			}
		}
	}
	return found, used, nil
}

// check reads a version again and holds each of its forms against its digest.
func check(ctx context.Context, blobs blob.Store, d digest.Digest, v Version) error {
	f, err := blobs.Open(ctx, d)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if digest.Of(b) != d {
		return fmt.Errorf("%w: it has another digest", ErrDamaged)
	}
	for _, file := range v.Files {
		if _, err := Unbundle(b, file); err != nil {
			return err
		}
	}
	return nil
}

type claim struct {
	act, subject string
	details      map[string]string
	kind, id, by string // who did it
	at           time.Time
}

func auditRows(ctx context.Context, q sqldb.Queryer, org string, list []Report) ([]Finding, error) {
	var found []Finding
	claims := map[int64]claim{}
	for _, r := range list {
		if r.OrganisationID != org {
			continue
		}
		if len(r.Versions) == 0 { // it is made with its first one
			found = append(found, Finding{org, r.ID, RowSurplus, "it has no version"})
		}
		for _, v := range r.Versions {
			put(claims, v.LedgerIdx, claim{ActIssue, r.ID, v.Details(r), v.ActorKind, v.ActorID, v.ActorName, v.At})
		}
		for _, s := range r.Sendings {
			put(claims, s.LedgerIdx, claim{ActSend, r.ID, s.Details(r), s.ActorKind, s.ActorID, s.ActorName, s.RecordedAt})
		}
	}
	left, err := ledger.Pair(ctx, q, org, []string{ActIssue, ActSend}, claims, func(e ledger.Recorded, c claim, claimed bool) {
		switch {
		case !claimed:
			found = append(found, Finding{org, e.Subject, RowMissing, fmt.Sprintf("entry %d of the ledger, %s, has no row", e.Index, e.Act)})
		case c.act != e.Act || c.subject != e.Subject || !maps.Equal(c.details, e.Details),
			c.kind != e.ActorKind || c.id != e.ActorID || sqldb.CleanText(c.by) != sqldb.CleanText(e.ActorName) || sqldb.FormatTime(c.at) != sqldb.FormatTime(e.Told):
			found = append(found, Finding{org, e.Subject, RowEdited, fmt.Sprintf("its row does not say what entry %d of the ledger says", e.Index)})
		}
	})
	if err != nil {
		return nil, err
	}
	for _, idx := range left {
		found = append(found, Finding{org, claims[idx].subject, RowSurplus, fmt.Sprintf("its row names entry %d of the ledger, which is none of its kind", idx)})
	}
	return found, nil
}

// put adds what a row says of an entry. Two rows that name one entry agree with none.
func put(claims map[int64]claim, idx int64, c claim) {
	if _, twice := claims[idx]; twice {
		c.act += " twice"
	}
	claims[idx] = c
}
