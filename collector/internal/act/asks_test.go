package act

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hozen/collector/internal/sqldb"
)

// What is wrong with the answer for one endpoint, be it a panic or a row that cannot be
// read, is nobody else's, and one that asks twice is asked about once.
func TestAskingForManyAtOnce(t *testing.T) {
	wrong := errors.New("wrong")
	for name, fault := range map[string]func() error{"error": func() error { return wrong }, "panic": func() error { panic("boom") }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var a asks[string]
				goOn := make(chan struct{})
				read := func(_ context.Context, _ sqldb.Queryer, ids []string) (map[string]string, error) {
					<-goOn
					found := map[string]string{}
					for _, id := range ids {
						if id == "bad" {
							return nil, fault()
						}
						found[id] += "+" + id // as pieces of a query would
					}
					return found, nil
				}
				var wg sync.WaitGroup
				ask := func(id, want string) {
					wg.Go(func() {
						got, err := a.ask(t.Context(), nil, read, id)
						if got != want || (err != nil) != (want == "") {
							t.Errorf("%s: %q, %v", id, got, err)
						}
					})
					synctest.Wait()
				}
				ask("first", "+first") // the others wait for it
				for _, id := range []string{"good", "twice", "bad", "twice"} {
					want := "+" + id
					if id == "bad" {
						want = ""
					}
					ask(id, want)
				}
				a.mu.Lock()
				if ids := slices.Clone(a.next.ids); !slices.Equal(ids, []string{"good", "twice", "bad"}) {
					t.Errorf("asked about %q", ids)
				}
				a.mu.Unlock()
				close(goOn)
				wg.Wait()
				ask("last", "+last")
				wg.Wait()
			})
		})
	}
}

// A query that hangs holds up those that wait for it only so long.
func TestAskingForManyHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asks[string]
		first := true
		read := func(ctx context.Context, _ sqldb.Queryer, ids []string) (map[string]string, error) {
			if first {
				first = false
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			return map[string]string{ids[0]: "+"}, nil
		}
		began := time.Now()
		if _, err := a.ask(t.Context(), nil, read, "end"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != askTime {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if got, err := a.ask(t.Context(), nil, read, "end"); err != nil || got != "+" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// Whose transaction came later is last, whatever comes first afterwards.
func TestTurns(t *testing.T) {
	var all turns
	group := all.take([]string{"a", "b"})
	release := all.take([]string{"b"})
	for _, c := range []struct {
		turn uint64
		id   string
		want bool
	}{{group, "a", true}, {group, "b", false}, {release, "b", true}, {release, "a", false}, {group, "c", false}} {
		if all.has(c.turn, c.id) != c.want {
			t.Errorf("%d is the last for %s: %t", c.turn, c.id, !c.want)
		}
	}
}
