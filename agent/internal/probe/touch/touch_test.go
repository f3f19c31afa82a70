package touch_test

import (
	"os"
	"path/filepath"
	"testing"

	"hozen/agent/internal/probe/touch"
)

func TestCounts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := touch.With(t.Context())
	for _, n := range []string{name, name + "not there", name} {
		if f, err := touch.Open(ctx, n); err == nil {
			f.Close()
		}
	}
	if n := touch.Of(ctx).Count(); n != 2 {
		t.Errorf("%d opened", n)
	}
	if n := touch.Of(touch.With(ctx)).Count(); n != 0 {
		t.Errorf("a further acquisition begins with %d", n)
	}
	none := touch.Of(t.Context())
	none.One()
	if none.Count() != 0 {
		t.Error("nobody counts, and there is a count")
	}
}
