package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/sqldb"
)

// Recorded is an entry as it stands in the ledger.
type Recorded struct {
	Entry
	Index     int64
	ClockBack time.Duration // how far the clock was behind the entry before; mostly 0
	Text      string        // exact text that was hashed
	Salt      string        // hexadecimal
	Leaf      tlog.Hash
	// Told is the time that the act told: a little before At where the clock was behind the
	// entry before by no more than [ClockSlack], else At.
	Told time.Time
}

// Filter selects entries.
type Filter struct {
	OrganisationID string
	Subject        string // Optional: only entries about this thing
	Act            string // Optional: only entries of this act
	Before         int64  // Optional: only entries with a smaller index; 0 means from the newest on
	Limit          int    // Optional; default and maximum 1000
}

// Entries returns entries, newest first.
func Entries(ctx context.Context, q sqldb.Queryer, f Filter) ([]Recorded, error) {
	if f.Limit <= 0 || f.Limit > 1000 {
		f.Limit = 1000
	}
	if f.Before <= 0 {
		f.Before = 1<<63 - 1
	}
	where, args := "", []any{f.OrganisationID, f.Before, f.Limit}
	if f.Subject != "" {
		args = append(args, sqldb.CleanText(f.Subject))
		where += fmt.Sprintf(" AND subject = $%d", len(args))
	}
	if f.Act != "" {
		args = append(args, f.Act)
		where += fmt.Sprintf(" AND act = $%d", len(args))
	}
	rows, err := q.QueryContext(ctx, `SELECT idx, entry_json, salt, record_sha256 FROM ledger_entries
		WHERE organisation_id = $1 AND idx < $2`+where+` ORDER BY idx DESC LIMIT $3`, args...)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	defer rows.Close()
	var out []Recorded
	for rows.Next() {
		r, err := scanRecorded(rows)
		if err != nil {
			return nil, fmt.Errorf("read ledger: %w", err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	return out, nil
}

func scanRecorded(rows interface{ Scan(...any) error }) (Recorded, error) {
	var r Recorded
	var record string
	if err := rows.Scan(&r.Index, &r.Text, &r.Salt, &record); err != nil {
		return r, err
	}
	d, err := decode(r.Text)
	if err != nil {
		return r, fmt.Errorf("%w: entry %d: %w", ErrBroken, r.Index, err)
	}
	at, err := sqldb.ParseTime(d.At)
	if err != nil {
		return r, fmt.Errorf("%w: entry %d: %w", ErrBroken, r.Index, err)
	}
	rec, err := hex.DecodeString(record)
	if err != nil {
		return r, fmt.Errorf("%w: entry %d: %w", ErrBroken, r.Index, err)
	}
	r.Leaf, r.ClockBack = tlog.RecordHash(rec), time.Duration(d.ClockBackNS)
	r.Entry = Entry{OrganisationID: d.OrganisationID, At: at, ActorKind: d.Actor.Kind, ActorID: d.Actor.ID,
		ActorName: d.Actor.Name, Act: d.Act, Subject: d.Subject, Details: d.Details}
	r.Told = at
	if told, err := sqldb.ParseTime(d.Details[detailTold]); err == nil && !told.IsZero() {
		r.Told = told
	}
	return r, nil
}

// detailTold is the detail of an entry that got the time of the one before it: the time that
// its act told.
const detailTold = "told_at"

// Walk calls do for every entry of an organisation with one of the acts, or for every entry
// where none is named, in their order. Entries that cannot be read are passed over: [Verify]
// tells of them. do may not ask the database.
func Walk(ctx context.Context, q sqldb.Queryer, organisationID string, acts []string, do func(Recorded)) error {
	args, places := []any{organisationID}, []string{}
	for _, act := range acts {
		args = append(args, act)
		places = append(places, fmt.Sprintf("$%d", len(args)))
	}
	where := ""
	if len(acts) > 0 {
		where = ` AND act IN (` + strings.Join(places, ", ") + `)`
	}
	rows, err := q.QueryContext(ctx, `SELECT idx, entry_json, salt, record_sha256 FROM ledger_entries WHERE organisation_id = $1`+where+` ORDER BY idx`, args...)
	if err != nil {
		return fmt.Errorf("walk ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanRecorded(rows)
		if errors.Is(err, ErrBroken) {
			continue
		}
		if err != nil {
			return fmt.Errorf("walk ledger: %w", err)
		}
		do(r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("walk ledger: %w", err)
	}
	return nil
}

// RootAt returns the root of the tree as it was with size entries.
func RootAt(ctx context.Context, q sqldb.Queryer, organisationID string, size int64) (tlog.Hash, error) {
	h, err := tlog.TreeHash(size, reader(ctx, q, organisationID))
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("root of ledger at %d: %w", size, err)
	}
	return h, nil
}

// Inclusion proves that the entry at index is part of the tree with size entries
// (RFC 6962, 2.1.1).
func Inclusion(ctx context.Context, q sqldb.Queryer, organisationID string, size, index int64) (tlog.RecordProof, error) {
	p, err := tlog.ProveRecord(size, index, reader(ctx, q, organisationID))
	if err != nil {
		return nil, fmt.Errorf("prove entry %d of ledger: %w", index, err)
	}
	return p, nil
}

// Consistency proves that the tree with size entries begins with the tree with old
// entries (RFC 6962, 2.1.2).
func Consistency(ctx context.Context, q sqldb.Queryer, organisationID string, size, old int64) (tlog.TreeProof, error) {
	p, err := tlog.ProveTree(size, old, reader(ctx, q, organisationID))
	if err != nil {
		return nil, fmt.Errorf("prove ledger from %d to %d: %w", old, size, err)
	}
	return p, nil
}

// reader reads stored hashes by tlog's numbering.
func reader(ctx context.Context, q sqldb.Queryer, organisationID string) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		if len(indexes) == 0 {
			return nil, nil
		}
		at := make(map[int64][]int, len(indexes))
		for i, x := range indexes {
			at[x] = append(at[x], i)
		}
		where, args := runsWith(slices.Sorted(maps.Keys(at)), organisationID)
		rows, err := q.QueryContext(ctx, `SELECT idx, hash FROM ledger_hashes WHERE organisation_id = $1 AND (`+where+`)`, args...)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		out, found := make([]tlog.Hash, len(indexes)), 0
		for rows.Next() {
			var first int64
			var text string
			if err := rows.Scan(&first, &text); err != nil {
				return nil, err
			}
			run, err := parseRun(text)
			if err != nil {
				return nil, fmt.Errorf("%w: stored hashes %d: %w", ErrBroken, first, err)
			}
			for k, h := range run {
				for _, i := range at[first+int64(k)] {
					out[i] = h
					found++
				}
			}
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		if found != len(indexes) {
			return nil, fmt.Errorf("%w: stored hashes are missing, or there twice", ErrBroken)
		}
		return out, nil
	})
}

// runsWith are the conditions, in SQL, of the rows that may hold hashes with these numbers,
// which are sorted, and what fills them in, with the organisation first.
func runsWith(indexes []int64, organisationID string) (string, []any) {
	args := []any{organisationID}
	var where strings.Builder
	for i := 0; i < len(indexes); {
		k := i + 1
		for k < len(indexes) && indexes[k]-indexes[k-1] < maxRun {
			k++
		}
		if i > 0 {
			where.WriteString(" OR ")
		}
		args = append(args, indexes[i]-maxRun+1, indexes[k-1])
		fmt.Fprintf(&where, "idx BETWEEN $%d AND $%d", len(args)-1, len(args))
		i = k
	}
	return where.String(), args
}

// LeafAt returns the leaf hash of the entry at index, as the tree holds it.
func LeafAt(ctx context.Context, q sqldb.Queryer, organisationID string, index int64) (tlog.Hash, error) {
	h, err := reader(ctx, q, organisationID).ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("leaf %d of ledger: %w", index, err)
	}
	return h[0], nil
}
