package sqldb_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
)

func file(sql string) *fstest.MapFile { return &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql)} }

func TestMigrate(t *testing.T) {
	old := fstest.MapFS{"00001_a.sql": file("CREATE TABLE a (n BIGINT NOT NULL);")}
	new := fstest.MapFS{"00001_a.sql": old["00001_a.sql"], "00002_b.sql": file("ALTER TABLE a ADD COLUMN s TEXT NOT NULL DEFAULT 'x';")}
	broken := fstest.MapFS{"00001_a.sql": old["00001_a.sql"], "00002_b.sql": file("CREATE TABLE b (n BIGINT);\nNONSENSE;")}
	dir := t.TempDir()
	for name, u := range map[string]string{"sqlite": sqldbtest.SQLiteURL(filepath.Join(dir, "保全 100%?.db")), "postgres": ""} {
		t.Run(name, func(t *testing.T) {
			if u == "" {
				u = sqldbtest.PostgresURL(t)
			}
			at := func(files fstest.MapFS, f func(db *sqldb.DB)) error {
				db, err := sqldb.OpenWith(t.Context(), sqldb.Config{URL: u}, files)
				if err != nil {
					return err
				}
				f(db)
				return db.Close()
			}
			count := func(db *sqldb.DB) (n int) {
				if err := db.Read().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM a`).Scan(&n); err != nil {
					t.Error(err)
				}
				return n
			}
			if err := at(old, func(db *sqldb.DB) {
				if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
					_, err := tx.ExecContext(ctx, `INSERT INTO a (n) VALUES ($1)`, 1)
					return err
				}); err != nil {
					t.Error(err)
				}
			}); err != nil {
				t.Fatal(err)
			}
			if err := at(broken, func(*sqldb.DB) { t.Error("a broken migration was applied") }); err == nil {
				t.Error("a broken migration was applied")
			}
			// A failed migration leaves nothing: the same number, mended, applies.
			if err := at(new, func(db *sqldb.DB) {
				if n := count(db); n != 1 {
					t.Errorf("%d rows after migrating", n)
				}
			}); err != nil {
				t.Fatal(err)
			}
			if err := at(old, func(*sqldb.DB) {}); !errors.Is(err, sqldb.ErrNewer) {
				t.Errorf("an older program opened a newer schema: %v", err)
			}
		})
	}
	copies, err := filepath.Glob(filepath.Join(dir, "*.before-00002-*"))
	if err != nil || len(copies) != 2 { // one per attempt
		t.Fatalf("copies before migrating: %v, %v", copies, err)
	}
	db, err := sqldb.OpenWith(t.Context(), sqldb.Config{URL: sqldbtest.SQLiteURL(copies[0])}, old)
	if err != nil {
		t.Fatalf("the copy does not open with the older program: %v", err)
	}
	defer db.Close()
	if fi, err := os.Stat(copies[0]); err != nil || fi.Mode().Perm()&0o077 != 0 {
		t.Errorf("the copy can be read by others: %v, %v", fi.Mode(), err)
	}
}

func TestTx(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		exec := func(ctx context.Context, q string, args ...any) error {
			return db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.ExecContext(ctx, q, args...)
				return err
			})
		}
		if err := exec(ctx, `CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT NOT NULL, at TEXT NOT NULL)`); err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 11, 22, 1, 2, 3, 4, time.FixedZone("JST", 9*3600))
		if err := exec(ctx, `INSERT INTO t VALUES ($1, $2, $3)`, "x", sqldb.FormatBool(true), sqldb.FormatTime(now)); err != nil {
			t.Fatal(err)
		}
		var at time.Time
		var flag bool
		if err := db.Read().QueryRowContext(ctx, `SELECT n, at FROM t`).Scan(sqldb.ScanBool(&flag), sqldb.ScanTime(&at)); err != nil || !flag || !at.Equal(now) {
			t.Errorf("read back %v %v, %v", flag, at, err)
		}

		// Read, decide, write: without serialised transactions updates would be lost.
		if err := exec(ctx, `UPDATE t SET n = 0`); err != nil {
			t.Fatal(err)
		}
		errs := make(chan error)
		const writers, each = 6, 15
		for range writers {
			go func() {
				var err error
				for range each {
					err = errors.Join(err, db.Tx(context.Background(), func(ctx context.Context, tx *sqldb.Tx) error {
						var n int64
						if err := tx.QueryRowContext(ctx, `SELECT n FROM t`).Scan(&n); err != nil {
							return err
						}
						_, err := tx.ExecContext(ctx, `UPDATE t SET n = $1`, n+1)
						return err
					}))
				}
				errs <- err
			}()
		}
		for range writers {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		var n int
		if err := db.Read().QueryRowContext(ctx, `SELECT n FROM t`).Scan(&n); err != nil || n != writers*each {
			t.Errorf("%d updates arrived, %v", n, err)
		}

		err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return exec(ctx, `DELETE FROM t`) })
		if !errors.Is(err, sqldb.ErrNested) {
			t.Errorf("a transaction within a transaction: %v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				_, _ = tx.ExecContext(ctx, `DELETE FROM t`)
				panic("boom")
			})
		}()
		if err := db.Read().QueryRowContext(ctx, `SELECT n FROM t`).Scan(&n); err != nil {
			t.Errorf("a panic did not roll back: %v", err)
		}
		if err := exec(ctx, `UPDATE t SET n = 1`); err != nil {
			t.Errorf("a panic left the writer locked: %v", err)
		}

		// One unchanging view while others write.
		if err := db.ReadTx(ctx, func(rctx context.Context, q sqldb.Queryer) error {
			read := func() (n int) {
				if err := q.QueryRowContext(rctx, `SELECT n FROM t`).Scan(&n); err != nil {
					t.Error(err)
				}
				return n
			}
			before := read()
			if err := exec(ctx, `UPDATE t SET n = 99`); err != nil {
				t.Error(err)
			}
			if after := read(); after != before {
				t.Errorf("the view changed from %d to %d", before, after)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}

// Two programs on one database, as during an update: their transactions are
// serialised too.
func TestTwoPrograms(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return sqldbtest.SQLiteURL(filepath.Join(t.TempDir(), "two.db")) },
		"postgres": func(t *testing.T) string { return sqldbtest.PostgresURL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			u := open(t)
			errs := make(chan error)
			const each = 25
			var dbs []*sqldb.DB
			for range 2 {
				db, err := sqldb.Open(t.Context(), sqldb.Config{URL: u})
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				dbs = append(dbs, db)
			}
			if err := dbs[0].Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.ExecContext(ctx, `CREATE TABLE t (n BIGINT NOT NULL)`)
				if err == nil {
					_, err = tx.ExecContext(ctx, `INSERT INTO t VALUES (0)`)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			for _, db := range dbs {
				go func() {
					var err error
					for range each {
						err = errors.Join(err, db.Tx(context.Background(), func(ctx context.Context, tx *sqldb.Tx) error {
							var n int64
							if err := tx.QueryRowContext(ctx, `SELECT n FROM t`).Scan(&n); err != nil {
								return err
							}
							_, err := tx.ExecContext(ctx, `UPDATE t SET n = $1`, n+1)
							return err
						}))
					}
					errs <- err
				}()
			}
			for range dbs {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			var n int
			if err := dbs[0].Read().QueryRowContext(t.Context(), `SELECT n FROM t`).Scan(&n); err != nil || n != 2*each {
				t.Errorf("%d updates arrived, %v", n, err)
			}
		})
	}
}

func TestReadersCannotWrite(t *testing.T) {
	db := sqldbtest.Open(t)
	var id string
	for range 2 { // as read the first time, and as kept
		err := db.Read().QueryRowContext(t.Context(), `INSERT INTO ledger_heads (organisation_id, size, root_sha256, at) VALUES ('org_1', 0, '', '') RETURNING organisation_id`).Scan(&id)
		if err == nil {
			t.Error("the pool for reading wrote")
		}
	}
}

func TestURLs(t *testing.T) {
	for _, u := range []string{"", "mysql://x/y", "sqlite:", "sqlite:///x?mode=ro", "sqlite://host/x", "postgres://u:geheim@h:x/y", "postgres://u:geheim@[/y", "/path/only"} {
		db, err := sqldb.Open(t.Context(), sqldb.Config{URL: u})
		if err == nil {
			t.Errorf("%q was opened", u)
			_ = db.Close()
			continue
		}
		if strings.Contains(err.Error(), "geheim") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestValues(t *testing.T) {
	if s := sqldb.CleanText("a\x00b\xff保"); s != "a\uFFFDb\uFFFD保" {
		t.Errorf("%q", s)
	}
	for _, s := range []string{"2026-11-22T00:00:00Z", "x", "2026-11-22T00:00:00.000000000+09:00"} {
		if _, err := sqldb.ParseTime(s); err == nil {
			t.Errorf("%q was read as a time", s)
		}
	}
	if tm, err := sqldb.ParseTime(sqldb.FormatTime(time.Time{})); err != nil || !tm.IsZero() {
		t.Errorf("the zero time came back as %v, %v", tm, err)
	}
}

// Transactions that wait together are committed together, and each stands or falls alone.
func TestTogether(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		insert := func(n int) func(ctx context.Context, tx *sqldb.Tx) error {
			return func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO t VALUES ($1)`, n)
				return err
			}
		}
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE t (n BIGINT NOT NULL)`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		begun, goOn := make(chan struct{}), make(chan struct{})
		held := make(chan error)
		go func() {
			held <- db.Tx(t.Context(), func(context.Context, *sqldb.Tx) error {
				close(begun)
				<-goOn
				return nil
			})
		}()
		<-begun
		wrong := errors.New("wrong")
		left, leave := context.WithCancel(t.Context())
		leave()
		const jobs = 200
		results := make(chan string, jobs)
		for n := range jobs {
			go func() {
				said := "lost"
				defer func() {
					if recover() != nil {
						said = "panicked"
					}
					results <- said
				}()
				ctx, fn := t.Context(), insert(n)
				switch n % 10 {
				case 3:
					fn = func(ctx context.Context, tx *sqldb.Tx) error { return errors.Join(insert(n)(ctx, tx), wrong) }
				case 5:
					fn = func(ctx context.Context, tx *sqldb.Tx) error { _ = insert(n)(ctx, tx); panic("boom") }
				case 7:
					fn = func(ctx context.Context, tx *sqldb.Tx) error {
						_ = insert(n)(ctx, tx)
						_, err := tx.ExecContext(ctx, `INSERT INTO nowhere VALUES (1)`)
						return err
					}
				case 9:
					ctx = left
				}
				switch err := db.Tx(ctx, fn); {
				case err == nil:
					said = "done"
				case errors.Is(err, context.Canceled):
					said = "left"
				default:
					said = "failed"
				}
			}()
		}
		close(goOn)
		got := map[string]int{}
		for range jobs {
			got[<-results]++
		}
		if err := <-held; err != nil {
			t.Error(err)
		}
		if got["done"] != 120 || got["failed"] != 40 || got["panicked"] != 20 || got["left"] != 20 {
			t.Errorf("%v", got)
		}
		var rows, stray int
		if err := db.Read().QueryRowContext(t.Context(), `SELECT COUNT(*), COUNT(CASE WHEN n % 10 IN (3, 5, 7, 9) THEN 1 END) FROM t`).Scan(&rows, &stray); err != nil || rows != 120 || stray != 0 {
			t.Errorf("%d rows, %d of them taken back: %v", rows, stray, err)
		}
	})
}

// Rows that are gathered are there for whoever looks, in the transaction and after it, and
// fall with their transaction alone.
func TestGather(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE g (n BIGINT PRIMARY KEY, s TEXT NOT NULL)`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		rows := sqldb.Rows{Table: "g", Columns: "n, s"}
		count := func(q sqldb.Queryer) (n int) {
			if err := q.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM g`).Scan(&n); err != nil {
				t.Error(err)
			}
			return n
		}
		add := func(from, to int, then func(ctx context.Context, tx *sqldb.Tx) error) error {
			return db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				for n := from; n < to; n++ {
					if err := tx.Gather(ctx, rows, n, "x"); err != nil {
						return err
					}
				}
				return then(ctx, tx)
			})
		}
		if err := add(0, 1500, func(ctx context.Context, tx *sqldb.Tx) error {
			if n := count(tx); n != 1500 {
				t.Errorf("the transaction itself sees %d rows", n)
			}
			ran := 0
			for range 2 {
				tx.Last("g", "key", func(ctx context.Context) error {
					ran++
					_, err := tx.ExecContext(ctx, `UPDATE g SET s = 'last' WHERE n = 1500`)
					return err
				})
			}
			err := tx.Gather(ctx, rows, 1500, "x")
			if ran != 0 {
				t.Error("what comes last came first")
			}
			if count(tx); ran != 1 {
				t.Errorf("what comes last came %d times", ran)
			}
			return errors.Join(err, tx.Gather(ctx, rows, 1501, "x"))
		}); err != nil {
			t.Fatal(err)
		}
		var s string
		if err := db.Read().QueryRowContext(t.Context(), `SELECT s FROM g WHERE n = 1500`).Scan(&s); err != nil || s != "last" || count(db.Read()) != 1502 {
			t.Errorf("%q, %v, %d rows", s, err, count(db.Read()))
		}
		wrong := errors.New("wrong")
		if err := add(2000, 2005, func(context.Context, *sqldb.Tx) error { return wrong }); !errors.Is(err, wrong) || count(db.Read()) != 1502 {
			t.Errorf("%v, %d rows", err, count(db.Read()))
		}
		if err := add(0, 1, func(context.Context, *sqldb.Tx) error { return nil }); err == nil {
			t.Error("a row that is there already was inserted")
		}

		// Of many that are committed together, one cannot insert its row.
		begun, goOn, held := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			held <- db.Tx(t.Context(), func(context.Context, *sqldb.Tx) error {
				close(begun)
				<-goOn
				return nil
			})
		}()
		<-begun
		results := make(chan error)
		for k := range 20 {
			from := 3000 + 10*k
			if k == 7 {
				from = 0
			}
			go func() { results <- add(from, from+10, func(context.Context, *sqldb.Tx) error { return nil }) }()
		}
		close(goOn)
		failed := 0
		for range 20 {
			if err := <-results; err != nil {
				failed++
			}
		}
		if err := <-held; err != nil || failed != 1 || count(db.Read()) != 1502+190 {
			t.Errorf("%v, %d failed, %d rows", err, failed, count(db.Read()))
		}
	})
}

// On PostgreSQL a transaction is run again also when what it wants run again for comes up
// while gathered rows are written, and the statement that had them written fails of another
// fault (25P02): alone, beside others, and beside one that fails.
func TestGatheredRowsAreTriedAgain(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		if db.Dialect() != sqldb.Postgres {
			return // nothing is run again
		}
		for _, statement := range []string{
			`CREATE TABLE g (n BIGINT PRIMARY KEY)`, `CREATE SEQUENCE tries`,
			`CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF nextval('tries') % 2 = 1 THEN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END IF;
				RETURN NEW;
			END $$`,
			`CREATE TRIGGER once BEFORE INSERT ON g FOR EACH ROW EXECUTE FUNCTION once()`,
		} {
			if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.ExecContext(ctx, statement)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		add := func(ctx context.Context, tx *sqldb.Tx, n int) error {
			if err := tx.Gather(ctx, sqldb.Rows{Table: "g", Columns: "n"}, n); err != nil {
				return err
			}
			var rows int
			return tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM g`).Scan(&rows)
		}
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error { return add(ctx, tx, 1) }); err != nil {
			t.Errorf("alone: %v", err)
		}
		wrong := errors.New("wrong")
		for n, beside := range []error{nil, wrong} {
			begun, goOn, results := make(chan struct{}), make(chan struct{}), make(chan error)
			held := make(chan error)
			go func() {
				held <- db.Tx(t.Context(), func(context.Context, *sqldb.Tx) error {
					close(begun)
					<-goOn
					return nil
				})
			}()
			<-begun
			go func() {
				results <- db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error { return add(ctx, tx, 2+n) })
			}()
			other := make(chan error)
			go func() { other <- db.Tx(t.Context(), func(context.Context, *sqldb.Tx) error { return beside }) }()
			close(goOn)
			if err := errors.Join(<-held, <-results); err != nil {
				t.Errorf("beside one that ends with %v: %v", beside, err)
			}
			if err := <-other; !errors.Is(err, beside) {
				t.Errorf("%v, not %v", err, beside)
			}
		}
	})
}
