package evidence

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
)

// ErrDisposed means that the bytes of evidence were disposed of.
var ErrDisposed = errors.New("the bytes were disposed of")

// The acts of a disposal in the ledger. Of the first, [DisposalBlobs] names the acquisition and
// every artifact, as [DisposalList] writes them.
const (
	ActDispose  = "custody.dispose"  // ordered; the bytes go now
	ActDisposed = "custody.disposed" // the bytes are gone

	DisposalBlobs = "acquisition_blobs"
)

// Disposal is that the bytes of an acquisition were disposed of. Everything else of it stays:
// rows, manifest, signature, receipt and what the ledger says.
type Disposal struct {
	AcquisitionID  string
	OrganisationID string
	At             time.Time
	LedgerIdx      int64     // of [ActDispose]
	FinishedAt     time.Time // zero until the bytes are gone
	FinishedIdx    int64     // of [ActDisposed]
}

// DisposalList names what goes, for the ledger: a line with the acquisition, and one for each
// artifact with the SHA-256 of its stored bytes, their size, its number and its name.
func DisposalList(acquisitionID string, items []Item) string {
	var b strings.Builder
	b.WriteString(acquisitionID + "\n")
	for _, it := range items {
		fmt.Fprintf(&b, "%s %d %s %s\n", it.StoredSHA256, it.StoredSize, it.Number, it.Name)
	}
	return b.String()
}

// Dispose notes, in the transaction of the ledger's entry, that the bytes of an acquisition
// go. Only after its commit may they be removed.
func Dispose(ctx context.Context, tx *sqldb.Tx, d Disposal) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO evidence_disposal (acquisition_id, organisation_id, at, ledger_idx, finished_at, finished_idx)
		VALUES ($1, $2, $3, $4, '', 0)`, d.AcquisitionID, d.OrganisationID, sqldb.FormatTime(d.At), d.LedgerIdx); err != nil {
		return fmt.Errorf("note disposal: %w", err)
	}
	return nil
}

// UnfinishedDisposals returns the disposals that were begun and not finished, oldest first.
func UnfinishedDisposals(ctx context.Context, q sqldb.Queryer) ([]Disposal, error) {
	rows, err := q.QueryContext(ctx, `SELECT acquisition_id, organisation_id, at, ledger_idx FROM evidence_disposal WHERE finished_at = '' ORDER BY at, acquisition_id`)
	if err != nil {
		return nil, fmt.Errorf("read disposals: %w", err)
	}
	defer rows.Close()
	var out []Disposal
	for rows.Next() {
		var d Disposal
		if err := rows.Scan(&d.AcquisitionID, &d.OrganisationID, sqldb.ScanTime(&d.At), &d.LedgerIdx); err != nil {
			return nil, fmt.Errorf("read disposals: %w", err)
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read disposals: %w", err)
	}
	return out, nil
}

// Removable sorts the stored bytes of an acquisition whose disposal is or may be ordered:
// those that go, and those that stay because other evidence that is kept has the same. It
// holds while a transaction that asks lasts.
func Removable(ctx context.Context, q sqldb.Queryer, acquisitionID string) (gone, shared []digest.Digest, err error) {
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT i.stored_sha256,
		CASE WHEN EXISTS (SELECT 1 FROM evidence_items o WHERE o.stored_sha256 = i.stored_sha256 AND o.acquisition_id <> i.acquisition_id
			AND o.acquisition_id NOT IN (SELECT acquisition_id FROM evidence_disposal))
		OR EXISTS (SELECT 1 FROM evidence_acquisitions a WHERE a.manifest_sha256 = i.stored_sha256) THEN 1 ELSE 0 END
		FROM evidence_items i WHERE i.acquisition_id = $1 ORDER BY 1`, acquisitionID)
	if err != nil {
		return nil, nil, fmt.Errorf("look for what goes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var kept int
		if err := rows.Scan(&name, &kept); err != nil {
			return nil, nil, fmt.Errorf("look for what goes: %w", err)
		}
		d, err := digest.Parse(name)
		if err != nil {
			return nil, nil, fmt.Errorf("look for what goes: %w", err)
		}
		if kept == 1 {
			shared = append(shared, d)
		} else {
			gone = append(gone, d)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("look for what goes: %w", err)
	}
	return gone, shared, nil
}

// HasBytes reports whether evidence that is kept, or a manifest, has these bytes. Evidence of
// which the disposal is not finished is kept.
func HasBytes(ctx context.Context, q sqldb.Queryer, sha256 string) (bool, error) {
	var one int
	if err := q.QueryRowContext(ctx, `SELECT CASE WHEN EXISTS (SELECT 1 FROM evidence_items i WHERE i.stored_sha256 = $1
			AND i.acquisition_id NOT IN (SELECT acquisition_id FROM evidence_disposal WHERE finished_at <> ''))
		OR EXISTS (SELECT 1 FROM evidence_acquisitions a WHERE a.manifest_sha256 = $1) THEN 1 ELSE 0 END`, sha256).Scan(&one); err != nil {
		return false, fmt.Errorf("look for the same bytes: %w", err)
	}
	return one == 1, nil
}

// FinishDisposal notes that the bytes are gone.
func FinishDisposal(ctx context.Context, tx *sqldb.Tx, d Disposal) error {
	if _, err := tx.ExecContext(ctx, `UPDATE evidence_disposal SET finished_at = $1, finished_idx = $2 WHERE acquisition_id = $3 AND finished_at = ''`,
		sqldb.FormatTime(d.FinishedAt), d.FinishedIdx, d.AcquisitionID); err != nil {
		return fmt.Errorf("note end of disposal: %w", err)
	}
	return nil
}

// disposal reports whether an acquisition was disposed of, and holds the row against the
// ledger: without an entry that names every artifact, absent bytes are missing bytes.
func (a *Auditor) disposal(ctx context.Context, acq Acquisition, items []Item) (bool, error) {
	if acq.DisposedAt.IsZero() {
		return false, nil
	}
	var idx int64
	if err := a.Query.QueryRowContext(ctx, `SELECT ledger_idx FROM evidence_disposal WHERE acquisition_id = $1`, acq.ID).Scan(&idx); err != nil {
		return false, err
	}
	wrong := func(format string, args ...any) (bool, error) {
		a.find(acq, acq.ID, DisposalWrong, format, args...)
		return false, nil
	}
	found, err := ledger.Entries(ctx, a.Query, ledger.Filter{OrganisationID: acq.OrganisationID, Before: idx + 1, Limit: 1})
	if errors.Is(err, ledger.ErrBroken) {
		return wrong("the ledger cannot be read at entry %d", idx)
	}
	if err != nil {
		return false, err
	}
	if len(found) != 1 || found[0].Index != idx || found[0].Act != ActDispose {
		return wrong("entry %d of the ledger is not its disposal", idx)
	}
	if found[0].Details[DisposalBlobs] != DisposalList(acq.ID, items) {
		return wrong("entry %d of the ledger names other bytes than its rows", idx)
	}
	a.stats.Disposed++
	return true, nil
}

// DisposalFacts are what the ledger says when the bytes are gone.
func DisposalFacts(number string, d Disposal, gone, shared []digest.Digest) map[string]string {
	f := map[string]string{"number": number, "acquisition_id": d.AcquisitionID, "entry": strconv.FormatInt(d.LedgerIdx, 10), "removed": strconv.Itoa(len(gone))}
	var kept []string
	for _, s := range shared {
		kept = append(kept, s.String())
	}
	if len(kept) > 0 {
		f["kept"] = strings.Join(kept, " ") // other evidence has the same bytes
	}
	return f
}
