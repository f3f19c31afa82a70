package evidence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// ErrNotFound means that there is no such acquisition or item in the organisation.
var ErrNotFound = errors.New("no such evidence")

// Reader reads what was accepted. Every question names the organisation that asks.
type Reader struct {
	DB    *sqldb.DB
	Blobs blob.Store
}

// AcquisitionFilter selects acquisitions; empty fields do not select.
type AcquisitionFilter struct {
	OrganisationID string // needed
	IncidentID     string
	EndpointID     string
	CommandID      string
	AlertID        string
	Limit          int // Optional; default and maximum 1000
}

const maxRows = 1000

const acquisitionColumns = `id, organisation_id, endpoint_id, incident_id, command_id, alert_id, trigger_kind, profile, outcome,
	started_at, finished_at, received_at, manifest_sha256, items, records, stored_bytes, ledger_idx,
	COALESCE((SELECT d.at FROM evidence_disposal d WHERE d.acquisition_id = evidence_acquisitions.id), '')`

func scanAcquisition(row interface{ Scan(...any) error }) (Acquisition, error) {
	var a Acquisition
	err := row.Scan(&a.ID, &a.OrganisationID, &a.EndpointID, &a.IncidentID, &a.CommandID, &a.AlertID, &a.Trigger, &a.Profile, &a.Outcome,
		sqldb.ScanTime(&a.StartedAt), sqldb.ScanTime(&a.FinishedAt), sqldb.ScanTime(&a.ReceivedAt), &a.ManifestSHA256, &a.Items, &a.Records, &a.StoredBytes, &a.LedgerIdx,
		sqldb.ScanTime(&a.DisposedAt))
	return a, err
}

// where builds a condition out of column = value pairs with values that are set.
func where(organisationID string, pairs ...string) (string, []any) {
	var b strings.Builder
	b.WriteString("organisation_id = $1")
	args := []any{organisationID}
	for n := 0; n < len(pairs); n += 2 {
		if pairs[n+1] != "" {
			args = append(args, pairs[n+1])
			fmt.Fprintf(&b, " AND %s = $%d", pairs[n], len(args))
		}
	}
	return b.String(), args
}

// Acquisitions returns accepted acquisitions, newest first.
func (r Reader) Acquisitions(ctx context.Context, f AcquisitionFilter) ([]Acquisition, error) {
	if f.Limit <= 0 || f.Limit > maxRows {
		f.Limit = maxRows
	}
	cond, args := where(f.OrganisationID, "incident_id", f.IncidentID, "endpoint_id", f.EndpointID, "command_id", f.CommandID, "alert_id", f.AlertID)
	args = append(args, f.Limit)
	return r.acquisitions(ctx, `WHERE `+cond+fmt.Sprintf(` ORDER BY received_at DESC, id DESC LIMIT $%d`, len(args)), args...)
}

func (r Reader) acquisitions(ctx context.Context, which string, args ...any) ([]Acquisition, error) {
	rows, err := r.DB.Read().QueryContext(ctx, `SELECT `+acquisitionColumns+` FROM evidence_acquisitions `+which, args...)
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

// Acquisition returns one acquisition, or an error wrapping [ErrNotFound].
func (r Reader) Acquisition(ctx context.Context, organisationID, acquisitionID string) (Acquisition, error) {
	a, err := scanAcquisition(r.DB.Read().QueryRowContext(ctx, `SELECT `+acquisitionColumns+` FROM evidence_acquisitions
		WHERE organisation_id = $1 AND id = $2`, organisationID, acquisitionID))
	if err != nil {
		return Acquisition{}, fmt.Errorf("read acquisition %.60q: %w", acquisitionID, notFound(err))
	}
	return a, nil
}

// ItemFilter selects items; empty fields do not select.
type ItemFilter struct {
	OrganisationID string // needed
	IncidentID     string
	AcquisitionID  string
	EndpointID     string
}

const itemColumns = `id, number, organisation_id, acquisition_id, endpoint_id, incident_id, name, kind, schema_name, outcome, records,
	plain_sha256, plain_size, stored_sha256, stored_size, received_at, ledger_idx,
	COALESCE((SELECT d.at FROM evidence_disposal d WHERE d.acquisition_id = evidence_items.acquisition_id), '')`

func scanItem(row interface{ Scan(...any) error }) (Item, error) {
	var it Item
	err := row.Scan(&it.ID, &it.Number, &it.OrganisationID, &it.AcquisitionID, &it.EndpointID, &it.IncidentID, &it.Name, &it.Kind, &it.Schema, &it.Outcome, &it.Records,
		&it.PlainSHA256, &it.PlainSize, &it.StoredSHA256, &it.StoredSize, sqldb.ScanTime(&it.ReceivedAt), &it.LedgerIdx, sqldb.ScanTime(&it.DisposedAt))
	return it, err
}

// Items returns items in the order in which they were numbered.
func (r Reader) Items(ctx context.Context, f ItemFilter) ([]Item, error) {
	cond, args := where(f.OrganisationID, "incident_id", f.IncidentID, "acquisition_id", f.AcquisitionID, "endpoint_id", f.EndpointID)
	return queryItems(ctx, r.DB.Read(), cond, args)
}

func queryItems(ctx context.Context, q sqldb.Queryer, cond string, args []any) ([]Item, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+itemColumns+` FROM evidence_items WHERE `+cond+` ORDER BY received_at, acquisition_id, position`, args...)
	if err != nil {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	defer rows.Close()
	var out []Item
	for rows.Next() {
		it, err := scanItem(rows)
		if err != nil {
			return nil, fmt.Errorf("read evidence: %w", err)
		}
		out = append(out, it)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	return out, nil
}

// Item returns one item by its identifier or its number, or an error wrapping
// [ErrNotFound].
func (r Reader) Item(ctx context.Context, organisationID, idOrNumber string) (Item, error) {
	column := "number"
	if id.Check(id.Evidence, idOrNumber) == nil {
		column = "id"
	} else if idOrNumber == "" {
		return Item{}, fmt.Errorf("read evidence: %w", ErrNotFound)
	}
	it, err := scanItem(r.DB.Read().QueryRowContext(ctx, `SELECT `+itemColumns+` FROM evidence_items
		WHERE organisation_id = $1 AND `+column+` = $2`, organisationID, sqldb.CleanText(idOrNumber)))
	if err != nil {
		return Item{}, fmt.Errorf("read evidence %.60q: %w", idOrNumber, notFound(err))
	}
	return it, nil
}

// Open opens the stored bytes of an item, or fails with an error wrapping [ErrDisposed].
func (r Reader) Open(ctx context.Context, it Item) (io.ReadSeekCloser, error) {
	if !it.DisposedAt.IsZero() {
		return nil, fmt.Errorf("open evidence %s: %w", it.ID, ErrDisposed)
	}
	d, err := digest.Parse(it.StoredSHA256)
	if err != nil {
		return nil, fmt.Errorf("open evidence %s: %w", it.ID, err)
	}
	f, err := r.Blobs.Open(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("open evidence %s: %w", it.ID, err)
	}
	return f, nil
}

// Sealed is what an endpoint signed, and what it got for it.
type Sealed struct {
	Manifest    []byte // exact bytes
	Signature   []byte // ASN.1 DER
	Certificate []byte // DER
	Receipt     Receipt
}

// Sealed returns the manifest of an acquisition as it was signed. The bytes are
// checked against the digest that was recorded.
func (r Reader) Sealed(ctx context.Context, organisationID, acquisitionID string) (Sealed, error) {
	return readSealed(ctx, r.DB.Read(), r.Blobs, organisationID, acquisitionID)
}

func readSealed(ctx context.Context, q sqldb.Queryer, blobs blob.Store, organisationID, acquisitionID string) (Sealed, error) {
	var s Sealed
	var sum string
	var size int64
	if err := q.QueryRowContext(ctx, `SELECT manifest_sha256, manifest_size, manifest_signature, signer_certificate,
		receipt_payload, receipt_signature, receipt_certificate FROM evidence_acquisitions WHERE organisation_id = $1 AND id = $2`, organisationID, acquisitionID).
		Scan(&sum, &size, (*base64Bytes)(&s.Signature), (*base64Bytes)(&s.Certificate), (*textBytes)(&s.Receipt.Payload),
			(*base64Bytes)(&s.Receipt.Signature), (*base64Bytes)(&s.Receipt.Certificate)); err != nil {
		return Sealed{}, fmt.Errorf("read manifest of %.60q: %w", acquisitionID, notFound(err))
	}
	d, err := digest.Parse(sum)
	if err != nil {
		return Sealed{}, fmt.Errorf("read manifest of %s: %w", acquisitionID, err)
	}
	f, err := blobs.Open(ctx, d)
	if err != nil {
		return s, fmt.Errorf("read manifest of %s: %w", acquisitionID, err)
	}
	s.Manifest, err = io.ReadAll(io.LimitReader(f, MaxManifest+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && (digest.Of(s.Manifest) != d || int64(len(s.Manifest)) != size) {
		err = blob.ErrCorrupt
	}
	if err != nil {
		return s, fmt.Errorf("read manifest of %s: %w", acquisitionID, err)
	}
	return s, nil
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
