package isolate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		mine := errors.New("mine")
		if err := g.run(t.Context(), time.Second, func(context.Context) error { return mine }); err != mine {
			t.Errorf("got %v", err)
		}
		// A call that ends because its time is up says so itself.
		err := g.run(t.Context(), time.Second, func(ctx context.Context) error { <-ctx.Done(); return mine })
		if err != mine {
			t.Errorf("got %v", err)
		}
		// One that does not is left behind and keeps the gate shut.
		free := make(chan struct{})
		start := time.Now()
		err = g.run(t.Context(), time.Second, func(context.Context) error { <-free; return nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second+graceTime {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		ran := false
		err = g.run(t.Context(), time.Second, func(context.Context) error { ran = true; return nil })
		if !errors.Is(err, context.DeadlineExceeded) || ran {
			t.Errorf("got %v, ran %v beside a call that has not returned", err, ran)
		}
		close(free)
		synctest.Wait()
		if err := g.run(t.Context(), time.Second, func(context.Context) error { return nil }); err != nil {
			t.Errorf("after it returned: %v", err)
		}
	})
}
