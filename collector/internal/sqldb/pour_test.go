package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
)

// column is one of a table, by what SQLite calls its type.
type column struct{ name, kind string }

// schema are the tables of the program with their columns.
func schema(t *testing.T) map[string][]column {
	t.Helper()
	rows, err := sqldbtest.Open(t).Read().QueryContext(t.Context(), `SELECT m.name, c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE 'goose%' ORDER BY m.name, c.cid`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	tables := map[string][]column{}
	for rows.Next() {
		var table string
		var c column
		if err := rows.Scan(&table, &c.name, &c.kind); err != nil {
			t.Fatal(err)
		}
		tables[table] = append(tables[table], c)
	}
	if err := rows.Err(); err != nil || len(tables) < 50 {
		t.Fatal(len(tables), err)
	}
	return tables
}

// filled writes 150 different rows into every table: two full statements and a rest.
func filled(t *testing.T, db *sqldb.DB, tables map[string][]column) {
	t.Helper()
	err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		for table, columns := range tables {
			for n := range 150 {
				var marks []string
				var values []any
				for i, c := range columns {
					marks = append(marks, fmt.Sprintf("$%d", i+1))
					if c.kind == "BIGINT" {
						values = append(values, int64(1)<<62+int64(n))
					} else {
						values = append(values, fmt.Sprintf("%s 保全𠮷\t'\"%d", strings.Repeat("x", 149-n), n)) // no order of texts is that of writing
					}
				}
				if _, err := tx.ExecContext(ctx, `INSERT INTO `+table+` VALUES (`+strings.Join(marks, ", ")+`)`, values...); err != nil {
					return fmt.Errorf("%s: %w", table, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// contents are all rows of all tables.
func contents(t *testing.T, db *sqldb.DB, tables map[string][]column) map[string]map[string]int {
	t.Helper()
	all := map[string]map[string]int{}
	for table, columns := range tables {
		all[table] = map[string]int{}
		var names []string
		for _, c := range columns {
			names = append(names, c.name)
		}
		rows, err := db.Read().QueryContext(t.Context(), `SELECT `+strings.Join(names, ", ")+` FROM `+table)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			row := make([]any, len(names))
			into := make([]any, len(names))
			for i := range row {
				into[i] = &row[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			all[table][fmt.Sprintf("%#v", row)]++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Every row of every table comes with a copy, and back into a database of either kind.
func TestCopyAndLoad(t *testing.T) {
	tables := schema(t)
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		filled(t, db, tables)
		want := contents(t, db, tables)
		dir := t.TempDir()
		to := filepath.Join(dir, "copy.db")
		for _, left := range []string{"", "-wal", "-journal"} { // of a copy that was cut off
			if err := os.WriteFile(to+".tmp"+left, []byte("left"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Copy(t.Context(), to); err != nil {
			t.Fatal(err)
		}
		if err := db.Copy(t.Context(), to); err == nil {
			t.Error("a copy was overwritten")
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
			t.Errorf("a copy is one file: %v, %v", list, err)
		}
		c, err := sqldb.OpenCopy(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := contents(t, c, tables); !reflect.DeepEqual(got, want) {
			t.Errorf("%d tables were copied, but other rows", len(got))
		}

		sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
			if err := db.Load(t.Context(), to); err != nil {
				t.Fatal(err)
			}
			if got := contents(t, db, tables); !reflect.DeepEqual(got, want) {
				t.Errorf("%d tables were loaded, but other rows", len(got))
			}
			if err := db.Load(t.Context(), to); !errors.Is(err, sqldb.ErrNotEmpty) {
				t.Errorf("loaded twice: %v", err)
			}
		})
	})
}

// What is committed while a copy is made is not in it, not even in a table that is read later.
func TestCopyIsOneView(t *testing.T) {
	u := sqldbtest.PostgresURL(t)
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: u})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := sql.Open("pgx", u)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	held, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.ExecContext(t.Context(), `LOCK TABLE timestamp_tokens IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	copied := make(chan error)
	go func() { copied <- db.Copy(t.Context(), to) }()
	for waits := 0; waits == 0; { // until it comes to the table
		if err := held.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'timestamp_tokens'::regclass`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	var columns int
	if err := held.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM information_schema.columns WHERE table_name = 'timestamp_tokens'`).Scan(&columns); err != nil {
		t.Fatal(err)
	}
	if _, err := held.ExecContext(t.Context(), `INSERT INTO timestamp_tokens VALUES ('1'`+strings.Repeat(`, '1'`, columns-1)+`)`); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(held.Commit(), <-copied); err != nil {
		t.Fatal(err)
	}
	c, err := sqldb.OpenCopy(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var rows int
	if err := c.Read().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM timestamp_tokens`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("the copy has %d rows that were committed later, %v", rows, err)
	}
}

// A copy of another schema, and rows that were there before, are refused, and nothing of the
// copy stays.
func TestLoadRefuses(t *testing.T) {
	tables := schema(t)
	from := sqldbtest.Open(t)
	filled(t, from, tables)
	to := filepath.Join(t.TempDir(), "copy.db")
	if err := from.Copy(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		run := func(query string) {
			t.Helper()
			if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.ExecContext(ctx, query)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		run(`INSERT INTO ledger_heads (organisation_id, size, root_sha256, at) VALUES ('org_1', 0, '', '')`)
		before := contents(t, db, tables)
		if err := db.Load(t.Context(), to); !errors.Is(err, sqldb.ErrNotEmpty) {
			t.Errorf("loaded over rows: %v", err)
		}
		if got := contents(t, db, tables); !reflect.DeepEqual(got, before) {
			t.Error("a refused load left rows")
		}
		run(`DELETE FROM ledger_heads`)
		run(`UPDATE goose_db_version SET version_id = version_id + 1 WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)`)
		if err := db.Load(t.Context(), to); err == nil {
			t.Error("loaded a copy of another schema")
		}
	})
}
