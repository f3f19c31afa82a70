package isolate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// connections is a fake whose every call does what sever does.
type connections struct {
	calls int
	sever func(context.Context, isolate.Policy) (isolate.Severed, error)
}

func (c *connections) Sever(ctx context.Context, p isolate.Policy) (isolate.Severed, error) {
	c.calls++
	if c.sever != nil {
		return c.sever(ctx, p)
	}
	s := isolate.Severed{Destroyed: 1}
	s.Add(isolate.Connection{Cookie: uint64(c.calls)})
	return s, nil
}

func TestConnectionsEndAfterTheCut(t *testing.T) {
	c := &connections{}
	r := newRig(t, func(cfg *isolate.Config) { cfg.Connections = c })
	c.sever = func(_ context.Context, p isolate.Policy) (isolate.Severed, error) {
		if in, whole := r.fw.InForce(); !whole || !in.Equal(p) {
			t.Error("ended before the rules were in force")
		}
		c.sever = nil
		return isolate.Severed{Destroyed: 3, Gone: 1}, nil
	}
	st, err := r.Isolate(t.Context(), order("cmd_1"))
	if err != nil || st.Severed == nil || st.Severed.Destroyed != 3 || st.Severed.Gone != 1 {
		t.Fatalf("%+v, %v", st.Severed, err)
	}
	// Measuring ends nothing; what was ended stays in the status.
	if _, err := r.Reconcile(t.Context()); err != nil || c.calls != 1 {
		t.Errorf("%d calls, %v", c.calls, err)
	}
	if st := r.Status(t.Context()); st.Severed == nil || st.Severed.Destroyed != 3 {
		t.Errorf("%+v", st.Severed)
	}
	// While the rules were gone programs may have connected anew.
	r.fw.Damage()
	st, err = r.Reconcile(t.Context())
	if err != nil || c.calls != 2 || st.Severed.Destroyed != 4 || len(st.Severed.List) != 1 {
		t.Errorf("%d calls, %+v, %v", c.calls, st.Severed, err)
	}
	if st, err := r.Release(t.Context(), isolate.Request{CommandID: "cmd_2"}); err != nil || st.Severed != nil || c.calls != 2 {
		t.Errorf("%d calls, %+v, %v", c.calls, st.Severed, err)
	}
}

// Connections that cannot be ended are told of, and the network stays cut.
func TestConnectionsThatCannotBeEnded(t *testing.T) {
	for name, tt := range map[string]struct {
		sever       func(context.Context, isolate.Policy) (isolate.Severed, error)
		failed      int
		unsupported bool
	}{
		"fails": {func(context.Context, isolate.Policy) (isolate.Severed, error) {
			return isolate.Severed{Failed: 2}, errors.New("no")
		}, 2, false},
		"not supported": {func(context.Context, isolate.Policy) (isolate.Severed, error) {
			return isolate.Severed{}, fmt.Errorf("no: %w", errors.ErrUnsupported)
		}, 0, true},
		"hangs": {func(ctx context.Context, _ isolate.Policy) (isolate.Severed, error) {
			<-ctx.Done()
			return isolate.Severed{Failed: 1}, ctx.Err()
		}, 1, false},
		"hangs for ever": {func(context.Context, isolate.Policy) (isolate.Severed, error) {
			time.Sleep(time.Hour)
			return isolate.Severed{}, nil
		}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(cfg *isolate.Config) { cfg.Connections = &connections{sever: tt.sever} })
				start := time.Now()
				st, err := r.Isolate(t.Context(), order("cmd_1"))
				if err != nil || st.Observed != isolate.Isolated {
					t.Fatalf("observed %s, %v", st.Observed, err)
				}
				if s := st.Severed; s == nil || s.Detail == "" || s.Failed != tt.failed || s.Unsupported != tt.unsupported {
					t.Errorf("%+v", s)
				}
				if d := time.Since(start); d > 6*time.Second {
					t.Errorf("took %v", d)
				}
				if p, whole := r.fw.InForce(); p == nil || !whole {
					t.Error("not in force")
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// Where the rules are not in force nothing is ended: an endpoint that stays connected
// would only lose its work.
func TestNoConnectionEndsWithoutTheCut(t *testing.T) {
	c := &connections{}
	r := newRig(t, func(cfg *isolate.Config) { cfg.Connections = c })
	r.fault("apply", isolatetest.FailBefore)
	if _, err := r.Isolate(t.Context(), order("cmd_1")); err == nil || c.calls != 0 {
		t.Errorf("%d calls, %v", c.calls, err)
	}
}

func TestListOfConnectionsIsBounded(t *testing.T) {
	c := &connections{sever: func(context.Context, isolate.Policy) (isolate.Severed, error) {
		s := isolate.Severed{Destroyed: 700}
		for range 700 {
			s.Add(isolate.Connection{})
		}
		return s, nil
	}}
	r := newRig(t, func(cfg *isolate.Config) { cfg.Connections = c })
	for range 3 {
		if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
			t.Fatal(err)
		}
	}
	s := r.Status(t.Context()).Severed
	if len(s.List) != isolate.ListMax || s.Omitted != 2100-isolate.ListMax || s.Destroyed != 2100 {
		t.Errorf("listed %d, omitted %d, ended %d", len(s.List), s.Omitted, s.Destroyed)
	}
}
