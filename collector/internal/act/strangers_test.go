package act_test

import (
	"context"
	"errors"
	"testing"

	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/sqldb"
)

// Rows of an organisation that has no ledger are named whatever table they are in, also where
// every audit goes by ledgers and would not meet them.
func TestRowsOfNobodyAreNamed(t *testing.T) {
	x := scene(t)
	ctx, undo := t.Context(), errors.New("undo")
	look := func(q sqldb.Queryer) []fsck.Problem {
		t.Helper()
		found, err := fsck.Strangers(ctx, q, x.db.Dialect())
		ok(t, err)
		return found
	}
	if found := look(x.db.Read()); len(found) > 0 {
		t.Fatalf("of what the collector wrote: %+v", found)
	}
	tried := map[string]bool{}
	for _, table := range x.column(t, `SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'organisation_id' AND m.name <> 'ledger_heads'`) {
		wantErr(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			r, err := tx.ExecContext(ctx, `UPDATE `+table+` SET organisation_id = 'org_x' WHERE rowid = (SELECT MIN(rowid) FROM `+table+`)`)
			ok(t, err)
			n, err := r.RowsAffected()
			ok(t, err)
			if found := look(tx); n > 0 && (len(found) != 1 || found[0].Subject != table || found[0].OrganisationID != "org_x" || found[0].Code != fsck.OrganisationUnknown) {
				t.Errorf("%s: %+v", table, found)
			}
			tried[table] = n > 0
			return undo
		}), undo)
	}
	for _, table := range []string{"deadline_answer", "playbook_mark", "exhibit_change", "evidence_items"} {
		if !tried[table] {
			t.Errorf("nothing was tried in %s", table)
		}
	}
	wantErr(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { // tables that somebody made
		for _, s := range []string{`CREATE TABLE "a ""b" (organisation_id INTEGER)`, `INSERT INTO "a ""b" VALUES (NULL), (7)`, `CREATE VIEW an_eye AS SELECT organisation_id FROM deadline_answer`} {
			_, err := tx.ExecContext(ctx, s)
			ok(t, err)
		}
		if found := look(tx); len(found) != 2 || found[0].Subject != `a "b` || found[1].OrganisationID != "7" {
			t.Errorf("%+v", found)
		}
		return undo
	}), undo)
	wantErr(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { // of the organisation, and of no exhibit
		_, err := tx.ExecContext(ctx, `UPDATE exhibit_change SET item_id = 'exh_x', change_no = change_no + 100, ledger_idx = 0 WHERE rowid = (SELECT MAX(rowid) FROM exhibit_change)`)
		ok(t, err)
		found, err := exhibit.Audit(ctx, tx)
		ok(t, err)
		named := false
		for _, f := range found {
			named = named || f.Fault == exhibit.RowSurplus && f.Subject == "exh_x"
		}
		if !named {
			t.Errorf("%+v", found)
		}
		return undo
	}), undo)
}
