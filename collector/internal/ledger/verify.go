package ledger

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/sqldb"
)

// Code says what is wrong with the ledger.
type Code string

// The codes.
const (
	Missing Code = "missing" // an entry is not there
	Edited  Code = "edited"  // an entry is not what was hashed when it was written
	Moved   Code = "moved"   // an entry stands in another's place
	Surplus Code = "surplus" // an entry or hash that the head does not cover
	Clock   Code = "clock"   // an entry is earlier than the one before and does not say so
	Tree    Code = "tree"    // the stored hashes do not follow from the entries
)

// Problem is one thing that is wrong.
type Problem struct {
	OrganisationID string
	Index          int64 // of the entry; -1 when it is about no one entry
	Code           Code
	Detail         string // English, for experts
}

func (p Problem) String() string {
	if p.Index < 0 {
		return fmt.Sprintf("ledger of %s: %s: %s", p.OrganisationID, p.Code, p.Detail)
	}
	return fmt.Sprintf("ledger of %s: entry %d: %s: %s", p.OrganisationID, p.Index, p.Code, p.Detail)
}

// batch is how many entries are held in memory at a time.
const batch = 1000

// Verify recomputes every tree from the rows and returns what does not agree. A
// ledger that was rewritten as a whole, with all hashes, agrees with itself: that
// shows only against a root that was kept elsewhere, such as in a receipt (see
// [RootAt]). q must give one unchanging view. progress is optional; it hears how
// many entries of how many are done.
func Verify(ctx context.Context, q sqldb.Queryer, progress func(done, total int64)) ([]Problem, error) {
	heads, err := Heads(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("verify ledger: %w", err)
	}
	var total, done int64
	known := map[string]bool{}
	for _, h := range heads {
		total += h.Size
		known[h.OrganisationID] = true
	}
	var problems []Problem
	stray, err := organisations(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("verify ledger: %w", err)
	}
	for _, org := range stray {
		if !known[org] {
			problems = append(problems, Problem{org, -1, Surplus, "there are rows but no head"})
		}
	}
	for _, h := range heads {
		v := verifier{q: q, head: h}
		for lo := int64(0); lo < h.Size; lo += batch {
			hi := min(lo+batch, h.Size)
			if err := v.batch(ctx, lo, hi); err != nil {
				return nil, fmt.Errorf("verify ledger: %w", err)
			}
			done += hi - lo
			if progress != nil {
				progress(done, total)
			}
		}
		if err := v.end(ctx); err != nil {
			return nil, fmt.Errorf("verify ledger: %w", err)
		}
		problems = append(problems, v.problems...)
	}
	return problems, nil
}

func organisations(ctx context.Context, q sqldb.Queryer) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT organisation_id FROM ledger_entries UNION SELECT organisation_id FROM ledger_hashes ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// verifier goes through one tree.
type verifier struct {
	q        sqldb.Queryer
	head     Head
	frontier frontier
	last     time.Time
	problems []Problem
}

func (v *verifier) report(index int64, code Code, format string, args ...any) {
	v.problems = append(v.problems, Problem{v.head.OrganisationID, index, code, fmt.Sprintf(format, args...)})
}

type row struct {
	at, kind, id, act, subject, text, salt, record string
}

func (v *verifier) batch(ctx context.Context, lo, hi int64) error {
	entries, err := v.entries(ctx, lo, hi)
	if err != nil {
		return err
	}
	stored, err := v.hashes(ctx, tlog.StoredHashCount(lo), tlog.StoredHashCount(hi))
	if err != nil {
		return err
	}
	for n := lo; n < hi; n++ {
		x := tlog.StoredHashCount(n)
		kept, haveKept := stored[x]
		leaf := kept
		if r, ok := entries[n]; !ok {
			v.report(n, Missing, "there is no such row")
		} else if computed, ok := v.entry(n, r); ok {
			if haveKept && computed != kept {
				v.report(n, Edited, "it does not have the hash that the tree holds")
			}
			if !haveKept {
				leaf = computed
			}
		}
		// After a wrong entry the stored leaf goes on, so that one edit is one problem.
		for l := 0; ; l, x = l+1, x+1 {
			if have, ok := stored[x]; !ok {
				v.report(n, Tree, "stored hash %d is missing", x)
			} else if have != leaf {
				v.report(n, Tree, "stored hash %d does not follow from the entries", x)
			}
			if n>>l&1 == 0 {
				v.frontier[l] = leaf
				break
			}
			leaf = tlog.NodeHash(v.frontier[l], leaf)
		}
	}
	return nil
}

// entry checks one row within itself and against the one before, and returns its
// leaf hash, or false when it is already known not to be the entry that it should be.
func (v *verifier) entry(n int64, r row) (tlog.Hash, bool) {
	salt, err := hex.DecodeString(r.salt)
	if err != nil {
		v.report(n, Edited, "its salt is not hexadecimal")
		return tlog.Hash{}, false
	}
	record := recordOf(salt, r.text)
	if hex.EncodeToString(record[:]) != r.record {
		v.report(n, Edited, "its text does not have its hash")
		return tlog.Hash{}, false
	}
	d, err := decode(r.text)
	if err != nil {
		v.report(n, Edited, "%v", err)
		return tlog.Hash{}, false
	}
	if d.Index != n || d.OrganisationID != v.head.OrganisationID {
		v.report(n, Moved, "it holds entry %d of %s", d.Index, d.OrganisationID)
		return tlog.Hash{}, false
	}
	if (row{d.At, d.Actor.Kind, d.Actor.ID, d.Act, d.Subject, r.text, r.salt, r.record}) != r {
		v.report(n, Edited, "its columns do not say what its text says")
	}
	at, err := sqldb.ParseTime(d.At)
	if err != nil {
		v.report(n, Edited, "%v", err)
	}
	if back := v.last.Sub(at); back > 0 && int64(back) != d.ClockBackNS {
		v.report(n, Clock, "it is %v earlier than what came before and declares %v", back, time.Duration(d.ClockBackNS))
	}
	if at.After(v.last) {
		v.last = at
	}
	return tlog.RecordHash(record[:]), true
}

func (v *verifier) end(ctx context.Context) error {
	var entries, hashes int64
	if err := v.q.QueryRowContext(ctx, `SELECT
		(SELECT COUNT(*) FROM ledger_entries WHERE organisation_id = $1 AND (idx < 0 OR idx >= $2)),
		(SELECT COUNT(*) FROM ledger_hashes WHERE organisation_id = $1 AND (idx < 0 OR idx >= $3 OR idx + LENGTH(hash) / 64 > $3))`,
		v.head.OrganisationID, v.head.Size, tlog.StoredHashCount(v.head.Size)).Scan(&entries, &hashes); err != nil {
		return err
	}
	if entries > 0 {
		v.report(-1, Surplus, "%d entries lie beyond the head", entries)
	}
	if hashes > 0 {
		v.report(-1, Surplus, "%d rows of hashes lie beyond the head", hashes)
	}
	if v.head.Size > 0 && v.frontier.root(v.head.Size) != v.head.Root {
		v.report(-1, Tree, "the root of its %d entries is not the head's", v.head.Size)
	}
	if !v.last.Equal(v.head.At) {
		v.report(-1, Tree, "the head's time is not that of the newest entry")
	}
	return nil
}

func (v *verifier) entries(ctx context.Context, lo, hi int64) (map[int64]row, error) {
	rows, err := v.q.QueryContext(ctx, `SELECT idx, at, actor_kind, actor_id, act, subject, entry_json, salt, record_sha256
		FROM ledger_entries WHERE organisation_id = $1 AND idx >= $2 AND idx < $3`, v.head.OrganisationID, lo, hi)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[int64]row, hi-lo)
	for rows.Next() {
		var n int64
		var r row
		if err := rows.Scan(&n, &r.at, &r.kind, &r.id, &r.act, &r.subject, &r.text, &r.salt, &r.record); err != nil {
			return nil, err
		}
		out[n] = r
	}
	return out, rows.Err()
}

// broughtBy is the entry with which a stored hash came: the last one of its subtree.
func broughtBy(x int64) int64 {
	l, n := tlog.SplitStoredHashIndex(x)
	return (n+1)<<l - 1
}

func (v *verifier) hashes(ctx context.Context, lo, hi int64) (map[int64]tlog.Hash, error) {
	rows, err := v.q.QueryContext(ctx, `SELECT idx, hash FROM ledger_hashes
		WHERE organisation_id = $1 AND idx > $2 AND idx < $3`, v.head.OrganisationID, lo-maxRun, hi)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out, twice := make(map[int64]tlog.Hash, hi-lo), map[int64]bool{}
	for rows.Next() {
		var first int64
		var s string
		if err := rows.Scan(&first, &s); err != nil {
			return nil, err
		}
		// What is there twice is as good as missing, and reported as that. A row that is no
		// hashes stops whoever reads it, and so is reported even where nothing is missing.
		run, err := parseRun(s)
		if err != nil && first >= lo {
			v.report(broughtBy(first), Tree, "stored hash %d: %v", first, err)
		}
		for k, h := range run {
			x := first + int64(k)
			if x < lo || x >= hi {
				continue
			}
			_, twice[x] = out[x]
			out[x] = h
		}
	}
	for x, t := range twice {
		if t {
			delete(out, x)
		}
	}
	return out, rows.Err()
}
