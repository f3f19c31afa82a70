package uplink

import (
	"bytes"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"hozen/internal/pki"
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

func FuzzParseRoutes(f *testing.F) {
	f.Add([]byte(`{"collector.example:8443":["192.0.2.1:8443","[2001:db8::1]:8443"]}`))
	f.Add([]byte(`{"":[""]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		known := parseRoutes(b)
		for name, list := range known {
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
