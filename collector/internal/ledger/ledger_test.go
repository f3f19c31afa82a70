package ledger_test

import (
	"context"
	"errors"
	"fmt"
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
