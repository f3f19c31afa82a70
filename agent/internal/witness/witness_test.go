package witness_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/agent/internal/witness"
	"hozen/internal/custody/checkpoint"
)

const (
	owner = "end_1/ca"
	name  = "hozen-custody/0123456789abcdef"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// ledger is a collector's ledger in memory.
type ledger struct {
	t      testing.TB
	origin string
	key    ed25519.PrivateKey
	hashes []tlog.Hash
	n      int64
}

func newLedger(t testing.TB, origin string, seed byte) *ledger {
	return &ledger{t: t, origin: origin, key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))}
}

func (l *ledger) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = l.hashes[x]
	}
	return out, nil
}

func (l *ledger) grow(what string, n int) *ledger {
	l.t.Helper()
	for range n {
		h, err := tlog.StoredHashes(l.n, fmt.Append(nil, what, l.n), l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.hashes, l.n = append(l.hashes, h...), l.n+1
	}
	return l
}

// show is what the collector shows to somebody who has seen from entries.
func (l *ledger) show(from int64) witness.Shown {
	l.t.Helper()
	root, err := tlog.TreeHash(l.n, l)
	if err != nil {
		l.t.Fatal(err)
	}
	c, err := checkpoint.Sign(checkpoint.Checkpoint{Origin: l.origin, Size: l.n, Root: root}, l.key)
	if err != nil {
		l.t.Fatal(err)
	}
	s := witness.Shown{Note: c.Note, VerifierKey: checkpoint.Key(l.key.Public().(ed25519.PublicKey)).Text(l.origin)}
	if from > 0 && from < l.n {
		p, err := tlog.ProveTree(l.n, from, l)
		if err != nil {
			l.t.Fatal(err)
		}
		s.From, s.Proof = from, checkpoint.Hashes(p)
	}
	return s
}

func TestNewestStateIsKept(t *testing.T) {
	dir := t.TempDir()
	s := witness.Open(dir, nil)
	l := newLedger(t, name+"/org_1", 1).grow("a", 3)
	for _, step := range []struct{ from, grow int64 }{{0, 0}, {3, 4}, {7, 0}, {7, 90}} {
		l.grow("a", int(step.grow))
		if c := s.Show(owner, name, l.show(step.from), noon); c != nil {
			t.Fatalf("an honest ledger of %d: %+v", l.n, c)
		}
		s = witness.Open(dir, nil)
		if seen, conflicts := s.Seen(owner); seen.Size != l.n || conflicts != 0 {
			t.Errorf("%d entries are remembered, %d were shown", seen.Size, l.n)
		}
	}
	if seen, _ := s.Seen("end_2/ca"); seen.Note != "" {
		t.Error("what one enrolment saw counts for another")
	}
	other := newLedger(t, name+"/org_2", 2).grow("b", 2)
	if c := s.Show("end_2/ca", name, other.show(0), noon); c != nil {
		t.Errorf("enrolled anew: %+v", c)
	}
	if seen, _ := s.Seen("end_2/ca"); seen.Size != 2 {
		t.Errorf("%d entries are remembered", seen.Size)
	}
}

func TestBothStatesAreKept(t *testing.T) {
	good := func() *ledger { return newLedger(t, name+"/org_1", 1).grow("a", 10) }
	unproven := good().grow("a", 5).show(10)
	unproven.Proof = nil
	elsewhere := newLedger(t, "hozen-custody/ffffffffffffffff/org_1", 1).grow("a", 12)
	forged := good().grow("a", 5).show(10)
	forged.Note = forged.Note[:len(forged.Note)-8] + "AAAAAA=\n"
	for what, tt := range map[string]struct {
		shown  witness.Shown
		kind   witness.Kind
		follow bool
	}{
		"yesterday's backup":              {newLedger(t, name+"/org_1", 1).grow("a", 6).show(0), witness.Shorter, false},
		"other entries, same number":      {newLedger(t, name+"/org_1", 1).grow("b", 10).show(0), witness.Rewritten, false},
		"gone on from yesterday's backup": {newLedger(t, name+"/org_1", 1).grow("a", 6).grow("c", 20).show(10), witness.Rewritten, false},
		"no proof":                        {unproven, witness.Rewritten, false},
		"another key":                     {newLedger(t, name+"/org_1", 2).grow("a", 12).show(10), witness.OtherKey, false},
		"a new line":                      {newLedger(t, name+"/org_1/2", 1).grow("a", 8).show(0), witness.OtherOrigin, true},
		"a new line with a new key":       {newLedger(t, name+"/org_1/2", 3).grow("a", 8).show(0), witness.OtherOrigin, true},
		"another collector's log":         {elsewhere.show(0), witness.BadNote, false},
		"a wrong signature":               {forged, witness.BadNote, false},
		"no note":                         {witness.Shown{Note: "x", VerifierKey: "y"}, witness.BadNote, false},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			s := witness.Open(dir, nil)
			first := good().show(0)
			s.Show(owner, name, first, noon)
			c := s.Show(owner, name, tt.shown, noon)
			if c == nil || c.Kind != tt.kind || c.Seen != first.Note || c.Shown != tt.shown.Note {
				t.Fatalf("conflict %+v, want %s", c, tt.kind)
			}
			if again := s.Show(owner, name, tt.shown, noon); again != nil {
				t.Errorf("told again: %+v", again)
			}
			s = witness.Open(dir, nil)
			if list := s.Untold(owner); len(list) != 1 || list[0].ID != c.ID || list[0].Seen != first.Note || list[0].Shown != tt.shown.Note {
				t.Fatalf("after a restart there is %+v", list)
			}
			seen, conflicts := s.Seen(owner)
			want := first.Note
			if tt.follow {
				want = tt.shown.Note
			}
			if conflicts != 1 || seen.Note != want {
				t.Errorf("%d conflicts, remembered is %q", conflicts, seen.Note)
			}
			s.Told(c.ID)
			s = witness.Open(dir, nil)
			if list := s.Untold(owner); len(list) != 0 {
				t.Errorf("told, and there is %+v", list)
			}
			if _, conflicts := s.Seen(owner); conflicts != 1 {
				t.Error("a conflict that was told is forgotten")
			}
		})
	}
}

func TestConflictsAreBounded(t *testing.T) {
	s := witness.Open(t.TempDir(), nil)
	s.Show(owner, name, newLedger(t, name+"/org_1", 1).grow("a", 10).show(0), noon)
	for i := range 100 {
		s.Show(owner, name, newLedger(t, fmt.Sprintf("%s/org_1/%d", name, i+2), 1).grow("x", 1).show(0), noon)
	}
	if _, n := s.Seen(owner); n == 0 || n > 20 {
		t.Errorf("%d conflicts are kept", n)
	}
}

// A record that cannot be read keeps the agent from nothing.
func TestDamagedRecord(t *testing.T) {
	for _, damage := range []string{"", "{", `{"format":"other"}`, `{"format":"hozen-witness/1","note":"rubbish"}`} {
		dir := t.TempDir()
		path := filepath.Join(dir, "ledger.json")
		if err := os.WriteFile(path, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		s := witness.Open(dir, nil)
		l := newLedger(t, name+"/org_1", 1).grow("a", 2)
		if c := s.Show(owner, name, l.show(0), noon); c != nil {
			t.Errorf("%q: %+v", damage, c)
		}
		if seen, _ := witness.Open(dir, nil).Seen(owner); seen.Size != 2 {
			t.Errorf("%q: %d entries are remembered", damage, seen.Size)
		}
		if b, err := os.ReadFile(path + ".bad"); err != nil || string(b) != damage {
			t.Errorf("%q: not put aside: %q, %v", damage, b, err)
		}
	}
}

func TestUnwritableFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := witness.Open(dir, nil)
	l := newLedger(t, name+"/org_1", 1).grow("a", 5)
	s.Show(owner, name, l.show(0), noon)
	if c := s.Show(owner, name, newLedger(t, name+"/org_1", 1).grow("a", 3).show(0), noon); c == nil {
		t.Error("without a disk nothing is noticed")
	}
}

func FuzzShow(f *testing.F) {
	l := newLedger(f, name+"/org_1", 1).grow("a", 4)
	s := l.show(2)
	f.Add(s.Note, s.VerifierKey, int64(2), bytes.Join(s.Proof, nil))
	f.Add("", "", int64(-1), []byte{1})
	f.Fuzz(func(t *testing.T, note, key string, from int64, raw []byte) {
		var proof [][]byte
		for len(raw) > 0 {
			n := min(32, len(raw))
			proof, raw = append(proof, raw[:n]), raw[n:]
		}
		w := witness.Open(t.TempDir(), nil)
		first := newLedger(t, name+"/org_1", 1).grow("a", 3).show(0)
		w.Show(owner, name, first, noon)
		w.Show(owner, name, witness.Shown{Note: note, VerifierKey: key, From: from, Proof: proof}, noon)
		if seen, _ := w.Seen(owner); seen.Note != first.Note && seen.Note != note {
			t.Error("what was seen is forgotten")
		}
	})
}
