package machine

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func virtualHall(t *testing.T) (*Hall, context.Context) {
	t.Helper()
	if err := VirtualAvailable(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	h, err := NewHall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close the hall: %v", err)
		}
	})
	return h, ctx
}

// TestVirtualKeepsWhatWasSynced boots a virtual machine, cuts its power and boots it
// again: what was synced is there, what was written a moment before is not.
func TestVirtualKeepsWhatWasSynced(t *testing.T) {
	if os.Getenv("HOZEN_SOAK") == "" {
		t.Skip("takes minutes: part of make soak")
	}
	h, ctx := virtualHall(t)
	d, err := h.Disk(ctx, VirtualBookworm())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Write("/etc/hozen-test/given", "given\n", 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := NewWire(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	boot := func() *Virtual {
		m, err := h.BootVirtual(ctx, VirtualConfig{Disk: d, Wire: w})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		t.Logf("booted in %s", m.Booted.Round(time.Millisecond))
		return m
	}
	run := func(m *Virtual, script string) string {
		t.Helper()
		out, err := m.Run(ctx, "sh", "-c", script)
		if err != nil {
			t.Error(err)
		}
		return out
	}
	m := boot()
	run(m, "cd /etc/hozen-test; echo synced > synced; sync; echo lost > lost")
	if err := m.Trigger(ctx, PowerLoss); err != nil {
		t.Fatal(err)
	}
	if _, err := m.WaitDown(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	m = boot()
	if out := run(m, "ls /etc/hozen-test"); out != "given\nsynced\n" {
		t.Errorf("after the power cut the disk holds %q", strings.Fields(out))
	}
	if err := m.Trigger(ctx, PowerButton); err != nil {
		t.Fatal(err)
	}
	took, err := m.WaitDown(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("down %s after the power button", took.Round(time.Millisecond))
}
