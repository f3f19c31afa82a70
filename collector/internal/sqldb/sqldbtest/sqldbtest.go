// Package sqldbtest runs a context's store tests on SQLite and on a real
// PostgreSQL. It knows nothing of the tables under test.
package sqldbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"hozen/collector/internal/sqldb"
)

// serverVar names a PostgreSQL server to use.
const serverVar = "HOZEN_TEST_POSTGRES"

// Run runs f twice, as the subtests "sqlite" and "postgres", each with an empty
// database of its own that has this program's schema. PostgreSQL is the server that
// HOZEN_TEST_POSTGRES names, otherwise one that is started from the programs in
// /usr/lib/postgresql, once per test program. Without either the subtest is skipped.
func Run(t *testing.T, f func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, Open(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, open(t, postgres(t, postgresTemplate))) })
}

// Open returns an empty SQLite database that lives as long as the test.
func Open(t testing.TB) *sqldb.DB {
	t.Helper()
	b, err := sqliteTemplate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(memory(t), "test.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, SQLiteURL(path))
}

// sqliteTemplate migrates one database of this test program; all others begin as copies.
var sqliteTemplate = sync.OnceValues(func() (b []byte, err error) {
	dir, err := os.MkdirTemp("", "hozen-schema-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "schema.db")
	if err := migrated(SQLiteURL(path)); err != nil {
		return nil, err
	}
	return os.ReadFile(path) // closed, so nothing of it is in a log beside it
})

// postgresTemplate does the same on the server of this test program.
var postgresTemplate = sync.OnceValues(func() (string, error) {
	const name = "hozen_schema"
	server, err := server()
	if err != nil || os.Getenv(serverVar) != "" { // nothing may stay on a server that does
		return "template1", err
	}
	if err := run(context.Background(), server, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	u, err := at(server, name)
	if err != nil {
		return "", err
	}
	return name, migrated(u)
})

func migrated(u string) error {
	db, err := sqldb.Open(context.Background(), sqldb.Config{URL: u})
	if err != nil {
		return err
	}
	return db.Close()
}

// memory makes a folder for the test in memory where the machine has room there: these
// databases need not outlive anything, as little as PostgreSQL's.
func memory(t testing.TB) string {
	t.Helper()
	if !roomInMemory() {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memoryDir, "hozen-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
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
	return postgres(t, func() (string, error) { return "template1", nil })
}

// postgres makes a database as a copy of another one.
func postgres(t testing.TB, template func() (string, error)) string {
	t.Helper()
	server, err := server()
	if err != nil {
		t.Skip("no PostgreSQL: " + err.Error())
	}
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	name := "hozen_test_" + strings.ToLower(rand.Text()[:12])
	if err := run(t.Context(), server, "CREATE DATABASE "+name+" TEMPLATE "+from); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run(context.WithoutCancel(t.Context()), server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	u, err := at(server, name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// at is the URL of a database of a server.
func at(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

func run(ctx context.Context, server, statement string) error {
	db, err := sql.Open("pgx", server)
	if err == nil {
		_, err = db.ExecContext(ctx, statement)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
