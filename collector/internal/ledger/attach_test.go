package ledger_test

import (
	"context"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
)

// What is attached to an entry until it is sealed is part of what is hashed; afterwards nothing
// is. An entry that is proved before the commit is proved with it.
func TestAttach(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		var proved ledger.Placed
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			facts := map[string]string{"n": "1"}
			e := entry(0)
			e.Details = facts
			for range 3 {
				if _, err := ledger.Append(ctx, tx, e); err != nil {
					return err
				}
			}
			facts["n"] = "2" // which is the caller's own affair
			for _, word := range []string{"a", "b"} {
				if !ledger.Attach(tx, "org_1", 1, "said", word) {
					t.Errorf("%s was not attached", word)
				}
			}
			// A statement that names only a column of that name, and rows of others that are written.
			if _, err := tx.ExecContext(ctx, `UPDATE incident_entry SET ledger_idx = 0 WHERE id = ''`); err != nil {
				return err
			}
			var err error
			if proved, err = ledger.Prove(ctx, tx, "org_1", 1); err != nil {
				return err
			}
			if ledger.Attach(tx, "org_1", 1, "said", "c") || ledger.Attach(tx, "org_1", 3, "said", "c") || ledger.Attach(tx, "org_2", 0, "said", "c") {
				t.Error("attached to an entry that is sealed, or none")
			}
			if !ledger.Attach(tx, "org_1", 2, "said", "late") {
				t.Error("later entries were sealed too")
			}
			var n int
			if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM ledger_entries`).Scan(&n); err != nil || n != 3 {
				t.Errorf("the transaction sees %d entries, %v", n, err)
			}
			if ledger.Attach(tx, "org_1", 2, "said", "later") {
				t.Error("attached to an entry that somebody has read")
			}
			e.At = e.At.Add(-time.Second)
			_, err = ledger.Append(ctx, tx, e)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		list, err := ledger.Entries(t.Context(), db.Read(), ledger.Filter{OrganisationID: "org_1"})
		if err != nil || len(list) != 4 {
			t.Fatalf("%+v, %v", list, err)
		}
		if list[2].Details["said"] != "a b" || list[1].Details["said"] != "late" || list[3].Details["said"] != "" || list[3].Details["n"] != "1" {
			t.Errorf("%+v", list)
		}
		if moved := list[0]; !moved.At.Equal(noon) || !moved.Told.Equal(noon.Add(-time.Second)) || !list[1].Told.Equal(noon) {
			t.Errorf("%+v", moved)
		}
		proof, err := ledger.Inclusion(t.Context(), db.Read(), "org_1", 2, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(proof, 2, proved.Head.Root, 1, proved.Leaf); err != nil || proved.Leaf != list[2].Leaf {
			t.Errorf("%v, %+v", err, proved)
		}
		if problems, err := ledger.Verify(t.Context(), db.Read(), nil); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	})
}

// A transaction with very many entries holds the newest alone back.
func TestManyEntriesAtOnce(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		const many = 5000
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			for i := range many {
				if _, err := ledger.Append(ctx, tx, entry(i)); err != nil {
					return err
				}
			}
			if ledger.Attach(tx, "org_1", 0, "said", "a") || !ledger.Attach(tx, "org_1", many-1, "said", "a") {
				t.Error("the oldest waits, or the newest does not")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if problems, err := ledger.Verify(t.Context(), db.Read(), nil); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
		if head, err := ledger.HeadOf(t.Context(), db.Read(), "org_1"); err != nil || head.Size != many {
			t.Errorf("%+v, %v", head, err)
		}
	})
}
