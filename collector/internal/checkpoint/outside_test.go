package checkpoint_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/sqldb"
)

func (x *rig) begunFile() string { return filepath.Join(x.dir, "ledger", x.org+".begun") }

func (x *rig) write(path, text string) {
	x.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) remove(path string) {
	x.t.Helper()
	if err := os.RemoveAll(path); err != nil {
		x.t.Fatal(err)
	}
}

// refused wants that nothing is signed, and returns how the ledger differs.
func (x *rig) refused() checkpoint.Kind {
	x.t.Helper()
	if _, err := x.sign(); !errors.Is(err, checkpoint.ErrDiffers) {
		x.t.Errorf("it was signed: %v", err)
	}
	list, err := x.log.Differences(x.t.Context())
	if err != nil || len(list) != 1 || list[0].Passing {
		x.t.Fatalf("told of %v, %v", list, err)
	}
	return list[0].Kind
}

// signs wants that an honest ledger is signed under so many lines without a word.
func (x *rig) signs(line int64) checkpoint.Signed {
	x.t.Helper()
	if list := x.audit(); codes(list) != "" {
		x.t.Errorf("found %v", list)
	}
	n := x.n()
	s := x.add(n, n+1)
	if s.Line != line {
		x.t.Errorf("signed under the line %d, want %d", s.Line, line)
	}
	if _, err := os.Stat(x.begunFile()); err == nil {
		x.t.Error("a line that began is still said to begin")
	}
	if list := x.audit(); codes(list) != "" {
		x.t.Errorf("found %v", list)
	}
	return s
}

// invent is what somebody does who can write the database alone: a line of the key that
// all know, after a note that nobody signed.
func (x *rig) invent(s checkpoint.Signed, no int64) {
	x.t.Helper()
	base := strings.TrimSuffix(s.Origin, "/2")
	origin := fmt.Sprintf("%s/%d", base, no)
	if err := x.db.Tx(x.t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO checkpoint_lines (organisation_id, line, origin, verifier_key, started_at, size, kind, known_note, reason, ledger_idx)
			SELECT organisation_id, $1, $2, $3, started_at, size, 'shorter', $4, 'r', 1 FROM checkpoint_lines WHERE line = 1`, no, origin, s.Key.Text(origin), forged(s))
		return err
	}); err != nil {
		x.t.Fatal(err)
	}
}

// forged is a note of more entries than there ever were, with a signature that is none.
func forged(s checkpoint.Signed) string {
	return strings.Replace(s.Note, fmt.Sprintf("\n%d\n", s.Size), "\n999999999\n", 1)
}

func TestInventedLine(t *testing.T) {
	onSQLite(t, func(x *rig) {
		s := x.add(0, 8)
		x.rewrite("!", 12)
		x.invent(s, 2)
		x.reopen()
		if k := x.refused(); k != checkpoint.Rewritten {
			t.Errorf("told as %s", k)
		}
		if got := codes(x.audit()); !strings.Contains(got, "line ") || !strings.Contains(got, "rewritten ") {
			t.Errorf("found %q", got)
		}
		v, err := x.log.Held(t.Context(), x.org, s.Note)
		if err != nil || !v.Ours || v.Declared || v.Difference == nil {
			t.Errorf("a note that nobody signed hushes a witness: %+v, %v", v, err)
		}
		x.declare("it was rewritten")
		x.signs(3)
	})
	t.Run("with nothing rewritten yet", func(t *testing.T) {
		onSQLite(t, func(x *rig) {
			s := x.add(0, 8)
			x.invent(s, 2)
			x.reopen()
			if k := x.refused(); k != checkpoint.OtherLine {
				t.Errorf("told as %s", k)
			}
		})
	})
	t.Run("after a plan that came to nothing", func(t *testing.T) {
		for name, end := range map[string]func(x *rig, f checkpoint.Fork){
			"a crash": func(x *rig, f checkpoint.Fork) {
				x.reopen()
				x.refused()
			},
			"an error": func(x *rig, f checkpoint.Fork) {
				if err := x.log.Abandon(t.Context(), f); err != nil {
					t.Error(err)
				}
			},
		} {
			onSQLite(t, func(x *rig) {
				s := x.add(0, 8)
				x.rewrite("!", 12)
				x.reopen()
				f, err := x.log.Plan(t.Context(), x.org)
				if err != nil {
					t.Fatal(err)
				}
				end(x, f)
				if _, err := os.Stat(x.begunFile()); err == nil {
					t.Errorf("%s: the plan is kept", name)
				}
				x.invent(s, 2)
				x.reopen()
				x.refused()
			})
		}
	})
}

// What a real declaration covers is what a key signed, not what the row says.
func TestDeclarationIsSigned(t *testing.T) {
	onSQLite(t, func(x *rig) {
		later := x.add(0, 8)
		x.rewrite("!", 4)
		x.reopen()
		x.declare("the disk was lost")
		if v, err := x.log.Held(t.Context(), x.org, later.Note); err != nil || !v.Declared {
			t.Fatalf("%+v, %v", v, err)
		}
		if err := x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE checkpoint_lines SET known_note = $1 WHERE line = 2`, forged(later))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if v, err := x.log.Held(t.Context(), x.org, later.Note); err != nil || v.Declared || v.Difference == nil {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

func TestMissingFile(t *testing.T) {
	for name, also := range map[string]func(x *rig){
		"alone":                        func(*rig) {},
		"with the rows of checkpoints": func(x *rig) { x.sql(`DELETE FROM checkpoint_notes`) },
		"and cut back":                 func(x *rig) { x.sql(`DELETE FROM checkpoint_notes`); x.rewrite("", 3) },
	} {
		t.Run(name, func(t *testing.T) {
			onSQLite(t, func(x *rig) {
				x.add(0, 4)
				x.add(5, 9)
				x.remove(x.noteFile())
				also(x)
				x.reopen()
				if k := x.refused(); k != checkpoint.BadFile {
					t.Errorf("told as %s", k)
				}
				if got := codes(x.audit()); got != "file " {
					t.Errorf("found %q", got)
				}
				x.declare("the folder was not restored")
				x.reopen()
				x.signs(2)
			})
		})
	}
}

// A loss of power between any two steps makes no difference that a person must decide about.
func TestPowerLoss(t *testing.T) {
	begun := func(origin, key, known string) string {
		return fmt.Sprintf("%s\n%s\n%x\n", origin, key, sha256.Sum256([]byte(known)))
	}
	for name, lose := range map[string]func(x *rig, s checkpoint.Signed){
		"before the line": func(x *rig, _ checkpoint.Signed) {
			x.sql(`DELETE FROM checkpoint_lines`, `DELETE FROM checkpoint_notes`)
			x.remove(x.noteFile())
		},
		"before the first file":   func(x *rig, _ checkpoint.Signed) { x.sql(`DELETE FROM checkpoint_notes`); x.remove(x.noteFile()) },
		"before the file is over": func(x *rig, _ checkpoint.Signed) { x.sql(`DELETE FROM checkpoint_notes`) },
		"before the first row":    func(x *rig, _ checkpoint.Signed) { x.sql(`DELETE FROM checkpoint_notes`); x.remove(x.begunFile()) },
	} {
		t.Run(name, func(t *testing.T) {
			onSQLite(t, func(x *rig) {
				s := x.add(0, 4)
				x.write(x.begunFile(), begun(s.Origin, s.Key.Text(s.Origin), ""))
				lose(x, s)
				x.reopen()
				x.signs(1)
			})
		})
	}
	for name, lose := range map[string]func(x *rig){
		"after a fork is stored":      func(*rig) {},
		"after the file is set aside": func(x *rig) { x.remove(x.noteFile()) },
	} {
		t.Run(name, func(t *testing.T) {
			onSQLite(t, func(x *rig) {
				x.add(0, 8)
				x.rewrite("!", 4)
				x.reopen()
				x.store("r")
				lose(x)
				x.reopen()
				if list := x.audit(); codes(list) != "" {
					t.Errorf("found %v", list)
				}
				x.signs(2)
			})
		})
	}
}

// What cannot be read now may be read later: nothing is signed meanwhile, and nobody has to
// decide anything.
func TestPassingError(t *testing.T) {
	for name, path := range map[string]func(x *rig) string{
		"the newest state": (*rig).noteFile,
		"the key":          func(x *rig) string { return x.config().KeyFile },
	} {
		t.Run(name, func(t *testing.T) {
			onSQLite(t, func(x *rig) {
				x.add(0, 4)
				kept := x.read(path(x))
				x.remove(path(x))
				if err := os.Mkdir(path(x), 0o700); err != nil { // reading it fails, whoever reads
					t.Fatal(err)
				}
				x.reopen()
				x.append(5, 6)
				if _, err := x.sign(); err == nil || errors.Is(err, checkpoint.ErrDiffers) {
					t.Errorf("%v", err)
				}
				if list, err := x.log.Differences(t.Context()); err != nil || len(list) != 1 || !list[0].Passing {
					t.Errorf("told of %v, %v", list, err)
				}
				if _, err := x.log.Plan(t.Context(), x.org); err == nil {
					t.Error("somebody may decide about it")
				}
				x.remove(path(x))
				x.write(path(x), kept)
				if list, err := x.log.Differences(t.Context()); err != nil || len(list) != 0 {
					t.Errorf("told of %v, %v", list, err)
				}
				x.signs(1)
			})
		})
	}
}

func TestWitnessWhileNothingCanBeKept(t *testing.T) {
	onSQLite(t, func(x *rig) {
		s := x.add(0, 8)
		x.sql(`DELETE FROM checkpoint_lines`, `DELETE FROM checkpoint_notes`)
		x.rewrite("!", 3)
		dir := filepath.Dir(x.noteFile())
		x.reopen()
		x.remove(dir)
		if _, err := x.log.Held(t.Context(), x.org, s.Note); err == nil {
			t.Fatal("it was kept nowhere")
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		x.add(3, 4) // signing is not stuck
		if v, err := x.log.Held(t.Context(), x.org, s.Note); err != nil || v.Difference == nil {
			t.Errorf("%+v, %v", v, err)
		}
		x.refused()
	})
}

func TestCopy(t *testing.T) {
	onSQLite(t, func(x *rig) {
		x.add(0, 4)
		x.add(5, 9)
		c, err := x.log.Copy()
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "ledger")
		if err := os.Mkdir(to, 0o700); err != nil {
			t.Fatal(err)
		}
		x.write(filepath.Join(to, "old.checkpoint"), "of a backup before")
		x.write(filepath.Join(to, "old.line-1.txt"), "kept")
		if err := c.Store(to); err != nil {
			t.Fatal(err)
		}
		if got := x.read(filepath.Join(to, x.org+".checkpoint")); got != x.read(x.noteFile()) {
			t.Errorf("copied %q", got)
		}
		if list, err := os.ReadDir(to); err != nil || len(list) != 2 {
			t.Errorf("there are %v, %v", list, err)
		}
		x.add(10, 12)
		later, err := x.log.Copy()
		if err != nil || !later.SameLines(c) {
			t.Errorf("further signed is another line: %v", err)
		}
		if c.SameLines(checkpoint.Copy{}) {
			t.Error("no line is the same as one")
		}
	})
}
