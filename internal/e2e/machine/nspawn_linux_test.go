package machine

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"hozen/internal/netlab"
)

func hall(t *testing.T) (*Hall, context.Context) {
	t.Helper()
	if err := Available(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
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

func boot(t *testing.T, ctx context.Context, h *Hall, d *Disk) *Container {
	t.Helper()
	host, err := netlab.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	m, err := h.Boot(ctx, ContainerConfig{Disk: d, Host: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close the container: %v", err)
		}
	})
	return m
}

// TestContainerBootsAgain boots both releases of systemd, switches each off and finds
// in the next boot what the one before has written.
func TestContainerBootsAgain(t *testing.T) {
	for _, r := range []struct {
		recipe  Recipe
		systemd string
	}{{Bookworm(), "systemd 252"}, {Trixie(), "systemd 257"}} {
		t.Run(r.recipe.Suite, func(t *testing.T) {
			h, ctx := hall(t)
			d, err := h.Disk(ctx, r.recipe)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Write("/etc/hozen-test/given", "given\n", 0o600); err != nil {
				t.Fatal(err)
			}
			ids := map[string]bool{}
			for _, want := range []string{"given\n", "given\nwritten\n"} {
				m := boot(t, ctx, h, d)
				out, err := m.Run(ctx, "systemctl", "--version")
				if err != nil || !strings.HasPrefix(out, r.systemd) {
					t.Errorf("version %q, %v; want %s", out, err, r.systemd)
				}
				if out, err := m.Run(ctx, "cat", "/etc/hozen-test/given"); out != want || err != nil {
					t.Errorf("the disk holds %q, %v; want %q", out, err, want)
				}
				id, err := m.Run(ctx, "cat", "/proc/sys/kernel/random/boot_id")
				if err != nil || ids[id] {
					t.Errorf("boot_id %q, %v; want one of its own", id, err)
				}
				ids[id] = true
				if _, err := m.Run(ctx, "sh", "-c", "echo written >> /etc/hozen-test/given"); err != nil {
					t.Error(err)
				}
				if err := m.Trigger(ctx, Poweroff); err != nil {
					t.Fatal(err)
				}
				took, err := m.WaitDown(ctx)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("booted in %s, down in %s", m.Booted.Round(time.Millisecond), took.Round(time.Millisecond))
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			}
			if b, err := os.ReadFile(d.Path("/etc/hozen-test/given")); err != nil || !strings.HasSuffix(string(b), "written\n") {
				t.Errorf("from outside the disk holds %q, %v", b, err)
			}
		})
	}
}

// TestEveryTriggerBringsAContainerDown has nothing in the guest that could mind.
func TestEveryTriggerBringsAContainerDown(t *testing.T) {
	h, ctx := hall(t)
	d, err := h.Disk(ctx, Bookworm())
	if err != nil {
		t.Fatal(err)
	}
	for _, trigger := range []Trigger{Poweroff, ShutdownNow, Init0, PoweroffIgnoring, IsolateTarget, SigRTMin4, Force, ForceForce, PowerLoss} {
		m := boot(t, ctx, h, d)
		if err := m.Trigger(ctx, trigger); err != nil {
			t.Fatal(err)
		}
		soon, cancel := context.WithTimeout(ctx, 20*time.Second)
		took, err := m.WaitDown(soon)
		cancel()
		if err != nil {
			t.Fatalf("%s: %v", trigger, err)
		}
		t.Logf("%s: booted in %s, down in %s", trigger, m.Booted.Round(time.Millisecond), took.Round(time.Millisecond))
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
