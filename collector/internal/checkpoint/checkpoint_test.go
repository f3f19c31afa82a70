package checkpoint_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	cp "hozen/internal/custody/checkpoint"
)

func TestEachStateGoesOnFromTheOneBefore(t *testing.T) {
	run(t, func(x *rig) {
		var before checkpoint.Signed
		for i, n := range []int{1, 2, 5, 9} {
			x.append(x.n(), n)
			s, err := x.sign()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cp.Open(s.Note, s.Key); err != nil || s.Key == nil {
				t.Fatalf("not signed: %v", err)
			}
			if i > 0 {
				proof, err := x.log.Consistency(t.Context(), x.org, s, before.Size)
				if err != nil {
					t.Fatal(err)
				}
				if err := cp.CheckConsistency(before.Checkpoint, s.Checkpoint, proof); err != nil {
					t.Error(err)
				}
			}
			if i == 1 {
				x.reopen() // it goes on where it was
			}
			if got := x.read(x.noteFile()); got != s.Note {
				t.Errorf("outside the database is %q, want %q", got, s.Note)
			}
			before = s
		}
		again, err := x.log.Sign(t.Context(), x.org, 3)
		if err != nil || again.Note != before.Note {
			t.Errorf("signed again without need: %v", err)
		}
		leaf, err := ledger.LeafAt(t.Context(), x.db.Read(), x.org, 4)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := x.log.Inclusion(t.Context(), x.org, before, 4)
		if err != nil {
			t.Fatal(err)
		}
		if err := cp.CheckInclusion(before.Checkpoint, 4, leaf, proof); err != nil {
			t.Error(err)
		}
		if list := x.audit(checkpoint.Known{Name: "a", Note: before.Note}); codes(list) != "" {
			t.Errorf("an honest ledger: %v", list)
		}
		info, err := os.Stat(x.config().KeyFile)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key's file: %v, %v", info.Mode(), err)
		}
	})
}

// n is how many entries the rig made: the line itself has one.
func (x *rig) n() int {
	if size := x.size(); size > 0 {
		return int(size)
	}
	return 0
}

// What an operator with every right over the database does is found by a check alone,
// with every row and hash made to fit.
func TestRewrittenIsNamed(t *testing.T) {
	// Whatever letters the base64 of a note happens to have, some of these are among them.
	forged := "note"
	for _, swap := range []string{"AB", "CD", "EF", "GH", "IJ", "KL", "MN", "OP"} {
		forged = "REPLACE(" + forged + ", '" + swap[:1] + "', '" + swap[1:] + "')"
	}
	for name, tt := range map[string]struct {
		entries int
		after   func(x *rig)
		want    string
	}{
		"edited, the same length":             {entries: 12, want: "rewritten rewritten "},
		"longer":                              {entries: 40, want: "rewritten rewritten "},
		"cut off":                             {entries: 5, want: "shorter shorter "},
		"checkpoints deleted too":             {entries: 12, after: func(x *rig) { x.sql(`DELETE FROM checkpoint_notes`) }, want: "rewritten "},
		"checkpoints and lines deleted too":   {entries: 12, after: func(x *rig) { x.sql(`DELETE FROM checkpoint_notes`, `DELETE FROM checkpoint_lines`) }, want: "rewritten "},
		"only the lines deleted":              {after: func(x *rig) { x.sql(`DELETE FROM checkpoint_notes`, `DELETE FROM checkpoint_lines`) }, want: "line "},
		"a checkpoint forged in the database": {after: func(x *rig) { x.sql(`UPDATE checkpoint_notes SET note = ` + forged) }, want: "signature "},
	} {
		t.Run(name, func(t *testing.T) {
			on := onSQLite
			if name == "edited, the same length" {
				on = run
			}
			on(t, func(x *rig) {
				x.add(0, 4)
				x.add(5, 12)
				if tt.entries > 0 {
					x.rewrite("!", tt.entries)
				}
				if tt.after != nil {
					tt.after(x)
				}
				x.reopen()
				list := x.audit()
				if codes(list) != tt.want {
					t.Errorf("found %q %v, want %q", codes(list), list, tt.want)
				}
				if strings.Contains(tt.want, "signature") {
					return // the file outside still proves the ledger; the next state is signed
				}
				if _, err := x.sign(); !errors.Is(err, checkpoint.ErrDiffers) {
					t.Errorf("it was signed: %v", err)
				}
				differences, err := x.log.Differences(t.Context())
				if err != nil || len(differences) != 1 {
					t.Errorf("told of %v, %v", differences, err)
				}
				x.append(100, 101) // the business goes on
			})
		})
	}
}

func TestChangeIsBracketed(t *testing.T) {
	onSQLite(t, func(x *rig) {
		for n := range 20 {
			x.add(n, n+1)
		}
		// Everything up to entry 7 stays, byte by byte.
		x.sql(`DELETE FROM ledger_entries WHERE idx >= 8`, `DELETE FROM ledger_hashes WHERE idx >= 15`)
		var root string
		if r, err := ledger.RootAt(t.Context(), x.db.Read(), x.org, 8); err != nil {
			t.Fatal(err)
		} else {
			root = hex(r[:])
		}
		x.sql(`UPDATE ledger_heads SET size = 8, root_sha256 = '` + root + `'`)
		x.salt = "!"
		x.append(8, 30)
		x.reopen()
		list := x.audit()
		if len(list) == 0 || !strings.Contains(list[0].Detail, "entries 0 to 7 are as signed") || !strings.Contains(list[0].Detail, "between entry 8 and entry 8") {
			t.Errorf("found %v", list)
		}
	})
}

// A backup of yesterday agrees with itself; a later checkpoint from anywhere shows it.
func TestOlderDatabase(t *testing.T) {
	run(t, func(x *rig) {
		old := x.add(0, 5)
		oldFile := x.read(x.noteFile())
		later := x.add(6, 12)
		x.sql(`DELETE FROM ledger_entries WHERE idx >= 6`, `DELETE FROM ledger_hashes WHERE idx >= 10`, `DELETE FROM checkpoint_notes WHERE size > 6`,
			`UPDATE ledger_heads SET size = 6, root_sha256 = '`+hex(old.Root[:])+`'`)
		t.Run("the file outside the database tells", func(t *testing.T) {
			x.reopen()
			if _, err := x.sign(); !errors.Is(err, checkpoint.ErrDiffers) {
				t.Errorf("signed: %v", err)
			}
		})
		if err := os.WriteFile(x.noteFile(), []byte(oldFile), 0o600); err != nil { // everything was put back
			t.Fatal(err)
		}
		x.reopen()
		if list := x.audit(); codes(list) != "" {
			t.Errorf("yesterday's state does not agree with itself: %v", list)
		}
		list := x.audit(checkpoint.Known{Name: "kept.txt", Note: later.Note})
		if codes(list) != "shorter " || list[len(list)-1].Subject != "kept.txt" {
			t.Errorf("the later checkpoint shows %v", list)
		}
		// It goes on, is signed, and then a witness comes.
		x.salt = "!"
		x.add(6, 20)
		list = x.audit(checkpoint.Known{Name: "kept.txt", Note: later.Note})
		if codes(list) != "rewritten " {
			t.Errorf("the later checkpoint shows %v", list)
		}
		v, err := x.log.Held(t.Context(), x.org, later.Note)
		if err != nil || !v.Ours || v.Difference == nil || v.Difference.Kind != checkpoint.Rewritten {
			t.Fatalf("the witness is not believed: %+v, %v", v, err)
		}
		x.append(20, 21)
		if _, err := x.sign(); !errors.Is(err, checkpoint.ErrDiffers) {
			t.Errorf("signed after the witness: %v", err)
		}
		x.reopen() // and a restart forgets nothing
		if _, err := x.sign(); !errors.Is(err, checkpoint.ErrDiffers) {
			t.Errorf("signed after a restart: %v", err)
		}
		x.declare("the disk was lost, the backup of yesterday is all there is")
		s, err := x.sign()
		if err != nil || !strings.HasSuffix(s.Origin, "/2") {
			t.Fatalf("not signed after a person decided: %+v, %v", s, err)
		}
		if v, err := x.log.Held(t.Context(), x.org, later.Note); err != nil || !v.Declared || v.Difference != nil {
			t.Errorf("what was declared is told again: %+v, %v", v, err)
		}
		x.reopen()
		s = x.add(21, 25)
		if list := x.audit(checkpoint.Known{Name: "old", Note: later.Note}, checkpoint.Known{Name: "new", Note: s.Note}); codes(list) != "" || len(list) < 2 {
			t.Errorf("after the declaration: %v", list)
		}
	})
}

// declare is a person's decision.
func (x *rig) declare(reason string) {
	x.t.Helper()
	f := x.store(reason)
	if _, err := x.log.Begin(x.t.Context(), f); err != nil {
		x.t.Fatal(err)
	}
	if _, err := x.log.Plan(x.t.Context(), x.org); !errors.Is(err, checkpoint.ErrNothing) {
		x.t.Errorf("there is something more to decide: %v", err)
	}
}

// store stores a fork, and no more.
func (x *rig) store(reason string) checkpoint.Fork {
	x.t.Helper()
	f, err := x.log.Plan(x.t.Context(), x.org)
	if err != nil {
		x.t.Fatal(err)
	}
	if err := x.db.Tx(x.t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		e := x.entry(0)
		e.Act, e.Details = checkpoint.ActForked, f.Details()
		idx, err := ledger.Append(ctx, tx, e)
		if err != nil {
			return err
		}
		return f.Store(ctx, tx, idx, reason, noon)
	}); err != nil {
		x.t.Fatal(err)
	}
	return f
}

func TestLostKey(t *testing.T) {
	onSQLite(t, func(x *rig) {
		before := x.add(0, 5)
		if err := os.Remove(x.config().KeyFile); err != nil {
			t.Fatal(err)
		}
		x.reopen()
		if _, err := os.Stat(x.config().KeyFile); err == nil {
			t.Fatal("a lost key is replaced in silence")
		}
		x.append(5, 6)
		if _, err := x.sign(); !errors.Is(err, checkpoint.ErrDiffers) {
			t.Errorf("signed: %v", err)
		}
		if list := x.audit(); codes(list) != "key " {
			t.Errorf("found %v", list)
		}
		x.declare("the disk with the keys is lost")
		s, err := x.sign()
		if err != nil || s.Key.Equal(before.Key) || !strings.HasSuffix(s.Origin, "/2") {
			t.Errorf("%+v, %v", s, err)
		}
		x.reopen()
		x.add(7, 8)
		if list := x.audit(checkpoint.Known{Name: "a", Note: before.Note}); codes(list) != "" {
			t.Errorf("found %v", list)
		}
	})
}

func TestDamagedFile(t *testing.T) {
	onSQLite(t, func(x *rig) {
		x.add(0, 5)
		if err := os.WriteFile(x.noteFile(), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		x.reopen()
		if _, err := x.sign(); err != nil && !errors.Is(err, checkpoint.ErrDiffers) {
			t.Error(err)
		}
		if list := x.audit(); codes(list) != "file " {
			t.Errorf("found %v", list)
		}
		x.declare("the file was damaged")
		x.add(6, 8)
		if list := x.audit(); codes(list) != "" {
			t.Errorf("found %v", list)
		}
	})
}

func TestForeignNotes(t *testing.T) {
	onSQLite(t, func(x *rig) {
		mine := x.add(0, 5)
		onSQLite(t, func(y *rig) {
			theirs := y.add(0, 9)
			for _, note := range []string{theirs.Note, strings.Replace(mine.Note, "\n6\n", "\n7\n", 1), "", "rubbish"} {
				v, err := x.log.Held(t.Context(), x.org, note)
				if err != nil || v.Ours || v.Difference != nil {
					t.Errorf("%q is taken for ours: %+v, %v", note, v, err)
				}
				if list := x.audit(checkpoint.Known{Name: "a", Note: note}); codes(list) != "foreign " {
					t.Errorf("%q: %v", note, list)
				}
			}
		})
	})
}

// Many who need a signed state at once share it.
func TestSharedSigning(t *testing.T) {
	run(t, func(x *rig) {
		x.add(0, 1)
		var wg sync.WaitGroup
		for n := range 24 {
			wg.Go(func() {
				var at int64
				if err := x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
					i, err := ledger.Append(ctx, tx, x.entry(n))
					at = i
					return err
				}); err != nil {
					t.Error(err)
					return
				}
				s, err := x.log.Sign(t.Context(), x.org, at+1)
				if err != nil || s.Size <= at {
					t.Errorf("entry %d is not in %d: %v", at, s.Size, err)
				}
			})
		}
		wg.Wait()
		x.reopen()
		if list := x.audit(); codes(list) != "" {
			t.Error(list)
		}
	})
}

func hex(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}
