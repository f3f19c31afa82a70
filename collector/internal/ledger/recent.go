package ledger

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/sqldb"
)

// recent is what one transaction knows of a tree, so that an act with a thousand entries
// does not read the same again for each.
type recent struct {
	organisationID string
	head           Head
	hashes         map[int64]tlog.Hash
}

// recentKey is under what the transaction keeps it.
type recentKey struct{ organisationID string }

// recall returns what is known, reading the head at first.
func recall(ctx context.Context, tx *sqldb.Tx, organisationID string) (*recent, error) {
	if r, ok := tx.Noted(recentKey{organisationID}).(*recent); ok {
		return r, nil
	}
	head, err := readHead(ctx, tx, organisationID, tx.ForUpdate())
	if err != nil {
		return nil, err
	}
	r := &recent{organisationID: organisationID, head: head, hashes: map[int64]tlog.Hash{}}
	tx.Note(recentKey{organisationID}, r)
	return r, nil
}

// reader reads stored hashes by tlog's numbering.
func (r *recent) reader(ctx context.Context, tx *sqldb.Tx) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var missing []int64
		for _, x := range indexes {
			if _, ok := r.hashes[x]; !ok {
				missing = append(missing, x)
			}
		}
		read, err := reader(ctx, tx, r.organisationID).ReadHashes(missing)
		if err != nil {
			return nil, err
		}
		for i, x := range missing {
			r.hashes[x] = read[i]
		}
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = r.hashes[x]
		}
		return out, nil
	})
}

// store stores the hashes that a new entry brings, from first on.
func (r *recent) store(ctx context.Context, tx *sqldb.Tx, first int64, hashes []tlog.Hash) error {
	args := []any{r.organisationID}
	var rows strings.Builder
	for i, h := range hashes {
		if i > 0 {
			rows.WriteString(", ")
		}
		args = append(args, first+int64(i), hex.EncodeToString(h[:]))
		fmt.Fprintf(&rows, "($1, $%d, $%d)", len(args)-1, len(args))
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO ledger_hashes (organisation_id, idx, hash) VALUES `+rows.String(), args...); err != nil {
		return err
	}
	for i, h := range hashes {
		r.hashes[first+int64(i)] = h
	}
	return nil
}
