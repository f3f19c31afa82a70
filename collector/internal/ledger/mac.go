package ledger

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
)

// Key makes the MAC with which an entry shows that the collector wrote it: whoever can write
// the database alone cannot make one. The zero Key makes none, and nothing is checked.
type Key struct{ key secret.Key }

// NewKey makes the key of entries out of that of all secrets.
func NewKey(k secret.Key) Key { return Key{k.For("ledger")} }

// boundKey is under what the database keeps the key.
type boundKey struct{}

// Bind has every entry of a database carry a MAC from now on.
func (k Key) Bind(db *sqldb.DB) { db.Bind(boundKey{}, k) }

// KeyOf is the key of a database; zero where none was bound.
func KeyOf(db *sqldb.DB) Key {
	k, _ := db.Bound(boundKey{}).(Key)
	return k
}

func keyIn(tx *sqldb.Tx) Key {
	k, _ := tx.Bound(boundKey{}).(Key)
	return k
}

// ID tells one key from another and tells nothing of it; empty of the zero Key.
func (k Key) ID() string {
	b := k.key.MAC([]byte("hozen ledger key"))
	return hex.EncodeToString(b[:min(8, len(b))])
}

// mac is over organisation, index and leaf. The organisation's length goes first, so that no two
// entries make one message.
func (k Key) mac(organisationID string, index int64, leaf tlog.Hash) string {
	m := append([]byte("hozen ledger entry\x00"), byte(len(organisationID)>>8), byte(len(organisationID)))
	m = append(m, organisationID...)
	m = binary.BigEndian.AppendUint64(m, uint64(index))
	return hex.EncodeToString(k.key.MAC(append(m, leaf[:]...)))
}

// Forged goes through the entries from lo up to, not including, hi, and returns those whose leaf
// has not the MAC of this key, as runs of first and last, in order. The leaves are those of the
// tree; missing ones count.
func (k Key) Forged(ctx context.Context, q sqldb.Queryer, organisationID string, lo, hi int64) ([][2]int64, error) {
	var found runs
	err := k.walk(ctx, q, organisationID, lo, hi, func(n int64, _ tlog.Hash, right bool) bool {
		found.see(n, right)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("check MACs of ledger: %w", err)
	}
	return found, nil
}

// Own returns an entry if its text is the one that was written with the MAC of this key.
func (k Key) Own(ctx context.Context, q sqldb.Queryer, organisationID string, index int64) (Recorded, bool, error) {
	var mac string
	r := Recorded{Index: index}
	err := q.QueryRowContext(ctx, `SELECT entry_json, salt, mac FROM ledger_entries WHERE organisation_id = $1 AND idx = $2`, organisationID, index).Scan(&r.Text, &r.Salt, &mac)
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("check MAC of ledger: %w", err)
	}
	salt, err := hex.DecodeString(r.Salt)
	d, derr := decode(r.Text)
	if errors.Join(err, derr) != nil {
		return r, false, nil
	}
	record := recordOf(salt, r.Text)
	r.Leaf, r.Act, r.Subject, r.Details = tlog.RecordHash(record[:]), d.Act, d.Subject, d.Details
	return r, hmac.Equal([]byte(mac), []byte(k.mac(organisationID, index, r.Leaf))), nil
}

// runs are stretches of numbers, as first and last.
type runs [][2]int64

func (r *runs) see(n int64, right bool) {
	switch last := len(*r) - 1; {
	case right:
	case last >= 0 && (*r)[last][1] == n-1:
		(*r)[last][1] = n
	default:
		*r = append(*r, [2]int64{n, n})
	}
}

// First returns the first entry that has the MAC of this key, or the ledger's size: the first
// that was written with it.
func (k Key) First(ctx context.Context, q sqldb.Queryer, head Head) (int64, error) {
	first := head.Size
	err := k.walk(ctx, q, head.OrganisationID, 0, head.Size, func(n int64, _ tlog.Hash, right bool) bool {
		if right {
			first = n
		}
		return !right
	})
	if err != nil {
		return 0, fmt.Errorf("find first MAC of ledger: %w", err)
	}
	return first, nil
}

// Grown reports which entries from lo on have not the MAC of this key, as [Key.Forged] does. It
// wraps [ErrBroken] when the head's root is not made of the tree before lo and those leaves:
// otherwise a root could hold other leaves than those that have MACs.
func (k Key) Grown(ctx context.Context, q sqldb.Queryer, lo int64, head Head) ([][2]int64, error) {
	if lo >= head.Size {
		return nil, nil
	}
	f, err := frontierAt(ctx, q, head.OrganisationID, lo)
	if err != nil {
		return nil, fmt.Errorf("compute root of ledger: %w", err)
	}
	var found runs
	if err := k.walk(ctx, q, head.OrganisationID, lo, head.Size, func(n int64, leaf tlog.Hash, right bool) bool {
		found.see(n, right)
		f.add(n, leaf)
		return true
	}); err != nil {
		return nil, fmt.Errorf("compute root of ledger: %w", err)
	}
	if len(found) > 0 {
		return found, nil
	}
	if f.root(head.Size) != head.Root {
		return nil, fmt.Errorf("%w: its root is not made of its entries", ErrBroken)
	}
	return nil, nil
}

// walk goes through leaves and whether they have their MACs, until see has seen enough.
func (k Key) walk(ctx context.Context, q sqldb.Queryer, organisationID string, lo, hi int64, see func(n int64, leaf tlog.Hash, right bool) bool) error {
	v := verifier{q: q, head: Head{OrganisationID: organisationID}}
	for ; lo < hi; lo += batch {
		end := min(lo+batch, hi)
		macs, err := macs(ctx, q, organisationID, lo, end)
		if err != nil {
			return err
		}
		hashes, err := v.hashes(ctx, tlog.StoredHashCount(lo), tlog.StoredHashCount(end))
		if err != nil {
			return err
		}
		for n := lo; n < end; n++ {
			leaf, ok := hashes[tlog.StoredHashIndex(0, n)]
			if !see(n, leaf, ok && hmac.Equal([]byte(macs[n]), []byte(k.mac(organisationID, n, leaf)))) {
				return nil
			}
		}
	}
	return nil
}

func macs(ctx context.Context, q sqldb.Queryer, organisationID string, lo, hi int64) (map[int64]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT idx, mac FROM ledger_entries WHERE organisation_id = $1 AND idx >= $2 AND idx < $3`, organisationID, lo, hi)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[int64]string, hi-lo)
	for rows.Next() {
		var n int64
		var mac string
		if err := rows.Scan(&n, &mac); err != nil {
			return nil, err
		}
		out[n] = mac
	}
	return out, rows.Err()
}

// frontier[l] is the root of the complete subtree of 2^l leaves that ends last, as far as the
// leaves so far make it up.
type frontier [63]tlog.Hash

// frontierAt reads the frontier of the first size entries.
func frontierAt(ctx context.Context, q sqldb.Queryer, organisationID string, size int64) (f frontier, err error) {
	var levels []int
	var indexes []int64
	for l := range f {
		if size>>l&1 == 1 {
			levels, indexes = append(levels, l), append(indexes, tlog.StoredHashIndex(l, size>>l-1))
		}
	}
	hashes, err := reader(ctx, q, organisationID).ReadHashes(indexes)
	if err == nil && len(hashes) != len(indexes) {
		err = errors.New("hashes are missing")
	}
	if err != nil {
		return f, err
	}
	for i, l := range levels {
		f[l] = hashes[i]
	}
	return f, nil
}

// add adds leaf n, whose number is how many there were before.
func (f *frontier) add(n int64, leaf tlog.Hash) {
	l := 0
	for ; n>>l&1 == 1; l++ {
		leaf = tlog.NodeHash(f[l], leaf)
	}
	f[l] = leaf
}

// root is that of size leaves, of which there is at least one.
func (f *frontier) root(size int64) tlog.Hash {
	var root tlog.Hash
	first := true
	for l := range f {
		switch {
		case size>>l&1 == 0:
		case first:
			root, first = f[l], false
		default:
			root = tlog.NodeHash(f[l], root)
		}
	}
	return root
}
