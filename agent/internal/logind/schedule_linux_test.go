package logind

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestScheduleIsSeen as logind writes it: the folder made with the first one, the file
// renamed into place.
func TestScheduleIsSeen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	must(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "shutdown", "scheduled")
	c := &client{New(Config{Address: "unix:path=/nonexistent", Scheduled: path}), t, nil}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.watchSchedule(ctx) }()
	write := func(mode string) {
		t.Helper()
		tmp := filepath.Join(filepath.Dir(path), ".#scheduledX")
		must(t, os.WriteFile(tmp, fmt.Appendf(nil, "USEC=1800000000000000\nWARN_WALL=1\nMODE=%s\nUID=1000\nTTY=pts/1\n", mode), 0o600))
		must(t, os.Rename(tmp, path))
	}
	must(t, os.Mkdir(filepath.Dir(path), 0o755))
	write("poweroff")
	if e := c.next(); e.Kind != Scheduled || e.Type != "poweroff" || e.UID != 1000 || e.TTY != "pts/1" || !e.For.Equal(time.Unix(1_800_000_000, 0)) {
		t.Errorf("%+v", e)
	}
	write("reboot")
	if e := c.next(); e.Kind != Scheduled || e.Type != "reboot" {
		t.Errorf("%+v", e)
	}
	must(t, os.Remove(path))
	if e := c.next(); e.Kind != Unscheduled {
		t.Errorf("%+v", e)
	}
	must(t, os.Remove(filepath.Dir(path)))
	must(t, os.Mkdir(filepath.Dir(path), 0o755))
	write("halt")
	if e := c.next(); e.Kind != Scheduled || e.Type != "halt" {
		t.Errorf("%+v", e)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	c.quiet()
}
