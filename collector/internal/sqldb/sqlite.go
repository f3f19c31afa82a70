package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hozen/internal/durable"
)

// connectSQLite opens one connection for writing and a pool for reading. WAL lets
// readers go on while the writer commits; synchronous=FULL makes a commit survive a
// power cut (sqlite.org/pragma.html#pragma_synchronous: in WAL mode, NORMAL may lose
// the last commits, and a receipt must never outlive its row).
func connectSQLite(path string, cfg Config) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	// SQLite would create the file readable for others.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	common := []string{"busy_timeout(10000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)", "trusted_schema(0)"}
	// The one writer keeps what it works on in memory (32 MiB): a thousand endpoints that
	// speak at once touch the same pages again and again. Its log is folded in beside it.
	w, err := sql.Open("sqlite", sqliteDSN(path, "immediate", append(common[:len(common):len(common)], "cache_size(-32768)", "wal_autocheckpoint(0)")...))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	w.SetMaxOpenConns(1)
	w.SetMaxIdleConns(1)
	r, err := sql.Open("sqlite", sqliteDSN(path, "deferred", append(common, "query_only(1)")...))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	r.SetMaxOpenConns(cfg.MaxConns)
	r.SetMaxIdleConns(cfg.MaxConns)
	fold, err := startFolding(path)
	if err != nil {
		return nil, err
	}
	return &DB{dialect: SQLite, path: path, write: w, read: r, fold: fold, writer: make(chan struct{}, 1), reads: newReads(r), stmts: newStatements(), texts: texts{}}, nil
}

// Copy writes a consistent copy of the database to path, which must not exist, while the
// collector goes on working, and makes it durable. The copy is a SQLite file, also that of
// a database on PostgreSQL.
func (db *DB) Copy(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("copy database: %q exists", path)
	}
	tmp := path + ".tmp"
	for _, left := range []string{"", "-wal", "-shm", "-journal"} { // of one that was cut off
		if err := os.Remove(tmp + left); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("copy database: %w", err)
		}
	}
	// Made first, because SQLite would make it readable for others.
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	if db.dialect == Postgres {
		err = db.copyPostgres(ctx, tmp)
	} else {
		err = db.vacuumInto(ctx, tmp)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(fmt.Errorf("copy database: %w", err), os.Remove(tmp))
	}
	if err := durable.Rename(tmp, path); err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	return nil
}

// vacuumInto uses a connection of its own: the pool for reading is query_only, which VACUUM
// INTO counts as writing, and the writer must not wait for a copy.
func (db *DB) vacuumInto(ctx context.Context, path string) error {
	own, err := sql.Open("sqlite", sqliteDSN(db.path, "deferred", "busy_timeout(10000)"))
	if err != nil {
		return err
	}
	_, err = own.ExecContext(ctx, "VACUUM INTO $1", path)
	return errors.Join(err, own.Close())
}

// OpenCopy opens a SQLite file that [DB.Copy] made for reading, without migrating or
// changing it.
func OpenCopy(ctx context.Context, path string) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open copy: %w", err)
	}
	dsn := sqliteDSN(path, "deferred", "query_only(1)") + "&mode=ro&immutable=1"
	r, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open copy: %w", err)
	}
	db := &DB{dialect: SQLite, path: path, write: r, read: r, writer: make(chan struct{}, 1), texts: texts{}}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open copy: %w", err), db.Close())
	}
	return db, nil
}
