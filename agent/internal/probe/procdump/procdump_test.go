package procdump

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"hozen/agent/internal/probe/probetest"
)

// pc is a system with one process.
type pc struct {
	about  About
	gone   error
	dump   []byte
	fails  error
	most   int64
	closed bool
}

func (p *pc) Look(pid int) (About, error) { p.about.PID = pid; return p.about, p.gone }
func (*pc) Method() string                { return "test" }
func (p *pc) Close() error                { p.closed = true; return nil }

func (p *pc) Dump(ctx context.Context, _ About, most int64) (io.ReadCloser, error) {
	if p.most = most; p.fails != nil {
		return nil, p.fails
	}
	return struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(p.dump), p}, nil
}

// sink is a writer that keeps bytes.
type sink struct {
	probetest.Lines
	b     []byte
	asked int64
	full  error
	after func()
}

func (s *sink) Room(n int64) error { s.asked = n; return s.full }

func (s *sink) WriteRaw(b []byte) error {
	if s.b = append(s.b, b...); s.after != nil {
		s.after()
	}
	return nil
}

type line struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"`
	Path       string `json:"path"`
	Committed  int64  `json:"committed"`
	Size       int64  `json:"size"`
	Method     string `json:"method"`
	Problem    string `json:"problem"`
}

func whole() *pc {
	return &pc{about: About{StartTicks: 77, Path: `C:\x.exe`, Committed: 3 << 20}, dump: append([]byte(magic), bytes.Repeat([]byte("marker"), 400_000)...)}
}

func told1(t *testing.T, c *Capture) (l line) {
	t.Helper()
	var w probetest.Lines
	if err := c.Told().Acquire(t.Context(), &w); err != nil || len(w.All) != 1 {
		t.Fatalf("%v, %d lines", err, len(w.All))
	}
	if err := json.Unmarshal(w.All[0], &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDump(t *testing.T) {
	for _, ticks := range []uint64{0, 77} {
		p, w := whole(), new(sink)
		c := New(Target{PID: 5, StartTicks: ticks}, p)
		if err := c.Memory().Acquire(t.Context(), w); err != nil || !bytes.Equal(w.b, p.dump) || !p.closed {
			t.Fatalf("%v, %d bytes of %d, closed %t", err, len(w.b), len(p.dump), p.closed)
		}
		if w.asked != 2*p.most || p.most <= p.about.Committed {
			t.Errorf("room for %d bytes, a dump of at most %d", w.asked, p.most)
		}
		if got, want := told1(t, c), (line{5, 77, `C:\x.exe`, 3 << 20, int64(len(p.dump)), "test", ""}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestNoDump(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*pc, *sink)
		why    string
		denied bool
		none   bool // there is no line either
	}{
		"gone":         {func(p *pc, _ *sink) { p.gone = errors.New("there is none") }, "process 5: there is none", false, true},
		"not allowed":  {func(p *pc, _ *sink) { p.gone = fs.ErrPermission }, "process 5", true, true},
		"another one":  {func(p *pc, _ *sink) { p.about.StartTicks = 78 }, "another one now", false, true},
		"secrets":      {func(p *pc, _ *sink) { p.about.Secrets = true }, "passwords", true, false},
		"too large":    {func(p *pc, _ *sink) { p.about.Committed = Largest + 1 }, "no dump of more", true, false},
		"no room":      {func(_ *pc, w *sink) { w.full = errors.New("the disk is small") }, "not begun: the disk is small", true, false},
		"fails":        {func(p *pc, _ *sink) { p.fails = errors.New("it broke") }, "it broke", false, false},
		"not a dump":   {func(p *pc, _ *sink) { p.dump = []byte("nonsense") }, "no dump", false, false},
		"nothing":      {func(p *pc, _ *sink) { p.dump = nil }, "no dump", false, false},
		"not the file": {func(p *pc, _ *sink) { p.dump = []byte("MD") }, "no dump", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, w := whole(), new(sink)
			x.change(p, w)
			c := New(Target{5, 77}, p)
			err := c.Memory().Acquire(t.Context(), w)
			if err == nil || !strings.Contains(err.Error(), x.why) || errors.Is(err, fs.ErrPermission) != x.denied || len(w.b) > 0 {
				t.Fatalf("%v, %d bytes", err, len(w.b))
			}
			begun := c.Told().(interface{ Begun() bool }).Begun()
			if begun == x.none {
				t.Errorf("begun: %t", begun)
			}
			if x.none {
				if terr := c.Told().Acquire(t.Context(), w); !errors.Is(terr, err) {
					t.Errorf("the line: %v", terr)
				}
			} else if l := told1(t, c); l.Problem != err.Error() || l.PID != 5 || l.Size != 0 {
				t.Errorf("%+v", l)
			}
		})
	}
	if err := New(Target{}, whole()).Told().Acquire(t.Context(), new(sink)); err == nil {
		t.Error("a line without a dump")
	}
	if err := New(Target{}, whole()).Memory().Acquire(t.Context(), new(probetest.Lines)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a writer of lines alone: %v", err)
	}
}

// TestBrokenOff: the line says how far it came.
func TestBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, w := whole(), &sink{after: cancel}
	c := New(Target{PID: 5}, p)
	if err := c.Memory().Acquire(ctx, w); !errors.Is(err, context.Canceled) || !p.closed {
		t.Errorf("%v, closed %t", err, p.closed)
	}
	if l := told1(t, c); l.Size != chunk || l.Problem == "" {
		t.Errorf("%+v", l)
	}
}
