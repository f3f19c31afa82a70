// Package ledger is the custody ledger (証拠管理台帳): who did what to which thing and
// when, only ever added to, each entry a leaf of an RFC 6962 Merkle tree. An entry is
// written in the transaction of the act that it records, so that neither exists
// without the other. It knows nothing of what acts there are.
package ledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/sqldb"
)

// The broken invariants. None can be mended by trying again: whoever meets one must
// stop writing and have a person run fsck.
var (
	// ErrClock means that the clock is further behind the ledger than any correction
	// of a clock explains, see [MaxClockBack].
	ErrClock = errors.New("the clock is far behind the newest entry of the ledger")
	// ErrBroken means that the ledger contradicts itself.
	ErrBroken = errors.New("the ledger contradicts itself")
)

// How an entry's time may stand to the one before it. Acts read the clock before
// they wait for the writer, so small differences are order of arrival and the
// entry gets the time of the one before; larger ones, up to a clock set by hand,
// are recorded as they are and declared in the entry (clock_back_ns), because
// refusing to isolate a PC over a clock would be worse; beyond MaxClockBack nothing
// is written.
const (
	ClockSlack   = 10 * time.Second
	MaxClockBack = 30 * 24 * time.Hour
)

// Entry is one act as it is recorded. What stands in it is kept for ever: no
// secrets, and no evidence content.
type Entry struct {
	OrganisationID string
	At             time.Time         // collector clock
	ActorKind      string            // "operator", "endpoint", "system", "local"
	ActorID        string            // identifier of the operator or endpoint, or empty
	ActorName      string            // for people, as it was then
	Act            string            // such as "evidence.accept": context, dot, verb
	Subject        string            // identifier of the thing that it was done to
	Details        map[string]string // further facts, snake_case keys
}

// Head is the state of one organisation's tree.
type Head struct {
	OrganisationID string
	Size           int64
	Root           tlog.Hash // RFC 6962 Merkle tree hash
	At             time.Time // of the newest entry; zero while there is none
}

// Placed is where an entry came to stand.
type Placed struct {
	Index int64     // counts from 0 within the organisation
	Leaf  tlog.Hash // RFC 6962 leaf hash
	Head  Head      // the tree that ends with this entry
}

// Append records e in the caller's transaction and returns its index. When the
// transaction is rolled back, there was no entry.
func Append(ctx context.Context, tx *sqldb.Tx, e Entry) (int64, error) {
	_, idx, _, err := add(ctx, tx, e)
	return idx, err
}

// Place is [Append] for callers that prove the entry to others.
func Place(ctx context.Context, tx *sqldb.Tx, e Entry) (Placed, error) {
	r, idx, leaf, err := add(ctx, tx, e)
	if err != nil {
		return Placed{}, err
	}
	head, err := r.rooted(ctx, tx)
	if err != nil {
		return Placed{}, fmt.Errorf("append to ledger: %w", err)
	}
	return Placed{Index: idx, Leaf: leaf, Head: head}, nil
}

// add writes the entry and its hashes, together with others of the transaction; the head
// is written once at its end.
func add(ctx context.Context, tx *sqldb.Tx, e Entry) (r *recent, index int64, leaf tlog.Hash, err error) {
	if e.OrganisationID == "" || e.ActorKind == "" || e.Act == "" || e.At.IsZero() {
		return nil, 0, leaf, errors.New("append to ledger: an entry needs an organisation, a kind of actor, an act and a time")
	}
	fail := func(err error) (*recent, int64, tlog.Hash, error) {
		return nil, 0, tlog.Hash{}, fmt.Errorf("append to ledger: %w", err)
	}
	if r, err = recall(ctx, tx, e.OrganisationID); err != nil {
		return fail(err)
	}
	head := r.head
	var clockBack time.Duration
	e.At = e.At.UTC().Round(0)
	if back := head.At.Sub(e.At); back > MaxClockBack {
		return fail(fmt.Errorf("%w: %s after %s", ErrClock, sqldb.FormatTime(e.At), sqldb.FormatTime(head.At)))
	} else if back > ClockSlack {
		clockBack = back
	} else if back > 0 {
		e.At = head.At
	}

	var salt [32]byte
	rand.Read(salt[:]) // never fails (crypto/rand)
	text, err := encode(head.Size, e, clockBack)
	if err != nil {
		return fail(err)
	}
	record := recordOf(salt[:], text)
	leaf = tlog.RecordHash(record[:])
	hashes, err := tlog.StoredHashesForRecordHash(head.Size, leaf, r.reader(ctx, tx))
	if err != nil {
		return fail(err)
	}
	if err := tx.Gather(ctx, entryRows(), e.OrganisationID, head.Size, sqldb.FormatTime(e.At), e.ActorKind, sqldb.CleanText(e.ActorID), e.Act,
		sqldb.CleanText(e.Subject), text, hex.EncodeToString(salt[:]), hex.EncodeToString(record[:])); err != nil {
		return fail(err)
	}
	if err := r.store(ctx, tx, tlog.StoredHashCount(head.Size), hashes); err != nil {
		return fail(err)
	}
	r.head = Head{OrganisationID: e.OrganisationID, Size: head.Size + 1, At: head.At}
	if e.At.After(head.At) {
		r.head.At = e.At
	}
	tx.Last("ledger_heads", recentKey{e.OrganisationID}, func(ctx context.Context) error { return r.writeHead(ctx, tx) })
	return r, head.Size, leaf, nil
}

func entryRows() sqldb.Rows {
	return sqldb.Rows{Table: "ledger_entries", Columns: "organisation_id, idx, at, actor_kind, actor_id, act, subject, entry_json, salt, record_sha256"}
}

// recordOf is the salted hash that the tree holds instead of the entry, so that an
// entry with personal content can be erased (salt and text) and the tree still
// stands, and so that the tree reveals nothing of what can be guessed.
func recordOf(salt []byte, text string) [sha256.Size]byte {
	h := sha256.New()
	h.Write(salt)
	h.Write([]byte(text))
	return [sha256.Size]byte(h.Sum(nil))
}

// HeadOf returns the state of an organisation's tree; one without entries has size 0.
func HeadOf(ctx context.Context, q sqldb.Queryer, organisationID string) (Head, error) {
	h, err := readHead(ctx, q, organisationID, "")
	if err != nil {
		return Head{}, fmt.Errorf("read head of ledger: %w", err)
	}
	return h, nil
}

// Heads returns the state of every organisation's tree.
func Heads(ctx context.Context, q sqldb.Queryer) ([]Head, error) {
	rows, err := q.QueryContext(ctx, `SELECT organisation_id, size, root_sha256, at FROM ledger_heads ORDER BY organisation_id`)
	if err != nil {
		return nil, fmt.Errorf("read heads of ledger: %w", err)
	}
	defer rows.Close()
	var heads []Head
	for rows.Next() {
		h, err := scanHead(rows)
		if err != nil {
			return nil, fmt.Errorf("read heads of ledger: %w", err)
		}
		heads = append(heads, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read heads of ledger: %w", err)
	}
	return heads, nil
}

func readHead(ctx context.Context, q sqldb.Queryer, organisationID, lock string) (Head, error) {
	h, err := scanHead(q.QueryRowContext(ctx, `SELECT organisation_id, size, root_sha256, at FROM ledger_heads
		WHERE organisation_id = $1`+lock, organisationID))
	if errors.Is(err, sql.ErrNoRows) {
		return Head{OrganisationID: organisationID, Root: tlog.Hash(sha256.Sum256(nil))}, nil // RFC 6962, 2.1
	}
	return h, err
}

func scanHead(row interface{ Scan(...any) error }) (Head, error) {
	var h Head
	var root string
	if err := row.Scan(&h.OrganisationID, &h.Size, &root, sqldb.ScanTime(&h.At)); err != nil {
		return Head{}, err
	}
	hash, err := parseHash(root)
	if err != nil {
		return Head{}, fmt.Errorf("%w: head: %w", ErrBroken, err)
	}
	h.Root = hash
	return h, nil
}

func writeHead(ctx context.Context, tx *sqldb.Tx, from, to Head) error {
	if from.Size == 0 {
		_, err := tx.ExecContext(ctx, `INSERT INTO ledger_heads (organisation_id, size, root_sha256, at) VALUES ($1, $2, $3, $4)`,
			to.OrganisationID, to.Size, hex.EncodeToString(to.Root[:]), sqldb.FormatTime(to.At))
		return err
	}
	// The condition on the old size makes this a compare-and-swap even if a lock were missing.
	res, err := tx.ExecContext(ctx, `UPDATE ledger_heads SET size = $1, root_sha256 = $2, at = $3 WHERE organisation_id = $4 AND size = $5`,
		to.Size, hex.EncodeToString(to.Root[:]), sqldb.FormatTime(to.At), to.OrganisationID, from.Size)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("%w: the head moved under a transaction", ErrBroken), err)
	}
	return nil
}

func parseHash(s string) (tlog.Hash, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("hash %.80q: want %d hexadecimal digits", s, 2*tlog.HashSize)
	}
	return tlog.Hash(b), nil
}
