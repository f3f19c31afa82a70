package checkpoint

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
	"hozen/internal/custody/checkpoint"
)

// lineRow is a line as the database keeps it.
type lineRow struct {
	organisationID string
	no             int64
	origin         string
	verifierKey    string
	startedAt      time.Time
	size           int64  // of the ledger when the line began
	kind           Kind   // why; empty for the first
	knownNote      string // the last signed state before, from which the ledger does not go on
	reason         string // of whoever decided
	ledgerIdx      int64
}

const lineColumns = `organisation_id, line, origin, verifier_key, started_at, size, kind, known_note, reason, ledger_idx`

func scanLine(row interface{ Scan(...any) error }) (*lineRow, error) {
	var r lineRow
	var kind string
	err := row.Scan(&r.organisationID, &r.no, &r.origin, &r.verifierKey, sqldb.ScanTime(&r.startedAt), &r.size, &kind, &r.knownNote, &r.reason, &r.ledgerIdx)
	r.kind = Kind(kind)
	return &r, err
}

func newestLine(ctx context.Context, q sqldb.Queryer, organisationID string) (*lineRow, error) {
	r, err := scanLine(q.QueryRowContext(ctx, `SELECT `+lineColumns+` FROM checkpoint_lines WHERE organisation_id = $1 ORDER BY line DESC LIMIT 1`, organisationID))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read line of checkpoints: %w", err)
	}
	return r, nil
}

func allLines(ctx context.Context, q sqldb.Queryer, organisationID string) ([]lineRow, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+lineColumns+` FROM checkpoint_lines WHERE organisation_id = $1 ORDER BY line`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("read lines of checkpoints: %w", err)
	}
	defer rows.Close()
	var out []lineRow
	for rows.Next() {
		r, err := scanLine(rows)
		if err != nil {
			return nil, fmt.Errorf("read lines of checkpoints: %w", err)
		}
		out = append(out, *r)
	}
	return out, rows.Err()
}

func anyLine(ctx context.Context, q sqldb.Queryer) (bool, error) {
	var n int64
	if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM checkpoint_lines`).Scan(&n); err != nil {
		return false, fmt.Errorf("read lines of checkpoints: %w", err)
	}
	return n > 0, nil
}

func linedOrganisations(ctx context.Context, q sqldb.Queryer) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT organisation_id FROM checkpoint_lines`)
	if err != nil {
		return nil, fmt.Errorf("read lines of checkpoints: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var org string
		if err := rows.Scan(&org); err != nil {
			return nil, fmt.Errorf("read lines of checkpoints: %w", err)
		}
		out = append(out, org)
	}
	return out, rows.Err()
}

func insertLine(ctx context.Context, tx *sqldb.Tx, r lineRow) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO checkpoint_lines (`+lineColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		r.organisationID, r.no, r.origin, r.verifierKey, sqldb.FormatTime(r.startedAt), r.size, string(r.kind), r.knownNote, sqldb.CleanText(r.reason), r.ledgerIdx); err != nil {
		return fmt.Errorf("store line of checkpoints: %w", err)
	}
	return nil
}

// newestNote returns the newest signed state of a line; zero when there is none.
func newestNote(ctx context.Context, q sqldb.Queryer, organisationID string, no int64) (c checkpoint.Checkpoint, at time.Time, err error) {
	var text string
	err = q.QueryRowContext(ctx, `SELECT note, signed_at FROM checkpoint_notes WHERE organisation_id = $1 AND line = $2 ORDER BY size DESC LIMIT 1`,
		organisationID, no).Scan(&text, sqldb.ScanTime(&at))
	if errors.Is(err, sql.ErrNoRows) {
		return c, at, nil
	}
	if err == nil {
		c, err = checkpoint.Parse(text)
	}
	if err != nil {
		return c, at, fmt.Errorf("read newest checkpoint: %w", err)
	}
	return c, at, nil
}

// noteRow is a signed state as the database keeps it.
type noteRow struct {
	size     int64
	note     string
	signedAt time.Time
}

// noteAtOrBelow returns the newest signed state of a line with at most size entries.
func noteAtOrBelow(ctx context.Context, q sqldb.Queryer, organisationID string, no, size int64) (*noteRow, error) {
	return oneNote(ctx, q, `SELECT size, note, signed_at FROM checkpoint_notes WHERE organisation_id = $1 AND line = $2 AND size <= $3 ORDER BY size DESC LIMIT 1`, organisationID, no, size)
}

// noteAbove returns the oldest signed state of a line with more than size entries.
func noteAbove(ctx context.Context, q sqldb.Queryer, organisationID string, no, size int64) (*noteRow, error) {
	return oneNote(ctx, q, `SELECT size, note, signed_at FROM checkpoint_notes WHERE organisation_id = $1 AND line = $2 AND size > $3 ORDER BY size LIMIT 1`, organisationID, no, size)
}

func oneNote(ctx context.Context, q sqldb.Queryer, query string, args ...any) (*noteRow, error) {
	var r noteRow
	err := q.QueryRowContext(ctx, query, args...).Scan(&r.size, &r.note, sqldb.ScanTime(&r.signedAt))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	return &r, nil
}

func insertNote(ctx context.Context, tx *sqldb.Tx, organisationID string, no int64, c checkpoint.Checkpoint, at time.Time) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO checkpoint_notes (organisation_id, line, size, note, signed_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`, organisationID, no, c.Size, c.Note, sqldb.FormatTime(at)); err != nil {
		return fmt.Errorf("store checkpoint: %w", err)
	}
	return nil
}
