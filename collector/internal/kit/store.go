package kit

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
	"hozen/internal/usbkit"
)

// ErrNotFound means that there is no such kit or import.
var ErrNotFound = errors.New("no such kit")

// InsertKit remembers a kit that was made.
func InsertKit(ctx context.Context, tx *sqldb.Tx, k usbkit.Kit, documentSHA256 string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO kit_kit (id, organisation_id, incident_id, profile, document_sha256, made_at, made_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, k.KitID, k.Organisation.ID, k.IncidentID, k.Profile, documentSHA256, sqldb.FormatTime(k.MadeAt), sqldb.CleanText(k.MadeBy))
	if err != nil {
		return fmt.Errorf("remember kit: %w", err)
	}
	return nil
}

// MadeFor reports whether a kit with that document was made for the organisation, and for which
// incident.
func MadeFor(ctx context.Context, q sqldb.Queryer, organisationID, kitID, documentSHA256 string) (incidentID string, err error) {
	err = q.QueryRowContext(ctx, `SELECT incident_id FROM kit_kit WHERE organisation_id = $1 AND id = $2 AND document_sha256 = $3`,
		organisationID, sqldb.CleanText(kitID), sqldb.CleanText(documentSHA256)).Scan(&incidentID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("look for kit: %w", err)
	}
	return incidentID, nil
}

// Import is an acquisition that came on a stick.
type Import struct {
	AcquisitionID  string
	OrganisationID string
	KitID          string // empty: of no kit that is known
	EndpointID     string
	IncidentID     string // may be empty
	KeySHA256      string // of the one-time key
	PublicKey      []byte // DER SubjectPublicKeyInfo
	ReceiptCode    string
	CodeCompared   bool // somebody gave the code that was written on paper, and it fitted
	Foreign        bool // accepted although the kit was not shown to be ours
	ImportedAt     time.Time
	ImportedBy     string
	// What the person said who acquired; empty where there is no statement.
	Place, Reason, AcquiredBy, Witness string
}

const importColumns = `acquisition_id, organisation_id, kit_id, endpoint_id, incident_id, key_sha256, public_key, receipt_code, code_compared,
	foreign_kit, imported_at, imported_by, place, reason, acquired_by, witness`

// InsertImport remembers an import, before its evidence is taken in.
func InsertImport(ctx context.Context, tx *sqldb.Tx, i Import) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO kit_import (`+importColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		i.AcquisitionID, i.OrganisationID, sqldb.CleanText(i.KitID), i.EndpointID, i.IncidentID, i.KeySHA256, base64.StdEncoding.EncodeToString(i.PublicKey),
		i.ReceiptCode, sqldb.FormatBool(i.CodeCompared), sqldb.FormatBool(i.Foreign), sqldb.FormatTime(i.ImportedAt), sqldb.CleanText(i.ImportedBy),
		sqldb.CleanText(i.Place), sqldb.CleanText(i.Reason), sqldb.CleanText(i.AcquiredBy), sqldb.CleanText(i.Witness))
	if err != nil {
		return fmt.Errorf("remember import: %w", err)
	}
	return nil
}

// CodeFitted notes that the code on paper was compared later and fitted.
func CodeFitted(ctx context.Context, tx *sqldb.Tx, acquisitionID string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE kit_import SET code_compared = $1 WHERE acquisition_id = $2`, sqldb.FormatBool(true), acquisitionID); err != nil {
		return fmt.Errorf("remember receipt code: %w", err)
	}
	return nil
}

// ImportOf finds the import of an acquisition, or returns [ErrNotFound].
func ImportOf(ctx context.Context, q sqldb.Queryer, acquisitionID string) (Import, error) {
	return scanImport(q.QueryRowContext(ctx, `SELECT `+importColumns+` FROM kit_import WHERE acquisition_id = $1`, acquisitionID))
}

// ImportByKey finds the import that a one-time key signed, or returns [ErrNotFound].
func ImportByKey(ctx context.Context, q sqldb.Queryer, keySHA256 string) (Import, error) {
	return scanImport(q.QueryRowContext(ctx, `SELECT `+importColumns+` FROM kit_import WHERE key_sha256 = $1 ORDER BY imported_at LIMIT 1`, keySHA256))
}

func scanImport(row interface{ Scan(...any) error }) (Import, error) {
	var i Import
	var key string
	err := row.Scan(&i.AcquisitionID, &i.OrganisationID, &i.KitID, &i.EndpointID, &i.IncidentID, &i.KeySHA256, &key, &i.ReceiptCode,
		sqldb.ScanBool(&i.CodeCompared), sqldb.ScanBool(&i.Foreign), sqldb.ScanTime(&i.ImportedAt), &i.ImportedBy,
		&i.Place, &i.Reason, &i.AcquiredBy, &i.Witness)
	if errors.Is(err, sql.ErrNoRows) {
		return i, ErrNotFound
	}
	if err == nil {
		i.PublicKey, err = base64.StdEncoding.DecodeString(key)
	}
	if err != nil {
		return i, fmt.Errorf("read import: %w", err)
	}
	return i, nil
}
