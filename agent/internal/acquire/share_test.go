package acquire_test

import (
	"context"
	"math"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
)

// beside makes a runner whose profile "memory" reads an image until let is closed, and
// tells begun of it; all others read what other does.
func beside(t *testing.T, limit int64, begun, let chan struct{}, other func(context.Context, probe.Writer) error) *acquire.Runner {
	t.Helper()
	image := fake{artifact.KindMemory, probe.Image, func(ctx context.Context, w probe.Writer) error {
		begun <- struct{}{}
		<-let
		return bytesOf("image")(ctx, w)
	}}
	signer, err := identity.NewOneTime()
	must(t, err)
	return acquire.NewRunner(acquire.Config{
		Sink: newSpool(t, t.TempDir()), Tool: func() artifact.Tool { return artifact.Tool{Name: "test"} },
		Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil },
		Plan: func(profile string) (acquire.Plan, error) {
			probes := []acquire.Planned{budgeted(fake{artifact.KindProcess, probe.Live, other}, time.Hour)}
			if profile == "memory" {
				probes = append(probes, budgeted(image, time.Hour))
			}
			return acquire.Plan{Profile: profile, Memory: limit, Probes: probes}, nil
		},
	})
}

// start runs an acquisition beside the test.
func start(t *testing.T, r *acquire.Runner, profile string) <-chan artifact.Manifest {
	t.Helper()
	out := make(chan artifact.Manifest, 1)
	go func() {
		res, err := r.Run(t.Context(), acquire.Order{Profile: profile})
		if err != nil {
			t.Error(err)
		}
		out <- res.Manifest
	}()
	return out
}

// TestLimitOfMemoryEndsWithTheLast: acquisitions overlap, and the one that began first
// may end first.
func TestLimitOfMemoryEndsWithTheLast(t *testing.T) {
	const usual, limit = math.MaxInt64 - 1, 1 << 40
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(usual))
	begun, let := make(chan struct{}), make(chan struct{})
	inside, on := make(chan struct{}, 2), make(chan struct{}, 2)
	r := beside(t, limit, begun, let, func(_ context.Context, w probe.Writer) error {
		inside <- struct{}{}
		<-on
		return w.Write(line("x"))
	})
	on <- struct{}{}
	long := start(t, r, "memory")
	<-begun
	<-inside
	short := start(t, r, "flash")
	<-inside // both hold the limit now
	close(let)
	<-long
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Errorf("while the second runs: %d", got)
	}
	on <- struct{}{}
	<-short
	if got := debug.SetMemoryLimit(-1); got != usual {
		t.Errorf("after both: %d, want %d", got, int64(usual))
	}
}

// TestMemoryIsReadOnceAtATime: the second order is told so, has the rest of its evidence,
// and memory can be read again as soon as the first is through.
func TestMemoryIsReadOnceAtATime(t *testing.T) {
	begun, let := make(chan struct{}, 2), make(chan struct{})
	r := beside(t, 0, begun, let, writes("x"))
	long := start(t, r, "memory")
	<-begun
	m := <-start(t, r, "memory")
	if p := m.Probes[1]; m.Outcome != artifact.Partial || m.Probes[0].Outcome != artifact.Complete || p.Outcome != artifact.NotStarted || !strings.Contains(p.Detail, "another acquisition reads memory") {
		t.Errorf("%+v", m)
	}
	close(let)
	if m := <-long; m.Outcome != artifact.Complete {
		t.Errorf("the first: %+v", m)
	}
	if m := <-start(t, r, "memory"); m.Outcome != artifact.Complete {
		t.Errorf("after it: %+v", m)
	}
}
