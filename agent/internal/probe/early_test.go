package probe_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/probe"
)

func TestEarlyLeavesTimeForWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		early, stop := probe.Early(ctx)
		defer stop()
		begun := time.Now()
		<-early.Done()
		if took := time.Since(begun); took != 300*time.Millisecond || ctx.Err() != nil {
			t.Errorf("ended after %v, %v", took, ctx.Err())
		}
	})
	early, stop := probe.Early(context.Background())
	defer stop()
	if _, ok := early.Deadline(); ok {
		t.Error("a time that never ends was given an end")
	}
}
