package checkpoint_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
)

func entryKey(t *testing.T, letter string) ledger.Key {
	t.Helper()
	k, err := secret.NewKey([]byte(strings.Repeat(letter, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return ledger.NewKey(k)
}

// as appends entries, well formed in every row, as somebody with another key or none.
func (x *rig) as(k ledger.Key, from, to int) {
	x.t.Helper()
	own := ledger.KeyOf(x.db)
	k.Bind(x.db)
	x.append(from, to)
	own.Bind(x.db)
	if problems, err := ledger.Verify(x.t.Context(), x.db.Read(), nil); err != nil || len(problems) > 0 {
		x.t.Fatalf("the ledger does not agree with itself: %v, %v", problems, err)
	}
}

func (x *rig) macsFile() string { return filepath.Join(x.dir, "ledger", x.org+".macs") }

// Whoever writes an entry into the database, right in every row, has it neither signed nor
// taken for one of the collector's, until a person decides.
func TestForgedEntry(t *testing.T) {
	const mac = `UPDATE ledger_entries SET mac = (SELECT o.mac FROM ledger_entries o WHERE o.idx = %d AND o.organisation_id = ledger_entries.organisation_id) WHERE idx = %d`
	for name, forge := range map[string]func(x *rig, s checkpoint.Signed){
		"appended":                func(x *rig, _ checkpoint.Signed) { x.as(ledger.Key{}, 4, 5) },
		"appended between":        func(x *rig, _ checkpoint.Signed) { x.append(4, 5); x.as(ledger.Key{}, 5, 6); x.append(6, 7) },
		"with another key":        func(x *rig, _ checkpoint.Signed) { x.as(entryKey(x.t, "k"), 4, 5) },
		"with the MAC of another": func(x *rig, s checkpoint.Signed) { x.as(ledger.Key{}, 4, 5); x.sql(fmt.Sprintf(mac, 2, s.Size)) },
		"MAC taken away": func(x *rig, _ checkpoint.Signed) {
			x.append(4, 5)
			x.sql(`UPDATE ledger_entries SET mac = '' WHERE idx = 5`)
		},
		"MACs of two exchanged": func(x *rig, _ checkpoint.Signed) { x.append(4, 6); x.sql(fmt.Sprintf(mac, 6, 5)) },
		"entry written over again": func(x *rig, s checkpoint.Signed) {
			x.append(4, 5)
			var own string
			if err := x.db.Read().QueryRowContext(x.t.Context(), `SELECT mac FROM ledger_entries WHERE idx = 5`).Scan(&own); err != nil {
				x.t.Fatal(err)
			}
			x.sql(`DELETE FROM ledger_entries WHERE idx >= 5`, `DELETE FROM ledger_hashes WHERE idx >= 8`,
				`UPDATE ledger_heads SET size = 5, root_sha256 = '`+hex(s.Root[:])+`'`)
			x.as(ledger.Key{}, 7, 8)
			x.sql(`UPDATE ledger_entries SET mac = '` + own + `' WHERE idx = 5`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(x *rig) {
				entryKey(x.t, "a").Bind(x.db)
				s := x.add(0, 4)
				if s.Size != 5 || codes(x.audit()) != "" {
					x.t.Fatalf("signed %d entries, %v", s.Size, x.audit())
				}
				forge(x, s)
				was := x.read(x.noteFile())
				for range 2 { // a restart forgets nothing
					if k := x.refused(); k != checkpoint.Forged {
						x.t.Errorf("it differs as %s", k)
					}
					x.reopen()
				}
				if x.read(x.noteFile()) != was {
					x.t.Error("something was signed")
				}
				if list := x.audit(); codes(list) != "forged " {
					x.t.Errorf("found %v", list)
				}
				x.refused()
				x.declare("a person looked at it")
				x.append(8, 9)
				if s, err := x.sign(); err != nil || s.Line != 2 || codes(x.audit()) != "" {
					x.t.Errorf("after the decision: %+v, %v, %v", s, err, x.audit())
				}
				x.as(ledger.Key{}, 9, 10)
				if k := x.refused(); k != checkpoint.Forged {
					x.t.Errorf("after the decision it differs as %s", k)
				}
			})
		})
	}
}

// A changed MAC of what is signed is named too.
func TestMACsOfSignedEntries(t *testing.T) {
	run(t, func(x *rig) {
		entryKey(x.t, "a").Bind(x.db)
		x.add(0, 4)
		x.sql(`UPDATE ledger_entries SET mac = '' WHERE idx IN (1, 2)`)
		list := x.audit()
		if codes(list) != "forged " || list[0].Subject != "ledger 1" || !strings.HasPrefix(list[0].Detail, "entries 1 to 2:") {
			x.t.Errorf("found %v", list)
		}
	})
}

// A root that is not made of the leaves that have MACs is not signed.
func TestRootOfOtherLeaves(t *testing.T) {
	run(t, func(x *rig) {
		entryKey(x.t, "a").Bind(x.db)
		x.append(0, 4)
		x.sql(`UPDATE ledger_heads SET root_sha256 = (SELECT record_sha256 FROM ledger_entries WHERE idx = 0)`)
		key, head := ledger.KeyOf(x.db), ledger.Head{}
		head, err := ledger.HeadOf(x.t.Context(), x.db.Read(), x.org)
		if err != nil {
			x.t.Fatal(err)
		}
		for lo := range head.Size {
			if _, err := key.Grown(x.t.Context(), x.db.Read(), lo, head); err == nil {
				x.t.Errorf("from %d on: taken", lo)
			}
		}
	})
}

// Entries of before MACs are taken as they are at the first start, and none after them.
func TestEntriesBeforeMACs(t *testing.T) {
	for _, signed := range []bool{true, false} {
		t.Run(fmt.Sprintf("signed=%t", signed), func(t *testing.T) {
			run(t, func(x *rig) {
				x.append(0, 4)
				if signed {
					x.add(4, 6)
				}
				x.append(6, 8)
				older := x.size()
				entryKey(x.t, "a").Bind(x.db)
				x.reopen()
				x.add(8, 10)
				if list := x.audit(); codes(list) != "" {
					x.t.Errorf("found %v", list)
				}
				if s := x.read(x.macsFile()); s != fmt.Sprintf("%d %s\n", older, ledger.KeyOf(x.db).ID()) {
					x.t.Errorf("entries have MACs from: %q", s)
				}
				x.as(ledger.Key{}, 10, 11)
				if k := x.refused(); k != checkpoint.Forged || codes(x.audit()) != "forged " {
					x.t.Errorf("it differs as %s, %v", k, x.audit())
				}
			})
		})
	}
}

// Another key is told of as that, and a person decides.
func TestOtherEntryKey(t *testing.T) {
	run(t, func(x *rig) {
		entryKey(x.t, "a").Bind(x.db)
		x.add(0, 4)
		entryKey(x.t, "b").Bind(x.db)
		x.reopen()
		x.append(4, 5)
		if k := x.refused(); k != checkpoint.EntryKey {
			x.t.Errorf("it differs as %s", k)
		}
		if list := x.audit(); codes(list) != "entry_key " {
			x.t.Errorf("found %v", list)
		}
		x.declare("the key was lost")
		x.add(5, 6)
		if list := x.audit(); codes(list) != "" {
			x.t.Errorf("after the decision: %v", list)
		}
		if err := os.WriteFile(x.macsFile(), []byte("0"), 0o600); err != nil {
			x.t.Fatal(err)
		}
		x.append(6, 7)
		if k := x.refused(); k != checkpoint.BadFile || codes(x.audit()) != "file " {
			x.t.Errorf("a damaged file: %s, %v", k, x.audit())
		}
	})
}

// A person decides once: when the collector stops between that and the first signature, what
// was decided holds, and no more than that.
func TestDecisionCutOff(t *testing.T) {
	for name, differ := range map[string]func(x *rig){
		"forged":        func(x *rig) { x.as(ledger.Key{}, 4, 6) },
		"another key":   func(x *rig) { entryKey(x.t, "b").Bind(x.db) },
		"damaged MACs":  func(x *rig) { x.write(x.macsFile(), "0") },
		"damaged state": func(x *rig) { x.write(x.noteFile(), "0") },
		"older":         func(x *rig) { x.rewrite("!", 2) },
	} {
		for _, aside := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/aside=%t", name, aside), func(t *testing.T) {
				run(t, func(x *rig) {
					entryKey(t, "a").Bind(x.db)
					x.add(0, 4)
					differ(x)
					x.reopen()
					x.append(6, 7)
					x.refused()
					x.store("a person looked at it")
					last := x.read(x.noteFile())
					if aside {
						x.remove(x.noteFile())
					}
					x.reopen()
					if list := x.audit(); codes(list) != "" && (aside || name != "damaged state" || codes(list) != "file ") {
						t.Errorf("found %v", list)
					}
					if s, err := x.sign(); err != nil || s.Line != 2 {
						t.Fatalf("not signed after the decision: %+v, %v", s, err)
					}
					if !aside && x.read(filepath.Join(x.dir, "ledger", x.org+".line-1.txt")) != last {
						t.Error("the last state of the line before is not kept")
					}
					x.signs(2)
					x.as(ledger.Key{}, 8, 9)
					if k := x.refused(); k != checkpoint.Forged {
						t.Errorf("an entry after the decision differs as %s", k)
					}
				})
			})
		}
	}
}

// What somebody wrote into the database as a decision is none, even while the file of one that
// was never stored lies there.
func TestInventedDecision(t *testing.T) {
	for name, invent := range map[string]func(x *rig, f checkpoint.Fork, own int64){
		"an entry of another act": func(*rig, checkpoint.Fork, int64) {},
		"an entry made into one": func(x *rig, f checkpoint.Fork, own int64) {
			text := fmt.Sprintf(`{"format":"hozen-ledger-entry/1","index":%d,"organisation_id":"%s","at":"2026-11-23T12:00:00.000000000Z","actor":{"kind":"system"},"act":"ledger.fork","subject":"x","details":{"verifier_key":"%s"}}`,
				own, x.org, f.Key.Text(f.Origin))
			x.sql(fmt.Sprintf(`UPDATE ledger_entries SET entry_json = '%s' WHERE idx = %d`, text, own))
		},
		"no entry": func(x *rig, _ checkpoint.Fork, own int64) {
			x.sql(fmt.Sprintf(`UPDATE checkpoint_lines SET ledger_idx = %d WHERE line = 2`, own+1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(x *rig) {
				entryKey(t, "a").Bind(x.db)
				x.add(0, 4)
				x.as(ledger.Key{}, 4, 5)
				x.append(5, 6)
				own := x.size() - 1
				x.refused()
				f, err := x.log.Plan(t.Context(), x.org)
				if err != nil {
					t.Fatal(err)
				}
				if err := x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error { return f.Store(ctx, tx, own, "r", noon) }); err != nil {
					t.Fatal(err)
				}
				invent(x, f, own)
				x.reopen()
				if k := x.refused(); k != checkpoint.Forged {
					t.Errorf("it differs as %s", k)
				}
			})
		})
	}
}
