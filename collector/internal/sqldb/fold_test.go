package sqldb

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Commits leave the log alone, however long it gets; it is folded in beside them, also as
// a whole when it is very long.
func TestTheLogIsFoldedBesideCommits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	size := func(name string) int64 {
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return fi.Size()
	}
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(t.Context(), Config{URL: "sqlite:" + path})
		if err != nil {
			t.Fatal(err)
		}
		commit := func(n int) {
			if err := db.Tx(t.Context(), func(ctx context.Context, tx *Tx) error {
				_, err := tx.ExecContext(ctx, fmt.Sprintf(`CREATE TABLE t%d AS SELECT $1 AS s`, n), strings.Repeat("x", 10<<20))
				return err
			}); err != nil {
				t.Error(err)
			}
		}
		before := size(path)
		commit(0)
		commit(1)
		if grown := size(path) - before; grown > 1<<20 || size(path+"-wal") < 20<<20 {
			t.Errorf("within commits the database grew by %d bytes", grown)
		}
		time.Sleep(foldAfter + time.Second)
		synctest.Wait()
		if grown := size(path) - before; grown < 20<<20 {
			t.Errorf("the database grew by %d bytes", grown)
		}
		if long, err := db.fold.fold(t.Context(), "RESTART"); err != nil || long < 5000 {
			t.Errorf("a log of %d pages, %v", long, err)
		}
		long := size(path + "-wal")
		commit(2) // begins at the front of the log again
		if size(path+"-wal") != long {
			t.Errorf("the log grew from %d to %d bytes", long, size(path+"-wal"))
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(path + "-wal"); err == nil {
		t.Error("the log is there after the end")
	}
}
