package agentapi

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestNewsOfAnEndpoint: what an endpoint says unasked comes at a bounded rate, and a
// talkative one does not hold another back.
func TestNewsOfAnEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(newsRate, newsBurst)
		start := time.Now()
		for range newsBurst {
			if err := l.wait(t.Context(), "end_a"); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("an ordinary number waits %s", d)
		}
		for range 1000 {
			if err := l.wait(t.Context(), "end_a"); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < 190*time.Second {
			t.Errorf("1,000 more took %s", d)
		}
		start = time.Now()
		if err := l.wait(t.Context(), "end_b"); err != nil || time.Since(start) != 0 {
			t.Errorf("another endpoint waits %s: %v", time.Since(start), err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if l.wait(ended, "end_a") == nil {
			t.Error("waits for a stream that has ended")
		}
	})
}
