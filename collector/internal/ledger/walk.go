package ledger

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/sqldb"
)

// Text is an entry as it was hashed: record = SHA-256(salt ‖ text).
type Text struct {
	Index  int64
	Text   string
	Salt   string // hexadecimal
	Record string // hexadecimal
}

// Texts returns the entries from lo up to, not including, hi in their order.
func Texts(ctx context.Context, q sqldb.Queryer, organisationID string, lo, hi int64) ([]Text, error) {
	rows, err := q.QueryContext(ctx, `SELECT idx, entry_json, salt, record_sha256 FROM ledger_entries
		WHERE organisation_id = $1 AND idx >= $2 AND idx < $3 ORDER BY idx`, organisationID, lo, hi)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	defer rows.Close()
	var out []Text
	for rows.Next() {
		var t Text
		if err := rows.Scan(&t.Index, &t.Text, &t.Salt, &t.Record); err != nil {
			return nil, fmt.Errorf("read ledger: %w", err)
		}
		out = append(out, t)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	return out, nil
}

// Hashes reads the stored hashes of a tree by tlog's numbering.
func Hashes(ctx context.Context, q sqldb.Queryer, organisationID string) tlog.HashReader {
	return reader(ctx, q, organisationID)
}
