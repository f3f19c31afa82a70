package uplink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
)

func TestBackoffIsFullJitter(t *testing.T) {
	b := backoff{min: time.Second, max: time.Minute}
	bounds := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
	var sum time.Duration
	for range 300 {
		b.reset()
		for _, bound := range bounds {
			d := b.next()
			if d < 0 || d > bound*time.Second {
				t.Fatalf("waits %s, bound %d s", d, bound)
			}
			if bound == 60 {
				sum += d
			}
		}
	}
	if mean := sum / 600; mean < 25*time.Second || mean > 35*time.Second {
		t.Errorf("mean of the last waits is %s; not spread over the whole minute", mean)
	}
}

func TestPauseEndsWhenAPersonWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &Uplink{nudge: make(chan struct{}, 1)}
		begun := time.Now()
		u.pause(t.Context(), time.Minute)
		if d := time.Since(begun); d != time.Minute {
			t.Errorf("paused %s", d)
		}
		go func() {
			time.Sleep(time.Second)
			signal(u.nudge)
		}()
		begun = time.Now()
		u.pause(t.Context(), time.Hour)
		if d := time.Since(begun); d != time.Second {
			t.Errorf("paused %s although somebody waits", d)
		}
	})
}

// TestBrokenStreamIsLeftAtOnce although the collector said much before it broke.
func TestBrokenStreamIsLeftAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := &session{u: &Uplink{cfg: Config{AnswerTime: time.Hour}}, in: make(chan *agentv1.ConnectResponse)}
		go func() { // as receive does
			for range 3 {
				select {
				case s.in <- &agentv1.ConnectResponse{}:
				case <-ctx.Done():
					return
				}
			}
			cancel(errSilent)
		}()
		begun := time.Now()
		s.drain(ctx)
		if d := time.Since(begun); d != 0 || !errors.Is(context.Cause(ctx), errSilent) {
			t.Errorf("waited %s, and then: %v", d, context.Cause(ctx))
		}
		cancel(nil)
		s.drain(t.Context()) // nobody learns why
		if d := time.Since(begun); d != time.Hour {
			t.Errorf("waited %s", d)
		}
	})
}

func FuzzParseRoutes(f *testing.F) {
	f.Add([]byte(`{"collector.example:8443":["192.0.2.1:8443","[2001:db8::1]:8443"]}`))
	f.Add([]byte(`{"format":"hozen-routes/2","names":{"collector.example:8443":["192.0.2.1:8443"]},"ca":"x","proven":["192.0.2.2:1","192.0.2.2:0"],"ordered":["[2001:db8::1]:1"]}`))
	f.Add([]byte(`{"":[""]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		known := parseRoutes(b)
		if known.Names == nil || len(known.Proven) > maxProven || len(known.Ordered) > maxOrdered {
			t.Fatalf("%+v", known)
		}
		for _, a := range slices.Concat(known.Proven, known.Ordered) {
			if !a.IsValid() || a.Port() == 0 {
				t.Fatalf("%s is no address of a server", a)
			}
		}
		for name, list := range known.Names {
			if pki.CheckAddress(name) != nil || len(list) == 0 || len(list) > maxPerName {
				t.Fatalf("%q: %v", name, list)
			}
		}
		again, err := json.Marshal(known)
		if err != nil {
			t.Fatal(err)
		}
		back, err := json.Marshal(parseRoutes(again))
		if err != nil || !bytes.Equal(again, back) {
			t.Fatalf("%s became %s", again, back)
		}
	})
}

func addresses(list ...string) (out []address) {
	for _, a := range list {
		out = append(out, netip.MustParseAddrPort(a))
	}
	return out
}

// TestWhereTheCollectorWasMet is tried although its name says otherwise now, after a
// restart too; that of another collector is not.
func TestWhereTheCollectorWasMet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	r := openRoutes(path)
	name := []string{"192.0.2.9:8443"} // what somebody makes of the name
	met := addresses("192.0.2.1:8443", "192.0.2.2:8443", "192.0.2.1:8443")
	for _, a := range met {
		r.worked(a, "ca")
	}
	r.learn(addresses("192.0.2.7:8443", "192.0.2.1:8443"), "ca")
	for range 2 {
		want := addresses("192.0.2.9:8443", "192.0.2.1:8443", "192.0.2.2:8443", "192.0.2.7:8443")
		if got := r.resolve(t.Context(), name, "ca"); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		r = openRoutes(path)
	}
	if got := r.resolve(t.Context(), name, "other"); !slices.Equal(got, addresses(name...)) {
		t.Errorf("of another collector: %v", got)
	}
	r.learn(addresses("192.0.2.8:8443"), "ca")
	if got := r.resolve(t.Context(), name, "ca"); slices.Contains(got, addresses("192.0.2.7:8443")[0]) || got[len(got)-1] != addresses("192.0.2.8:8443")[0] {
		t.Errorf("what the collector said before: %v", got)
	}
	r.worked(met[0], "other")
	if got := r.resolve(t.Context(), name, "other"); !slices.Equal(got, addresses("192.0.2.9:8443", "192.0.2.1:8443")) {
		t.Errorf("after another collector was met: %v", got)
	}
	for n := range 20 {
		r.worked(netip.AddrPortFrom(met[0].Addr(), uint16(n+1)), "other")
	}
	if got := r.resolve(t.Context(), nil, "other"); len(got) != maxProven || got[0].Port() != 20 {
		t.Errorf("%v", got)
	}
}
