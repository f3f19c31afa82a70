package cosign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
	"hozen/internal/custody/checkpoint"
)

// Signature is what one witness signed of one checkpoint.
type Signature struct {
	OrganisationID string
	Origin         string // of the log: which line of the ledger
	Size           int64  // entries that it covers
	Note           string // the checkpoint as the collector signed it
	Witness        string // the witness's name
	WitnessKey     string // its verifier key
	Line           string // the signature as it goes below the note, with its line feed
	At             time.Time
	ReceivedAt     time.Time // by the collector's clock
}

const columns = `organisation_id, origin, size, note, witness, witness_key, signature, cosigned_at, received_at`

// insert stores a signature unless the witness has signed that state before.
func insert(ctx context.Context, tx *sqldb.Tx, s Signature) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO cosign_signatures (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
		s.OrganisationID, s.Origin, s.Size, s.Note, s.Witness, s.WitnessKey, s.Line, sqldb.FormatTime(s.At), sqldb.FormatTime(s.ReceivedAt)); err != nil {
		return fmt.Errorf("store cosignature: %w", err)
	}
	return nil
}

func scan(row interface{ Scan(...any) error }) (Signature, error) {
	var s Signature
	err := row.Scan(&s.OrganisationID, &s.Origin, &s.Size, &s.Note, &s.Witness, &s.WitnessKey, &s.Line, sqldb.ScanTime(&s.At), sqldb.ScanTime(&s.ReceivedAt))
	return s, err
}

func list(ctx context.Context, q sqldb.Queryer, query string, args ...any) ([]Signature, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read cosignatures: %w", err)
	}
	defer rows.Close()
	var out []Signature
	for rows.Next() {
		s, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read cosignatures: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Of returns what witnesses signed of a checkpoint, by the names of the witnesses.
func Of(ctx context.Context, q sqldb.Queryer, organisationID, note string) ([]Signature, error) {
	c, err := checkpoint.Parse(note)
	if err != nil {
		return nil, fmt.Errorf("read cosignatures: %w", err)
	}
	all, err := list(ctx, q, `SELECT `+columns+` FROM cosign_signatures WHERE organisation_id = $1 AND origin = $2 AND size = $3 ORDER BY witness, witness_key`,
		organisationID, c.Origin, c.Size)
	out := all[:0]
	for _, s := range all {
		if s.Note == note {
			out = append(out, s)
		}
	}
	return out, err
}

// Newest returns the newest state that a witness signed of a log; false when there is none.
func Newest(ctx context.Context, q sqldb.Queryer, organisationID, origin, witnessKey string) (Signature, bool, error) {
	s, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM cosign_signatures WHERE organisation_id = $1 AND origin = $2 AND witness_key = $3
		ORDER BY size DESC LIMIT 1`, organisationID, origin, witnessKey))
	if errors.Is(err, sql.ErrNoRows) {
		return Signature{}, false, nil
	}
	if err != nil {
		return Signature{}, false, fmt.Errorf("read cosignature: %w", err)
	}
	return s, true, nil
}

// page returns signatures in the order of key, origin and size, behind one.
func page(ctx context.Context, q sqldb.Queryer, organisationID string, after Signature, limit int) ([]Signature, error) {
	return list(ctx, q, `SELECT `+columns+` FROM cosign_signatures WHERE organisation_id = $1 AND
		(witness_key > $2 OR witness_key = $2 AND (origin > $3 OR origin = $3 AND size > $4)) ORDER BY witness_key, origin, size LIMIT $5`,
		organisationID, after.WitnessKey, after.Origin, after.Size, limit)
}

// Join puts signatures of witnesses below a signed checkpoint.
func Join(note string, signatures []Signature) string {
	for _, s := range signatures {
		note += s.Line
	}
	return note
}
