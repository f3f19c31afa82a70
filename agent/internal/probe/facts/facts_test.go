package facts_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/probetest"
)

type row struct{}

func (row) AppendJSON(b []byte) []byte { return append(b, "{}"...) }

func TestOutcomes(t *testing.T) {
	odd := errors.New("odd")
	over, cancel := context.WithCancel(t.Context())
	for name, c := range map[string]struct {
		read func(ctx context.Context, o *facts.Out) error
		ctx  context.Context
		want error
		miss int64
	}{
		"all":              {read: func(_ context.Context, o *facts.Out) error { return o.Write(row{}) }},
		"nothing":          {read: func(context.Context, *facts.Out) error { return nil }},
		"none of the kind": {read: func(context.Context, *facts.Out) error { return fs.ErrNotExist }, want: errors.ErrUnsupported},
		"gone":             {read: func(_ context.Context, o *facts.Out) error { o.Miss(fs.ErrNotExist); o.Miss(nil); return nil }},
		"denied":           {read: func(_ context.Context, o *facts.Out) error { o.Miss(fs.ErrPermission); o.Miss(odd); return nil }, want: fs.ErrPermission},
		"partly":           {read: func(_ context.Context, o *facts.Out) error { o.Miss(odd); o.Miss(odd); return o.Write(row{}) }, want: odd, miss: 2},
		"broke off":        {read: func(_ context.Context, o *facts.Out) error { return errors.Join(o.Write(row{}), odd) }, want: odd, miss: 1},
		"time over":        {read: func(ctx context.Context, o *facts.Out) error { o.Write(row{}); cancel(); return ctx.Err() }, ctx: over, want: context.Canceled},
	} {
		ctx := c.ctx
		if ctx == nil {
			ctx = t.Context()
		}
		var l probetest.Lines
		err := facts.New(facts.Config{OS: runtime.GOOS, Read: c.read}).Acquire(ctx, &l)
		m := probe.AsMissing(err)
		if !errors.Is(err, c.want) || (m != nil) != (c.miss > 0) || m != nil && m.Skipped != c.miss {
			t.Errorf("%s: %v (%+v)", name, err, m)
		}
	}
	elsewhere := facts.New(facts.Config{OS: "plan9", Read: func(context.Context, *facts.Out) error { return nil }})
	if err := elsewhere.Acquire(t.Context(), new(probetest.Lines)); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	full := facts.New(facts.Config{OS: runtime.GOOS, Read: func(_ context.Context, o *facts.Out) error {
		for range 3 {
			o.Write(row{})
		}
		return odd
	}})
	if err := full.Acquire(t.Context(), &probetest.Lines{FailAfter: 1}); !errors.Is(err, probetest.ErrWriter) {
		t.Error(err)
	}
}

func TestRoot(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b": " 12\n", "a": "0123456789", "sub/x": ""} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := facts.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := r.File("a", 4); string(got) != "0123" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := r.File("sub", 4); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
	if got := r.Value("b") + r.Value("c"); got != "12" {
		t.Errorf("%q", got)
	}
	if got, err := r.List(".", 9); err != nil || !slices.Equal(got, []string{"a", "b", "sub"}) {
		t.Error(got, err)
	}
	if got, err := r.List(".", 2); err == nil || len(got) != 2 {
		t.Error(got, err)
	}
	if got, left, err := r.Tail("a", 3, 2); err != nil || left != 1 || string(got) != "345678" {
		t.Errorf("%q, %d, %v", got, left, err)
	}
	if got, left, err := r.Tail("a", 3, 9); err != nil || left != 0 || string(got) != "0123456789" {
		t.Errorf("%q, %d, %v", got, left, err)
	}
	if _, err := r.File("../etc/passwd", 9); err == nil {
		t.Error("it led out")
	}
}
