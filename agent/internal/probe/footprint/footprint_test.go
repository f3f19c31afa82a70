package footprint

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"testing"

	"hozen/agent/internal/background"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/touch"
	"hozen/internal/artifact/record"
)

func TestConformance(t *testing.T) {
	if err := New(nil).Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: func() probe.Probe { return New(nil) }, Key: probetest.Join("pid")})
}

// TestCountsWhatWasReadMeanwhile: and nothing of what was before.
func TestCountsWhatWasReadMeanwhile(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		b, err := os.ReadFile(own)
		if err != nil {
			t.Fatal(err)
		}
		return int64(len(b))
	}
	size()
	p := New(nil)
	n := size()
	var l probetest.Lines
	if err := p.Acquire(background.Mark(t.Context()), &l); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	} else if err != nil {
		t.Fatal(err)
	}
	var f record.Footprint
	if err := json.Unmarshal(l.All[0], &f); err != nil {
		t.Fatal(err)
	}
	if f.ReadChars == 0 && runtime.GOOS == "windows" {
		t.Log("this Windows counts no bytes (Wine has no counters)")
	} else if f.ReadChars < n || f.ReadChars > n+n/2 {
		t.Errorf("%d bytes read, %d counted", n, f.ReadChars)
	}
	if f.MaxRSSBytes < f.RSSBytes || f.RSSBytes < 1<<20 || !f.Gentle || f.PID != os.Getpid() || f.FinishedAt.Before(f.StartedAt) {
		t.Errorf("%s", l.All[0])
	}
}

// TestFilesOpened: what an acquisition opened up to the footprint, and nothing of others.
func TestFilesOpened(t *testing.T) {
	for _, counted := range []bool{true, false} {
		ctx := t.Context()
		if counted {
			ctx = touch.With(ctx)
		}
		p := New(nil)
		for range 3 {
			f, err := touch.Open(ctx, ".")
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		var l probetest.Lines
		if err := p.Acquire(ctx, &l); errors.Is(err, errors.ErrUnsupported) {
			t.Skip("this system has no such probe yet")
		} else if err != nil {
			t.Fatal(err)
		}
		var f record.Footprint
		if err := json.Unmarshal(l.All[0], &f); err != nil {
			t.Fatal(err)
		}
		want := int64(0)
		if counted && runtime.GOOS == "linux" {
			want = 3
		}
		if f.FilesOpened != want {
			t.Errorf("%d files opened, want %d: %s", f.FilesOpened, want, l.All[0])
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("rchar: 1\nwchar: 2\nVmHWM:\t 9 kB\nVmRSS: 99999999999999999999 kB\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record.Footprint
		parseIO(&r, b)
		parseMemory(&r, b)
		if r.ReadChars < 0 || r.MaxRSSBytes < 0 {
			t.Fatalf("%+v", r)
		}
	})
}
