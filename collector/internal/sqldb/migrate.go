package sqldb

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*.sql
var embedded embed.FS

type migrationsFS = fs.FS

func migrationFiles() migrationsFS {
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return sub
}

// migrate brings the schema up to the newest file. Every file is one transaction;
// they only ever go forward.
func (db *DB) migrate(ctx context.Context, files migrationsFS, now func() time.Time) error {
	dialect := database.DialectSQLite3
	conn := db.write
	if db.dialect == Postgres {
		dialect = database.DialectPostgres
	} else {
		// goose holds one connection while it asks for another.
		var err error
		if conn, err = sql.Open("sqlite", sqliteDSN(db.path, "immediate", "busy_timeout(10000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)")); err != nil {
			return fmt.Errorf("migrate database: %w", err)
		}
		defer conn.Close()
	}
	p, err := goose.NewProvider(dialect, conn, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	if have > want {
		return fmt.Errorf("migrate database: %w: its schema is %d, the newest known is %d", ErrNewer, have, want)
	}
	pending, err := p.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	if !pending {
		return nil
	}
	if db.dialect == SQLite && have > 0 {
		to := fmt.Sprintf("%s.before-%05d-%s", db.path, want, now().UTC().Format("20060102T150405.000000000Z"))
		if err := db.Copy(ctx, to); err != nil {
			return fmt.Errorf("migrate database: %w", err)
		}
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}

// SchemaVersion returns the number of the newest migration of this program.
func SchemaVersion() (int64, error) {
	return newest(migrationFiles())
}

func newest(files migrationsFS) (int64, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return 0, err
	}
	var top int64
	for _, n := range names {
		v, err := goose.NumericComponent(n)
		if err != nil {
			return 0, fmt.Errorf("migration %q: %w", n, err)
		}
		top = max(top, v)
	}
	return top, nil
}
