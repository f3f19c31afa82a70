package acquire_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/background"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
)

// TestGentlePlan: what is about to vanish does not give way, the rest does, and an urgent
// acquisition never.
func TestGentlePlan(t *testing.T) {
	marked := func(o acquire.Order) map[artifact.Kind]bool {
		got := map[artifact.Kind]bool{}
		look := func(kind artifact.Kind, vol probe.Volatility) fake {
			return fake{kind, vol, func(ctx context.Context, w probe.Writer) error {
				got[kind] = background.Marked(ctx)
				return w.Write(line("x"))
			}}
		}
		list := []fake{look("live", probe.Live), look("handles", probe.Handles), look("closing", probe.Closing)}
		signer, err := identity.NewOneTime()
		must(t, err)
		r := acquire.NewRunner(acquire.Config{
			Sink:     newSpool(t, t.TempDir()),
			Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil },
			Plan: func(string) (acquire.Plan, error) {
				p, err := planOf(list...)("flash")
				p.Gentle, p.Memory = true, 1<<30
				return p, err
			},
		})
		if _, err := r.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := marked(acquire.Order{}); got["live"] || !got["handles"] || !got["closing"] {
		t.Errorf("ordinary: %v", got)
	}
	if got := marked(acquire.Order{Urgent: true, Deadline: time.Now().Add(time.Minute)}); got["live"] || got["handles"] || got["closing"] {
		t.Errorf("urgent: %v", got)
	}
	if limit := debug.SetMemoryLimit(-1); limit == 1<<30 {
		t.Error("the limit of memory was left behind")
	}
}

// sealing is a signer that waits before it signs.
type sealing struct {
	acquire.Signer
	wait func()
}

func (s sealing) Sign(message []byte) ([]byte, error) {
	s.wait()
	return s.Signer.Sign(message)
}

// TestUrgentHasItsMemory: an urgent acquisition does not run under the limit of the one
// that it interrupts, while that one still seals what it has.
func TestUrgentHasItsMemory(t *testing.T) {
	const limit = 1 << 30
	begun, looked := make(chan struct{}), make(chan struct{})
	runs := 0
	signer, err := identity.NewOneTime()
	must(t, err)
	r := acquire.NewRunner(acquire.Config{
		Sink: newSpool(t, t.TempDir()),
		Identity: func() (acquire.Identity, error) {
			if runs++; runs == 1 {
				return acquire.Identity{Signer: sealing{signer, func() { <-looked }}}, nil
			}
			return acquire.Identity{Signer: signer}, nil
		},
		Plan: func(string) (acquire.Plan, error) {
			first := runs == 0
			p, err := planOf(fake{"live", probe.Live, func(ctx context.Context, w probe.Writer) error {
				if first {
					close(begun)
					<-ctx.Done()
					return ctx.Err()
				}
				// It does not wait for long for the other, but that one does not keep the limit.
				for by := time.Now().Add(10 * time.Second); debug.SetMemoryLimit(-1) == limit && time.Now().Before(by); {
					runtime.Gosched()
				}
				if debug.SetMemoryLimit(-1) == limit {
					t.Error("the urgent acquisition runs under the limit of the other")
				}
				return w.Write(line("x"))
			}})("flash")
			p.Memory = limit
			p.Probes[0].Budget = time.Hour
			return p, err
		},
	})
	done := make(chan error)
	go func() {
		_, err := r.Run(t.Context(), acquire.Order{})
		done <- err
	}()
	<-begun
	_, err = r.Run(t.Context(), acquire.Order{Urgent: true})
	close(looked)
	must(t, err)
	must(t, <-done)
}
