// Package sqldbtest runs a context's store tests on SQLite and on a real
// PostgreSQL. It knows nothing of the tables under test.
package sqldbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"hozen/collector/internal/sqldb"
)

// Run runs f twice, as the subtests "sqlite" and "postgres", each with an empty
// database of its own that has this program's schema. PostgreSQL is the server that
// HOZEN_TEST_POSTGRES names, otherwise one that is started from the programs in
// /usr/lib/postgresql, once per test program. Without either the subtest is skipped.
func Run(t *testing.T, f func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, Open(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, open(t, PostgresURL(t))) })
}

// Open returns an empty SQLite database that lives as long as the test.
func Open(t testing.TB) *sqldb.DB {
	t.Helper()
	return open(t, SQLiteURL(filepath.Join(t.TempDir(), "test.db")))
}

// SQLiteURL returns the URL of the SQLite file at an absolute path.
func SQLiteURL(path string) string {
	return "sqlite:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
}

func open(t testing.TB, u string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: u})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// PostgresURL makes an empty database without any schema that lives as long as the
// test, and returns its URL. Without PostgreSQL the test is skipped.
func PostgresURL(t testing.TB) string {
	t.Helper()
	server, err := server()
	if err != nil {
		t.Skip("no PostgreSQL: " + err.Error())
	}
	name := "hozen_test_" + strings.ToLower(rand.Text()[:12])
	admin(t.Context(), t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		admin(context.WithoutCancel(t.Context()), t, server, "DROP DATABASE "+name+" WITH (FORCE)")
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func admin(ctx context.Context, t testing.TB, server, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", server)
	if err == nil {
		_, err = db.ExecContext(ctx, statement)
		if cerr := db.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", statement, err))
	}
}
