package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrNotEmpty means that a database that is to take in a copy has rows of its own.
var ErrNotEmpty = errors.New("the database is not empty")

// copyPostgres writes what PostgreSQL holds into the empty file at path as a SQLite database
// of the same schema. All tables are read in one unchanging view, and row by row, so that
// neither writers nor memory care how much there is.
func (db *DB) copyPostgres(ctx context.Context, path string) error {
	fresh, err := connectSQLite(path, Config{MaxConns: 1})
	if err != nil {
		return err
	}
	err = fresh.migrate(ctx, migrationFiles(), time.Now)
	if err := errors.Join(err, fresh.Close()); err != nil {
		return err
	}
	// The file is nobody's until it is synced and renamed. Out of WAL mode it is one file.
	own, err := sql.Open("sqlite", sqliteDSN(path, "exclusive", "journal_mode(DELETE)", "synchronous(OFF)"))
	if err != nil {
		return err
	}
	own.SetMaxOpenConns(1)
	err = db.ReadTx(ctx, func(ctx context.Context, q Queryer) error {
		to, err := own.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := pour(ctx, to, q, to); err != nil {
			return errors.Join(err, to.Rollback())
		}
		return to.Commit()
	})
	return errors.Join(err, own.Close())
}

// Load takes in all rows of the copy at path, which [DB.Copy] made of either kind of
// database, or nothing. Every table must be empty ([ErrNotEmpty]) and the copy of this
// program's schema.
func (db *DB) Load(ctx context.Context, path string) error {
	from, err := OpenCopy(ctx, path)
	if err != nil {
		return fmt.Errorf("load database: %w", err)
	}
	err = from.ReadTx(ctx, func(ctx context.Context, q Queryer) error {
		return db.Tx(ctx, func(ctx context.Context, tx *Tx) error { return pour(ctx, tx.tx, q, q) })
	})
	if err := errors.Join(err, from.Close()); err != nil {
		return fmt.Errorf("load database: %w", err)
	}
	return nil
}

// pour copies the rows of all tables. lite is whichever of the two is SQLite: it names them.
func pour(ctx context.Context, to *sql.Tx, from, lite Queryer) error {
	var has, wants int64
	const version = `SELECT MAX(version_id) FROM goose_db_version`
	if err := from.QueryRowContext(ctx, version).Scan(&has); err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	if err := to.QueryRowContext(ctx, version).Scan(&wants); err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	if has != wants {
		return fmt.Errorf("the schema is %d and has to become %d: use the version of the program that made it", has, wants)
	}
	tables, err := tablesOf(ctx, lite)
	if err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	for _, t := range tables {
		if err := t.pour(ctx, to, from); err != nil {
			return fmt.Errorf("copy table %s: %w", t.name, err)
		}
	}
	return nil
}

// table is what has to be known of a table to copy it. The names are quoted.
type table struct {
	name    string
	columns []string
	key     []string
}

// tablesOf returns all tables of a SQLite database but those of the migrations.
func tablesOf(ctx context.Context, q Queryer) (list []table, err error) {
	rows, err := q.QueryContext(ctx, `SELECT m.name, c.name, c.pk FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name <> 'goose_db_version' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY m.name, c.cid`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, column string
		var pk int
		if err := rows.Scan(&name, &column, &pk); err != nil {
			return nil, err
		}
		name, column = `"`+name+`"`, `"`+column+`"`
		if len(list) == 0 || list[len(list)-1].name != name {
			list = append(list, table{name: name})
		}
		t := &list[len(list)-1]
		if t.columns = append(t.columns, column); pk > 0 {
			t.key = append(t.key, column)
		}
	}
	return list, rows.Err()
}

func (t table) pour(ctx context.Context, to *sql.Tx, from Queryer) (err error) {
	var one int
	switch err := to.QueryRowContext(ctx, `SELECT 1 FROM `+t.name+` LIMIT 1`).Scan(&one); {
	case err == nil:
		return ErrNotEmpty
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	query := `SELECT ` + strings.Join(t.columns, ", ") + ` FROM ` + t.name
	if len(t.key) > 0 {
		query += ` ORDER BY ` + strings.Join(t.key, ", ")
	}
	rows, err := from.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	in := inserts{table: t, to: to, made: map[int]*sql.Stmt{}}
	defer func() { err = errors.Join(err, in.close()) }()
	var waiting []any
	for rows.Next() {
		row, into := make([]any, len(t.columns)), make([]any, len(t.columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if waiting = append(waiting, row...); len(waiting) == gatherSizes[0]*len(row) {
			if err := in.write(ctx, waiting); err != nil {
				return err
			}
			waiting = waiting[:0]
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return in.write(ctx, waiting)
}

// inserts writes rows of a table with few statements, by how many rows each takes.
type inserts struct {
	table
	to   *sql.Tx
	made map[int]*sql.Stmt
}

func (in inserts) write(ctx context.Context, args []any) error {
	width := len(in.columns)
	for _, n := range gatherSizes {
		for ; len(args) >= n*width; args = args[n*width:] {
			if in.made[n] == nil {
				s, err := in.to.PrepareContext(ctx, in.text(n))
				if err != nil {
					return err
				}
				in.made[n] = s
			}
			if _, err := in.made[n].ExecContext(ctx, args[:n*width]...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in inserts) text(n int) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO ` + in.name + ` (` + strings.Join(in.columns, ", ") + `) VALUES `)
	for i := range n * len(in.columns) {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%len(in.columns) == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(i+1))
	}
	return b.String() + ")"
}

func (in inserts) close() error {
	var errs []error
	for _, s := range in.made {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
