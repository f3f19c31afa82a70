package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"hozen/agent/internal/isolate"
)

// lid is a wall that can also drop everything.
type lid struct {
	*wall
	shut int
	fail error
}

func (l *lid) Shut(context.Context) error {
	l.shut++
	return l.fail
}

// TestBootThatCannotIsolate: where isolation was ordered and the rules cannot be put in
// force, everything is cut; where nothing is known of an order, nothing is done.
func TestBootThatCannotIsolate(t *testing.T) {
	linuxOnly(t, "a unit of systemd runs this verb")
	boot := func(state string, l *lid) int {
		c := newCommand("boot-isolation", os.Getenv, stdio{nil, t.Output(), t.Output()})
		c.state = state
		log := newLog(t.Output(), 0, false)
		code := c.bootIsolation(t.Context(), l, log)
		if code != exitOK {
			c.cutAtBoot(t.Context(), l, log)
		}
		return code
	}
	boom := errors.New("the kernel refuses")
	for name, s := range map[string]struct {
		ordered isolate.State
		harm    func(t *testing.T, dir string)
		fail    error
		shut    int
		code    int
	}{
		"in force":       {ordered: isolate.Isolated, code: exitOK},
		"released":       {ordered: isolate.Released, code: exitOK},
		"kernel refuses": {ordered: isolate.Isolated, fail: boom, shut: 1, code: exitFailed},
		"record damaged, kernel refuses": {ordered: isolate.Isolated, fail: boom, shut: 1, code: exitFailed, harm: func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "isolation.record"), []byte("x"), 0o600))
		}},
		"state folder in trouble": {ordered: isolate.Isolated, shut: 1, code: exitFailed, harm: func(t *testing.T, dir string) {
			must(t, os.RemoveAll(dir))
			must(t, os.Symlink(filepath.Base(dir), dir)) // round and round
		}},
		"nothing known, kernel refuses": {ordered: isolate.Released, fail: boom, code: exitFailed, harm: func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "isolation.record"), []byte("x"), 0o600))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := recorded(t, s.ordered)
			if s.harm != nil {
				s.harm(t, filepath.Join(a.set.state, "isolation"))
			}
			l := &lid{wall: &wall{fail: s.fail}}
			if code := boot(a.set.state, l); code != s.code || l.shut != s.shut {
				t.Errorf("exit code %d, shut %d times", code, l.shut)
			}
		})
	}
	// A PC that never was isolated, with a folder that cannot be made.
	file := filepath.Join(t.TempDir(), "state")
	l := &lid{wall: &wall{}}
	if code := boot(filepath.Join(file, "none"), l); code != exitOK || l.shut != 0 {
		t.Errorf("exit code %d, shut %d times", code, l.shut)
	}
}

// TestAfterFailure: the unit's last line acts only when the unit failed, and says when it
// cannot.
func TestAfterFailure(t *testing.T) {
	for _, result := range []string{"", "success"} {
		state := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(state, "isolation", markerFile), 0o700))
		getenv := func(key string) string { return map[string]string{"SERVICE_RESULT": result}[key] }
		if code := runBootIsolation(t.Context(), []string{"--after-failure", "--state", state}, getenv, stdio{nil, t.Output(), t.Output()}); code != exitOK {
			t.Errorf("%q: exit code %d", result, code)
		}
	}
	a := recorded(t, isolate.Isolated)
	c := newCommand("boot-isolation", os.Getenv, stdio{nil, t.Output(), t.Output()})
	c.state = a.set.state
	for fail, want := range map[error]int{nil: exitOK, fs.ErrInvalid: exitFailed} {
		l := &lid{wall: &wall{}, fail: fail}
		if code := c.cutAtBoot(t.Context(), l, a.set.log); code != want || l.shut != 1 {
			t.Errorf("%v: exit code %d, shut %d times", fail, code, l.shut)
		}
	}
	if code := c.cutAtBoot(t.Context(), &wall{}, a.set.log); code == exitOK {
		t.Error("a firewall that cannot drop everything passes for one that did")
	}
}
