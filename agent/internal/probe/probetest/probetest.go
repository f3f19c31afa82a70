// Package probetest is the suite that every probe passes: it holds a probe to the
// contract of package probe. It knows nothing of what a probe reads.
package probetest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/probe"
)

// Lines is a probe.Writer that keeps what it is given.
type Lines struct {
	All [][]byte
	// FailAfter makes the writer refuse all records behind the first so many. Optional:
	// zero refuses none.
	FailAfter int
	refused   int
}

// ErrWriter is what a Lines that refuses returns.
var ErrWriter = errors.New("the writer is full")

// Write implements probe.Writer.
func (l *Lines) Write(r probe.Record) error {
	if l.FailAfter > 0 && len(l.All) == l.FailAfter {
		l.refused++
		return ErrWriter
	}
	l.All = append(l.All, r.AppendJSON(nil))
	return nil
}

// Config says what the suite should know of a probe.
type Config struct {
	// New makes a probe for one acquisition.
	New func() probe.Probe
	// Key names the thing that a line tells of, so that the order of two readings can be
	// compared although their values moved. Optional: the whole line.
	Key func(line map[string]any) string
	// MayBeEmpty says that this machine may have no such evidence.
	MayBeEmpty bool
}

// Run runs the suite.
func Run(t *testing.T, c Config) {
	t.Run("says what it is", c.names)
	t.Run("writes objects in a stable order", c.stable)
	t.Run("obeys its context", c.obeys)
	t.Run("stops when the writer does", c.stops)
	t.Run("leaves no trace", c.traceless)
}

// acquire reads once. A probe may miss something on this machine; anything else fails
// the test.
func (c Config) acquire(t *testing.T, ctx context.Context) [][]byte {
	t.Helper()
	var l Lines
	if err := c.New().Acquire(ctx, &l); err != nil && probe.AsMissing(err) == nil {
		t.Fatalf("acquire: %v", err)
	}
	return l.All
}

func (c Config) names(t *testing.T) {
	p := c.New()
	if want := regexp.MustCompile(`^hozen\.` + regexp.QuoteMeta(string(p.Kind())) + `/[1-9][0-9]*$`); !want.MatchString(p.Schema()) {
		t.Errorf("schema %q is not hozen.%s/<number>", p.Schema(), p.Kind())
	}
	if v := p.Volatility(); v < probe.Live || v > probe.Closing {
		t.Errorf("volatility %d is none", v)
	}
}

func (c Config) keys(t *testing.T, lines [][]byte) []string {
	t.Helper()
	var keys []string
	for _, line := range lines {
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if c.Key == nil {
			keys = append(keys, string(line))
		} else {
			keys = append(keys, c.Key(v))
		}
	}
	return keys
}

func (c Config) stable(t *testing.T) {
	first, second := c.keys(t, c.acquire(t, t.Context())), c.keys(t, c.acquire(t, t.Context()))
	if len(first) == 0 && !c.MayBeEmpty {
		t.Fatal("nothing was read")
	}
	// What came or went between the two is left out; the rest stands in one order.
	both := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(k string) bool { return !slices.Contains(other, k) })
	}
	a, b := both(first, second), both(second, first)
	if !slices.Equal(a, b) {
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("order changed at %d of %d and %d: %s, then %s", i, len(a), len(b), a[i], b[i])
			}
		}
		t.Fatalf("%d keys, then %d", len(a), len(b))
	}
}

// patience is what a probe may take to notice that its time is over. The runner's
// grace is longer.
const patience = 2 * time.Second

func (c Config) obeys(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ctx := range map[string]context.Context{
		"ended before": over,
		"1 µs":         within(t, time.Microsecond),
		"1 ms":         within(t, time.Millisecond),
	} {
		var l Lines
		done := make(chan error, 1)
		go func() { done <- c.New().Acquire(ctx, &l) }()
		select {
		case err := <-done:
			if err == nil && ctx == over {
				t.Errorf("%s: complete although its time was over", name)
			}
			if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) && probe.AsMissing(err) == nil {
				t.Errorf("%s: %v does not say that time ran out", name, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s: still running after %v", name, patience)
		}
		c.keys(t, l.All) // what was written is whole
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func (c Config) stops(t *testing.T) {
	if len(c.acquire(t, t.Context())) < 2 {
		t.Log("too few lines to refuse one")
		return
	}
	l := Lines{FailAfter: 1}
	if err := c.New().Acquire(t.Context(), &l); !errors.Is(err, ErrWriter) {
		t.Errorf("the writer's error became %v", err)
	}
	if l.refused != 1 {
		t.Errorf("%d records were written after the writer refused one", l.refused-1)
	}
}

// traceless looks for child processes and for files in the places where a careless
// program leaves them.
func (c Config) traceless(t *testing.T) {
	cwd, tmp := t.TempDir(), t.TempDir()
	t.Chdir(cwd)
	t.Setenv("TMPDIR", tmp)
	before := effects(t)
	c.acquire(t, t.Context())
	after := effects(t)
	// What a probe drops is closed when the garbage collector finds it.
	for until := time.Now().Add(patience); len(more(before, after)) > 0 && time.Now().Before(until); {
		runtime.GC()
		after = effects(t)
	}
	for _, name := range more(before, after) {
		t.Errorf("%s: %d before, %d after", name, before[name], after[name])
	}
	for _, dir := range []string{cwd, tmp} {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			t.Errorf("it left the file %s", e.Name())
		}
	}
}

// more names the effects that grew.
func more(before, after map[string]int64) (names []string) {
	for name, n := range after {
		if n > before[name] {
			names = append(names, name)
		}
	}
	return names
}

// Join makes a Key of some fields of a line.
func Join(fields ...string) func(map[string]any) string {
	return func(v map[string]any) string {
		var b strings.Builder
		for _, f := range fields {
			j, _ := json.Marshal(v[f]) // came out of json
			b.Write(j)
			b.WriteByte(' ')
		}
		return b.String()
	}
}
