package osservice

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// stubborn is a systemd that does not stop some units.
type stubborn struct {
	fails map[string]error
	asked []string
}

func (s *stubborn) do(what string) error {
	s.asked = append(s.asked, what)
	return s.fails[what]
}
func (s *stubborn) stop(_ context.Context, unit string) error { return s.do(unit) }
func (s *stubborn) reload(context.Context) error              { return s.do("reload") }
func (s *stubborn) hangUp(context.Context) error              { return s.do("hang up") }

// TestUninstallGoesOn: one unit that does not stop must not leave the files of all.
func TestUninstallGoesOn(t *testing.T) {
	all := []string{unitCompanion, unitIsolation, unitAgent, "reload", "hang up"}
	for _, failing := range all {
		t.Run(failing, func(t *testing.T) {
			root := image(t, map[string]string{"/etc/systemd/system/cron.service": ""})
			empty := listing(t, root)
			mustWrite(t, root, Config{Executable: "/opt/hozen-agent"})
			boom := fmt.Errorf("%s does not", failing)
			s := &stubborn{fails: map[string]error{failing: boom}}
			if err := (&tree{root: root}).takeAway(t.Context(), s); !errors.Is(err, boom) {
				t.Errorf("%v", err)
			}
			if !slices.Equal(s.asked, all) {
				t.Errorf("asked for %q", s.asked)
			}
			if left := same(empty, listing(t, root)); len(left) > 0 {
				t.Errorf("left %q", left)
			}
		})
	}
	root := image(t, map[string]string{"/etc/systemd/system/cron.service": ""})
	mustWrite(t, root, Config{Executable: "/opt/hozen-agent"})
	full := listing(t, root)
	s := &stubborn{fails: map[string]error{unitCompanion: ErrNeedsRoot}}
	if err := (&tree{root: root}).takeAway(t.Context(), s); !errors.Is(err, ErrNeedsRoot) || len(s.asked) != 1 || len(same(full, listing(t, root))) > 0 {
		t.Errorf("without rights: %v, %q", err, s.asked)
	}
}
