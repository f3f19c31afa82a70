package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func entry(i int) ledger.Entry {
	return ledger.Entry{
		OrganisationID: "org_1", At: noon.Add(time.Duration(i) * time.Second), ActorKind: "operator", ActorID: "opr_1",
		ActorName: "保全 太郎", Act: "incident.note", Subject: fmt.Sprintf("inc_%d", i%3), Details: map[string]string{"n": fmt.Sprint(i), "a": "<&\x00\xff"},
	}
}

func appendAll(t *testing.T, db *sqldb.DB, entries ...ledger.Entry) []ledger.Placed {
	t.Helper()
	var out []ledger.Placed
	for _, e := range entries {
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			p, err := ledger.Place(ctx, tx, e)
			out = append(out, p)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestAppendProofs(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		var entries []ledger.Entry
		for i := range 23 {
			entries = append(entries, entry(i))
		}
		placed := appendAll(t, db, entries...)
		last := placed[len(placed)-1].Head
		for i, p := range placed {
			if p.Index != int64(i) || p.Head.Size != int64(i+1) {
				t.Fatalf("entry %d stands at %d in a tree of %d", i, p.Index, p.Head.Size)
			}
			root, err := ledger.RootAt(t.Context(), db.Read(), "org_1", p.Head.Size)
			if err != nil || root != p.Head.Root {
				t.Fatalf("root at %d = %v, %v; want %v", p.Head.Size, root, err, p.Head.Root)
			}
			proof, err := ledger.Inclusion(t.Context(), db.Read(), "org_1", last.Size, p.Index)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(proof, last.Size, last.Root, p.Index, p.Leaf); err != nil {
				t.Errorf("entry %d: %v", i, err)
			}
			tree, err := ledger.Consistency(t.Context(), db.Read(), "org_1", last.Size, p.Head.Size)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckTree(tree, last.Size, last.Root, p.Head.Size, p.Head.Root); err != nil {
				t.Errorf("tree %d: %v", i, err)
			}
		}
	})
}

func TestRolledBackLeavesNothing(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		before := appendAll(t, db, entry(0))[0].Head
		boom := errors.New("boom")
		err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			if _, err := ledger.Append(ctx, tx, entry(1)); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		after, err := ledger.HeadOf(t.Context(), db.Read(), "org_1")
		if err != nil || after != before {
			t.Errorf("head = %+v, %v; want %+v", after, err, before)
		}
	})
}

// The ledger stands when acts that are committed together are taken back one by one, each
// with several entries.
func TestTakenBackBesideOthers(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		begun, goOn := make(chan struct{}), make(chan struct{})
		const acts = 40
		results := make(chan error, acts+1)
		go func() {
			results <- db.Tx(t.Context(), func(context.Context, *sqldb.Tx) error {
				close(begun)
				<-goOn
				return nil
			})
		}()
		<-begun
		wrong := errors.New("wrong")
		for i := range acts {
			go func() {
				results <- db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
					for n := range 3 {
						if _, err := ledger.Append(ctx, tx, entry(i+n)); err != nil {
							return err
						}
					}
					if i%3 == 0 {
						return wrong
					}
					return nil
				})
			}()
		}
		close(goOn)
		stood := int64(0)
		for range acts + 1 {
			switch err := <-results; {
			case err == nil:
				stood++
			case !errors.Is(err, wrong):
				t.Error(err)
			}
		}
		head, err := ledger.HeadOf(t.Context(), db.Read(), "org_1")
		if err != nil || head.Size != 3*(stood-1) {
			t.Errorf("%d entries of %d acts, %v", head.Size, stood-1, err)
		}
		if problems, err := ledger.Verify(t.Context(), db.Read(), nil); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	})
}

// BenchmarkAppend is entries a second that are on the disk, each an act of its own, from
// many at once.
func BenchmarkAppend(b *testing.B) {
	db, err := sqldb.Open(b.Context(), sqldb.Config{URL: sqldbtest.SQLiteURL(filepath.Join(b.TempDir(), "ledger.db"))})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := db.Tx(b.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := ledger.Append(ctx, tx, entry(1))
				return err
			}); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

// Entries of one act and of acts that are committed together stand in one tree with one
// head, and an act that fails among them leaves none.
func TestEntriesThatAreWrittenTogether(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		appendAll(t, db, entry(0), entry(0), entry(0))
		begun, goOn, held := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			held <- db.Tx(t.Context(), func(context.Context, *sqldb.Tx) error {
				close(begun)
				<-goOn
				return nil
			})
		}()
		<-begun
		boom := errors.New("boom")
		results := make(chan error)
		for k := range 30 {
			go func() {
				results <- db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
					for range 5 {
						if _, err := ledger.Append(ctx, tx, entry(0)); err != nil {
							return err
						}
					}
					if k%10 == 3 {
						return boom
					}
					p, err := ledger.Place(ctx, tx, entry(0))
					if h, herr := ledger.HeadOf(ctx, tx, "org_1"); herr != nil || h.Root != p.Head.Root || h.Size != p.Index+1 {
						t.Errorf("head %v, %v, want %v", h, herr, p.Head)
					}
					return err
				})
			}()
		}
		close(goOn)
		failed := 0
		for range 30 {
			if err := <-results; errors.Is(err, boom) {
				failed++
			} else if err != nil {
				t.Error(err)
			}
		}
		if err := <-held; err != nil || failed != 3 {
			t.Errorf("%v, %d failed", err, failed)
		}
		h, err := ledger.HeadOf(t.Context(), db.Read(), "org_1")
		if err != nil || h.Size != 3+27*6 {
			t.Fatalf("%d entries, %v", h.Size, err)
		}
		if root, err := ledger.RootAt(t.Context(), db.Read(), "org_1", h.Size); err != nil || root != h.Root {
			t.Errorf("the root is %v, the head says %v: %v", root, h.Root, err)
		}
		list, err := ledger.Entries(t.Context(), db.Read(), ledger.Filter{OrganisationID: "org_1"})
		if err != nil || int64(len(list)) != h.Size {
			t.Fatalf("%d entries, %v", len(list), err)
		}
		for i, e := range list {
			if e.Index != h.Size-1-int64(i) {
				t.Fatalf("entry %d stands at %d", e.Index, h.Size-1-int64(i))
			}
		}
	})
}
