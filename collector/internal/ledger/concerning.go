package ledger

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/sqldb"
)

// askAtOnce bounds the values of one question; databases take few thousand.
const askAtOnce = 500

// Concerning returns the entries before size that are about one of subjects or stand at
// one of indexes, in their order, each once. Only Index, Text, Salt and Leaf are filled in.
func Concerning(ctx context.Context, q sqldb.Queryer, organisationID string, size int64, subjects []string, indexes []int64) ([]Recorded, error) {
	found := map[int64]Recorded{}
	for some := range slices.Chunk(subjects, askAtOnce) {
		args := make([]any, 0, len(some))
		for _, s := range some {
			args = append(args, sqldb.CleanText(s))
		}
		if err := concerning(ctx, q, organisationID, size, "subject", args, found); err != nil {
			return nil, err
		}
	}
	for some := range slices.Chunk(indexes, askAtOnce) {
		args := make([]any, 0, len(some))
		for _, n := range some {
			args = append(args, n)
		}
		if err := concerning(ctx, q, organisationID, size, "idx", args, found); err != nil {
			return nil, err
		}
	}
	out := make([]Recorded, 0, len(found))
	for _, r := range found {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Recorded) int { return int(min(max(a.Index-b.Index, -1), 1)) })
	return out, nil
}

func concerning(ctx context.Context, q sqldb.Queryer, organisationID string, size int64, column string, values []any, found map[int64]Recorded) error {
	args := []any{organisationID, size}
	var in strings.Builder
	for i, v := range values {
		if i > 0 {
			in.WriteString(", ")
		}
		args = append(args, v)
		fmt.Fprintf(&in, "$%d", len(args))
	}
	rows, err := q.QueryContext(ctx, `SELECT idx, entry_json, salt, record_sha256 FROM ledger_entries
		WHERE organisation_id = $1 AND idx < $2 AND `+column+` IN (`+in.String()+`)`, args...)
	if err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r Recorded
		var record string
		if err := rows.Scan(&r.Index, &r.Text, &r.Salt, &record); err != nil {
			return fmt.Errorf("read ledger: %w", err)
		}
		b, err := hex.DecodeString(record)
		if err != nil {
			return fmt.Errorf("read ledger: %w: entry %d: %w", ErrBroken, r.Index, err)
		}
		r.Leaf = tlog.RecordHash(b)
		found[r.Index] = r
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	return nil
}
