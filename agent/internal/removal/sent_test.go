package removal

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAwaitSent(t *testing.T) {
	bad := errors.New("does not answer")
	for name, c := range map[string]struct {
		ask  func(since time.Duration) (Unsent, error)
		left int
		took time.Duration
		err  error
	}{
		"nothing waits":    {func(time.Duration) (Unsent, error) { return Unsent{}, nil }, 0, 0, nil},
		"no answer":        {func(time.Duration) (Unsent, error) { return Unsent{Items: 3}, bad }, 3, 0, bad},
		"nobody there":     {func(time.Duration) (Unsent, error) { return Unsent{Items: 3}, nil }, 3, connectLimit, nil},
		"too slow":         {func(time.Duration) (Unsent, error) { return Unsent{true, 1}, nil }, 1, sendLimit, nil},
		"sent after a try": {func(d time.Duration) (Unsent, error) { return Unsent{d > 4*time.Second, 9 - int(d/time.Second)}, nil }, 0, 9 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				u, err := AwaitSent(t.Context(), func(context.Context) (Unsent, error) { return c.ask(time.Since(began)) })
				if took := time.Since(began); u.Items != c.left || !errors.Is(err, c.err) || took != c.took {
					t.Errorf("%d left after %v, %v; want %d after %v, %v", u.Items, took, err, c.left, c.took, c.err)
				}
			})
		})
	}
}
