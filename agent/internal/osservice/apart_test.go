package osservice

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
)

func TestApart(t *testing.T) {
	units := map[string]active{}
	for _, name := range []string{unitCompanion, "multi-user.target", "basic.target", "sysinit.target", "cron.service", "dbus.service", "systemd-journald.service",
		"session-1.scope", "by-hand.service", "polkit.service", "behind.service", "stray.scope", "init.scope", "dev-sda.device"} {
		units[name] = active{kindOf(name), "running"}
	}
	units["done.service"] = active{"service", "exited"}
	after := map[string][]string{
		unitCompanion:       {"multi-user.target", "session-1.scope", "dead.service", "systemd-journald.socket"},
		"multi-user.target": {"basic.target", "cron.service", unitCompanion},
		"basic.target":      {"sysinit.target"},
		"sysinit.target":    {"systemd-journald.service"},
		"cron.service":      {"dbus.service"},
		"dead.service":      {"behind.service"}, // it is not active, so nothing is stopped in its order
		"polkit.service":    {"dbus.service"},
	}
	got, err := apart(units, func(unit string) ([]string, error) { return after[unit], nil })
	if want := []string{"behind.service", "by-hand.service", "polkit.service", "stray.scope"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := apart(units, func(string) ([]string, error) { return nil, fs.ErrClosed }); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("%v", err)
	}
}
