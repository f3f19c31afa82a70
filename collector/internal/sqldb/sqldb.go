// Package sqldb opens the collector's database, SQLite or PostgreSQL, brings its
// schema up to date and runs transactions: one SQL text serves both. It knows
// nothing of what the tables mean.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Dialect is which database it is. Queries need it only for [Tx.ForUpdate].
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// The errors that callers act on.
var (
	// ErrNewer means that the schema was made by a newer program.
	ErrNewer = errors.New("the database was made by a newer version of this program")
	// ErrNested means that Tx was called within the function of another Tx: with one
	// writer it would wait for itself.
	ErrNested = errors.New("a transaction was begun within a transaction")
)

// Config says which database to open.
type Config struct {
	// URL names the database: "sqlite:///var/lib/hozen-collector/hozen.db" (three
	// slashes for an absolute path, "sqlite:hozen.db" for a relative one) or
	// "postgres://user:password@host/name?sslmode=verify-full".
	URL string
	// MaxConns bounds the connections for reading (SQLite) or in all (PostgreSQL).
	// Optional; default 8.
	MaxConns int
	// Now is the clock that names backup copies. Optional; default time.Now.
	Now func() time.Time
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect Dialect
	path    string // of the SQLite file
	write   *sql.DB
	read    *sql.DB
	writer  chan struct{} // holds one token while a transaction of this process runs
	reads   *reads        // the pool for reading of SQLite; nil on PostgreSQL
	fold    *folding      // of SQLite's log; nil on PostgreSQL
	jobs    queue         // what waits for the writer
	stmts   *statements   // of SQLite's writer; nil on PostgreSQL
	texts   texts         // of the writer
	bound   map[any]any
}

// Bind gives all transactions a value under a key that a package made for itself, such as a
// cryptographic key. It is called before the first of them.
func (db *DB) Bind(key, value any) {
	if db.bound == nil {
		db.bound = map[any]any{}
	}
	db.bound[key] = value
}

// Bound returns what [DB.Bind] gave, or nil.
func (db *DB) Bound(key any) any { return db.bound[key] }

// Queryer reads.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Open opens the database and migrates it to this program's schema. A database
// that exists is copied beside itself before its schema is changed (SQLite only:
// PostgreSQL is backed up by whoever runs it). It fails with [ErrNewer] when the
// schema is not known to this program.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	return open(ctx, cfg, migrationFiles())
}

func open(ctx context.Context, cfg Config, files migrationsFS) (*DB, error) {
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 8
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	db, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx, files, cfg.Now); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func connect(cfg Config) (*DB, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		// The error of url.Parse quotes the whole URL, and with it the password.
		return nil, errors.New("database URL: cannot be parsed")
	}
	switch u.Scheme {
	case "sqlite":
		path := u.Path
		if u.Opaque != "" {
			if path, err = url.PathUnescape(u.Opaque); err != nil {
				return nil, fmt.Errorf("database URL: %w", err)
			}
		}
		if path == "" || u.Host != "" || u.RawQuery != "" {
			return nil, fmt.Errorf("database URL %q: want sqlite:///path or sqlite:path, and nothing else", cfg.URL)
		}
		return connectSQLite(path, cfg)
	case "postgres", "postgresql":
		pc, err := pgx.ParseConfig(cfg.URL)
		if err != nil {
			return nil, fmt.Errorf("database URL: %w", err) // pgx leaves the password out
		}
		// The session's own settings: what we compare is text of our own making.
		pc.RuntimeParams["timezone"] = "UTC"
		pool := stdlib.OpenDB(*pc)
		pool.SetMaxOpenConns(cfg.MaxConns)
		pool.SetMaxIdleConns(cfg.MaxConns)
		return &DB{dialect: Postgres, write: pool, read: pool, writer: make(chan struct{}, 1), texts: texts{}}, nil
	default:
		return nil, fmt.Errorf("database URL: scheme %q is neither sqlite nor postgres", u.Scheme)
	}
}

// Dialect returns which database it is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Path returns the path of the SQLite file, or "" on PostgreSQL.
func (db *DB) Path() string { return db.path }

// Read returns the database for reading outside of transactions: every query sees
// what was committed when it began.
func (db *DB) Read() Queryer {
	if db.reads != nil {
		return db.reads
	}
	return db.read
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.read.PingContext(ctx); err != nil {
		return fmt.Errorf("ping database: %w", err)
	}
	return nil
}

// Close closes all connections; on SQLite the write-ahead log is folded in.
func (db *DB) Close() error {
	if db.read == db.write {
		return db.write.Close()
	}
	db.writer <- struct{}{} // nobody uses a statement
	defer func() { <-db.writer }()
	return errors.Join(db.fold.close(), db.reads.close(), db.read.Close(), db.stmts.close(), db.write.Close())
}

// sqliteDSN is a URI (sqlite.org/uri.html) with the driver's pragma parameters.
func sqliteDSN(path, txlock string, pragmas ...string) string {
	q := url.Values{"_txlock": {txlock}}
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	p := strings.ReplaceAll(path, `\`, "/")
	if len(p) > 1 && p[1] == ':' {
		p = "/" + p // file:///C:/…
	}
	return "file:" + (&url.URL{Path: p}).EscapedPath() + "?" + q.Encode()
}
