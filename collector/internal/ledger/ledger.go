// Package ledger is the custody ledger (証拠管理台帳): who did what to which thing and
// when, only ever added to, each entry a leaf of an RFC 6962 Merkle tree. An entry is
// written in the transaction of the act that it records, so that neither exists
// without the other. It knows nothing of what acts there are.
package ledger

import (
	"context"
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
// transaction is rolled back, there was no entry. The entry is sealed, that is hashed and
// written, at the end of the transaction: until then [Attach] adds to it.
func Append(ctx context.Context, tx *sqldb.Tx, e Entry) (int64, error) {
	if e.OrganisationID == "" || e.ActorKind == "" || e.Act == "" || e.At.IsZero() {
		return 0, errors.New("append to ledger: an entry needs an organisation, a kind of actor, an act and a time")
	}
	r, err := recall(ctx, tx, e.OrganisationID)
	if err != nil {
		return 0, fmt.Errorf("append to ledger: %w", err)
	}
	u := unsealed{Entry: e}
	u.Details = make(map[string]string, len(e.Details)) // the caller may go on with its own
	for name, word := range e.Details {
		u.Details[name] = sqldb.CleanText(word) // as columns have it
	}
	u.At = e.At.UTC().Round(0)
	if back := r.at.Sub(u.At); back > MaxClockBack {
		return 0, fmt.Errorf("append to ledger: %w: %s after %s", ErrClock, sqldb.FormatTime(u.At), sqldb.FormatTime(r.at))
	} else if back > ClockSlack {
		u.clockBack = back
	} else if back > 0 {
		u.Details[detailTold] = sqldb.FormatTime(u.At) // rows have that one
		u.At = r.at
	}
	if u.At.After(r.at) {
		r.at = u.At
	}
	r.unsealed = append(r.unsealed, u)
	index := r.size() - 1
	if len(r.unsealed) > maxUnsealed {
		if err := r.seal(ctx, tx, r.size()-maxUnsealed/2); err != nil {
			return 0, fmt.Errorf("append to ledger: %w", err)
		}
	}
	tx.First(tables(), recentKey{e.OrganisationID}, func(ctx context.Context) error {
		if err := r.seal(ctx, tx, r.size()); err != nil {
			return fmt.Errorf("append to ledger: %w", err)
		}
		return nil
	})
	return index, nil
}

func tables() []string { return []string{"ledger_entries", "ledger_hashes", "ledger_heads"} }

// Attach adds a word to a detail of an entry that the transaction appended and has not sealed
// yet, after the words that it has; a word holds no space. It reports whether it did: a
// sealed entry is never changed.
func Attach(tx *sqldb.Tx, organisationID string, index int64, detail, word string) bool {
	r, ok := tx.Noted(recentKey{organisationID}).(*recent)
	if !ok || index < r.head.Size || index >= r.size() {
		return false
	}
	u := &r.unsealed[index-r.head.Size]
	if said := u.Details[detail]; said != "" {
		word = said + " " + word
	}
	u.Details[detail] = word
	return true
}

// Prove seals the entries of a transaction up to one, for callers that prove it to others
// before the commit.
func Prove(ctx context.Context, tx *sqldb.Tx, organisationID string, index int64) (Placed, error) {
	fail := func(err error) (Placed, error) {
		return Placed{}, fmt.Errorf("prove entry %d of ledger: %w", index, err)
	}
	r, err := recall(ctx, tx, organisationID)
	if err != nil {
		return fail(err)
	}
	if index < 0 || index >= r.size() {
		return fail(errors.New("there is no such entry"))
	}
	if err := r.seal(ctx, tx, index+1); err != nil {
		return fail(err)
	}
	leaf, err := r.reader(ctx, tx).ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if err != nil {
		return fail(err)
	}
	root, err := tlog.TreeHash(index+1, r.reader(ctx, tx))
	if err != nil {
		return fail(err)
	}
	return Placed{Index: index, Leaf: leaf[0], Head: Head{OrganisationID: organisationID, Size: index + 1, Root: root, At: r.head.At}}, nil
}

// Place is [Append] and [Prove] at once.
func Place(ctx context.Context, tx *sqldb.Tx, e Entry) (Placed, error) {
	index, err := Append(ctx, tx, e)
	if err != nil {
		return Placed{}, err
	}
	return Prove(ctx, tx, e.OrganisationID, index)
}

func entryRows() sqldb.Rows {
	return sqldb.Rows{Table: "ledger_entries", Columns: "organisation_id, idx, at, actor_kind, actor_id, act, subject, entry_json, salt, record_sha256, mac"}
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
