package checkpoint_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/id"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// rig is a ledger with its signed states; reopening it is restarting the collector.
type rig struct {
	t    *testing.T
	db   *sqldb.DB
	dir  string
	org  string
	log  *checkpoint.Log
	salt string // of the entries' details, so that a rewritten ledger differs
}

func run(t *testing.T, fn func(x *rig)) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		x := &rig{t: t, db: db, dir: t.TempDir(), org: id.New(id.Organisation)}
		x.reopen()
		fn(x)
	})
}

func (x *rig) config() checkpoint.Config {
	return checkpoint.Config{DB: x.db, KeyFile: filepath.Join(x.dir, "ledger-key.pem"), Dir: filepath.Join(x.dir, "ledger"), Name: "hozen-custody/0123456789abcdef",
		Now: func() time.Time { return noon }}
}

func (x *rig) reopen() {
	x.t.Helper()
	var err error
	if x.log, err = checkpoint.Open(x.t.Context(), x.config()); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) entry(n int) ledger.Entry {
	return ledger.Entry{OrganisationID: x.org, At: noon, ActorKind: "system", Act: "incident.note", Subject: fmt.Sprintf("inc_%d", n), Details: map[string]string{"n": fmt.Sprint(n) + x.salt}}
}

// add appends entries and signs.
func (x *rig) add(from, to int) checkpoint.Signed {
	x.t.Helper()
	x.append(from, to)
	s, err := x.sign()
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

func (x *rig) append(from, to int) {
	x.t.Helper()
	if err := x.db.Tx(x.t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		for n := from; n < to; n++ {
			if _, err := ledger.Append(ctx, tx, x.entry(n)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) size() int64 {
	x.t.Helper()
	h, err := ledger.HeadOf(x.t.Context(), x.db.Read(), x.org)
	if err != nil {
		x.t.Fatal(err)
	}
	return h.Size
}

func (x *rig) sign() (checkpoint.Signed, error) {
	return x.log.Sign(x.t.Context(), x.org, x.size())
}

// sql is what somebody with every right over the database does.
func (x *rig) sql(statements ...string) {
	x.t.Helper()
	if err := x.db.Tx(x.t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	}); err != nil {
		x.t.Fatal(err)
	}
}

// rewrite makes a ledger of so many entries that agrees with itself in every row.
func (x *rig) rewrite(salt string, entries int) {
	x.t.Helper()
	x.sql(`DELETE FROM ledger_entries`, `DELETE FROM ledger_hashes`, `DELETE FROM ledger_heads`)
	x.salt = salt
	x.append(0, entries)
	if problems, err := ledger.Verify(x.t.Context(), x.db.Read(), nil); err != nil || len(problems) > 0 {
		x.t.Fatalf("the rewritten ledger does not agree with itself: %v, %v", problems, err)
	}
}

func (x *rig) audit(known ...checkpoint.Known) []checkpoint.Finding {
	x.t.Helper()
	files, err := x.log.Files()
	if err != nil {
		x.t.Fatal(err)
	}
	list, err := x.log.Audit(x.t.Context(), x.db.Read(), files, known)
	if err != nil {
		x.t.Fatal(err)
	}
	return list
}

// codes are the codes of the problems.
func codes(list []checkpoint.Finding) string {
	s := ""
	for _, f := range list {
		if !f.Note {
			s += string(f.Code) + " "
		}
	}
	return s
}

func (x *rig) noteFile() string { return filepath.Join(x.dir, "ledger", x.org+".checkpoint") }

func (x *rig) read(path string) string {
	x.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		x.t.Fatal(err)
	}
	return string(b)
}
