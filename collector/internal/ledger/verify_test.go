package ledger_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
)

func verify(t *testing.T, db *sqldb.DB) []ledger.Problem {
	t.Helper()
	var problems []ledger.Problem
	if err := db.ReadTx(t.Context(), func(ctx context.Context, q sqldb.Queryer) (err error) {
		problems, err = ledger.Verify(ctx, q, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return problems
}

func TestVerifyClean(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		other := entry(0)
		other.OrganisationID = "org_2"
		var entries []ledger.Entry
		for i := range 70 {
			entries = append(entries, entry(i))
		}
		appendAll(t, db, append(entries, other)...)
		if p := verify(t, db); len(p) > 0 {
			t.Errorf("problems in a ledger that nobody touched: %v", p)
		}
	})
}

// What an intruder with the database can do short of rewriting it all, and the
// index that must be named.
func TestVerifyNamesTampering(t *testing.T) {
	for name, c := range map[string]struct {
		sql   []string
		index int64
		code  ledger.Code
	}{
		"entry deleted":           {[]string{`DELETE FROM ledger_entries WHERE idx = 5`}, 5, ledger.Missing},
		"text edited":             {[]string{`UPDATE ledger_entries SET entry_json = REPLACE(entry_json, 'incident.note', 'incident.nope'), act = 'incident.nope' WHERE idx = 7`}, 7, ledger.Edited},
		"column edited":           {[]string{`UPDATE ledger_entries SET subject = 'inc_9' WHERE idx = 7`}, 7, ledger.Edited},
		"salt edited":             {[]string{`UPDATE ledger_entries SET salt = '00' WHERE idx = 0`}, 0, ledger.Edited},
		"two swapped":             {[]string{`UPDATE ledger_entries SET idx = -1 WHERE idx = 3`, `UPDATE ledger_entries SET idx = 3 WHERE idx = 4`, `UPDATE ledger_entries SET idx = 4 WHERE idx = -1`}, 3, ledger.Moved},
		"last cut off":            {[]string{`DELETE FROM ledger_entries WHERE idx = 9`, `UPDATE ledger_heads SET size = 9`}, -1, ledger.Surplus},
		"head edited":             {[]string{`UPDATE ledger_heads SET root_sha256 = REPLACE(root_sha256, SUBSTR(root_sha256, 1, 2), 'zz')`}, -1, ""},
		"head removed":            {[]string{`DELETE FROM ledger_heads`}, -1, ledger.Surplus},
		"inner hash edited":       {[]string{`UPDATE ledger_hashes SET hash = SUBSTR(hash, 1, 64) || (SELECT hash FROM ledger_hashes WHERE idx = 0) WHERE idx = 1`}, 1, ledger.Tree},
		"inner hash removed":      {[]string{`UPDATE ledger_hashes SET hash = SUBSTR(hash, 1, 64) WHERE idx = 1`}, 1, ledger.Tree},
		"hash there twice":        {[]string{`INSERT INTO ledger_hashes (organisation_id, idx, hash) SELECT organisation_id, 2, SUBSTR(hash, 65) FROM ledger_hashes WHERE idx = 1`}, 1, ledger.Tree},
		"hashes beyond the head":  {[]string{`UPDATE ledger_hashes SET hash = hash || hash WHERE idx = (SELECT MAX(idx) FROM ledger_hashes)`}, -1, ledger.Surplus},
		"leaf hash removed":       {[]string{`DELETE FROM ledger_hashes WHERE idx = 0`}, 0, ledger.Tree},
		"hash column not a hash":  {[]string{`UPDATE ledger_hashes SET hash = 'x' WHERE idx = 0`}, 0, ledger.Tree},
		"junk within a run":       {[]string{`INSERT INTO ledger_hashes (organisation_id, idx, hash) VALUES ('org_1', 2, 'zz')`}, 1, ledger.Tree},
		"junk at the end":         {[]string{`INSERT INTO ledger_hashes (organisation_id, idx, hash) SELECT organisation_id, MAX(idx + LENGTH(hash) / 64), 'zz' FROM ledger_hashes GROUP BY organisation_id`}, -1, ledger.Surplus},
		"entry with hash swapped": {[]string{`UPDATE ledger_entries SET entry_json = (SELECT entry_json FROM ledger_entries WHERE idx = 1), salt = (SELECT salt FROM ledger_entries WHERE idx = 1), record_sha256 = (SELECT record_sha256 FROM ledger_entries WHERE idx = 1) WHERE idx = 2`}, 2, ledger.Moved},
	} {
		t.Run(name, func(t *testing.T) {
			db := sqldbtest.Open(t)
			for i := range 10 {
				appendAll(t, db, entry(i))
			}
			if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				for _, s := range c.sql {
					if _, err := tx.ExecContext(ctx, s); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if c.code == "" { // not even readable: an error is as good
				if _, err := ledger.Heads(t.Context(), db.Read()); !errors.Is(err, ledger.ErrBroken) {
					t.Errorf("heads: %v", err)
				}
				return
			}
			problems := verify(t, db)
			if !slices.ContainsFunc(problems, func(p ledger.Problem) bool { return p.Index == c.index && p.Code == c.code }) {
				t.Errorf("want entry %d: %s; got %v", c.index, c.code, problems)
			}
		})
	}
}

// An edit with its own hash put right too is found by the tree.
func TestVerifyFindsCarefulEdit(t *testing.T) {
	db := sqldbtest.Open(t)
	for i := range 10 {
		appendAll(t, db, entry(i))
	}
	e, err := ledger.Entries(t.Context(), db.Read(), ledger.Filter{OrganisationID: "org_1", Before: 8, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	salt, err := hex.DecodeString(e[0].Salt)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(e[0].Text, "保全 太郎", "保全 次郎", 1)
	sum := sha256.Sum256(append(salt, text...))
	if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE ledger_entries SET entry_json = $1, record_sha256 = $2 WHERE idx = 7`, text, hex.EncodeToString(sum[:]))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if p := verify(t, db); len(p) != 1 || p[0].Index != 7 || p[0].Code != ledger.Edited {
		t.Errorf("%v", p)
	}
}

func TestClock(t *testing.T) {
	db := sqldbtest.Open(t)
	appendAll(t, db, entry(0))
	at := func(d time.Duration) ledger.Entry {
		e := entry(0)
		e.At = noon.Add(d)
		return e
	}
	appendAll(t, db, at(-time.Second), at(-time.Hour), at(time.Second))
	got, err := ledger.Entries(t.Context(), db.Read(), ledger.Filter{OrganisationID: "org_1"})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range slices.Backward(got) {
		lines = append(lines, fmt.Sprint(e.At.Sub(noon), " ", e.ClockBack))
	}
	if s := strings.Join(lines, "; "); s != "0s 0s; 0s 0s; -1h0m0s 1h0m0s; 1s 0s" {
		t.Error(s)
	}
	if p := verify(t, db); len(p) > 0 {
		t.Error(p)
	}
	err = db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := ledger.Append(ctx, tx, at(-ledger.MaxClockBack-time.Minute))
		return err
	})
	if !errors.Is(err, ledger.ErrClock) {
		t.Errorf("a clock of another month: %v", err)
	}
}

func TestEntriesPage(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		for i := range 9 {
			appendAll(t, db, entry(i))
		}
		page, err := ledger.Entries(t.Context(), db.Read(), ledger.Filter{OrganisationID: "org_1", Subject: "inc_1", Before: 7, Limit: 1})
		if err != nil || len(page) != 1 || page[0].Index != 4 || page[0].ActorName != "保全 太郎" {
			t.Errorf("%+v, %v", page, err)
		}
		if page, err := ledger.Entries(t.Context(), db.Read(), ledger.Filter{OrganisationID: "org_2"}); err != nil || len(page) != 0 {
			t.Errorf("another organisation's: %v, %v", page, err)
		}
	})
}

func TestConcurrentAppends(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		const writers, each = 8, 10
		errs := make(chan error, writers)
		for w := range writers {
			go func() {
				for i := range each {
					if err := db.Tx(context.Background(), func(ctx context.Context, tx *sqldb.Tx) error {
						_, err := ledger.Append(ctx, tx, entry(w*each+i))
						return err
					}); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range writers {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		head, err := ledger.HeadOf(t.Context(), db.Read(), "org_1")
		if err != nil || head.Size != writers*each {
			t.Errorf("%d entries, %v", head.Size, err)
		}
		if p := verify(t, db); len(p) > 0 {
			t.Error(p)
		}
	})
}

func FuzzEntryText(f *testing.F) {
	f.Add(`{"format":"hozen-ledger-entry/1","index":0,"organisation_id":"o","at":"","actor":{"kind":"","id":"","name":""},"act":"","subject":""}`)
	f.Add(`{}{}`)
	f.Fuzz(func(t *testing.T, s string) {
		if err := ledger.CheckText(s); err == nil && !strings.Contains(s, ledger.Format) {
			t.Errorf("accepted %q", s)
		}
	})
}

// However many entries one transaction writes, each is found and proved.
func TestHashesWrittenTogether(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		size, leaves := 0, []tlog.Hash{}
		for _, n := range []int{1, 5, 16, 17, 40, 100, 1, 3} {
			if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				for range n {
					p, err := ledger.Place(ctx, tx, entry(size))
					if err != nil {
						return err
					}
					leaves = append(leaves, p.Leaf)
					size++
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if p := verify(t, db); len(p) > 0 {
			t.Errorf("problems: %v", p)
		}
		head, err := ledger.HeadOf(t.Context(), db.Read(), "org_1")
		if err != nil {
			t.Fatal(err)
		}
		for i, leaf := range leaves {
			proof, err := ledger.Inclusion(t.Context(), db.Read(), "org_1", head.Size, int64(i))
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(proof, head.Size, head.Root, int64(i), leaf); err != nil {
				t.Errorf("entry %d: %v", i, err)
			}
		}
		var rows, hashes int64
		if err := db.Read().QueryRowContext(t.Context(), `SELECT COUNT(*), SUM(LENGTH(hash)) / 64 FROM ledger_hashes`).Scan(&rows, &hashes); err != nil {
			t.Fatal(err)
		}
		if hashes != tlog.StoredHashCount(head.Size) || rows > hashes/8 {
			t.Errorf("%d hashes in %d rows, want %d in few", hashes, rows, tlog.StoredHashCount(head.Size))
		}
	})
}
