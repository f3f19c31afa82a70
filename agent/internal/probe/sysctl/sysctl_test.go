package sysctl_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/sysctl"
	"hozen/internal/artifact/record"
)

func fresh() probe.Probe { return sysctl.New("/") }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("name")})
}

func TestSettings(t *testing.T) {
	seen := map[string]bool{}
	form := regexp.MustCompile(`^[a-z0-9]+(\.[a-z0-9_-]+)+$`)
	for _, s := range sysctl.Settings() {
		if seen[s.Name] || !form.MatchString(s.Name) || len(s.Why) < 15 {
			t.Errorf("%+v", s)
		}
		seen[s.Name] = true
	}
}

// TestNothingIsMounted: a setting that lies in a file system of its own is asked for only
// where that is mounted.
func TestNothingIsMounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	const waits = "30 20 0:28 / /proc/sys/fs/binfmt_misc rw,relatime shared:1 - autofs systemd-1 rw,direct\n"
	for mounts, want := range map[string]int{
		waits: 0,
		waits + "31 30 0:40 / /proc/sys/fs/binfmt_misc rw shared:2 - binfmt_misc binfmt_misc rw\n": 1,
	} {
		root := t.TempDir()
		for name, text := range map[string]string{"proc/sys/fs/binfmt_misc/status": "enabled\n", "proc/self/mountinfo": mounts} {
			path := filepath.Join(root, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		var l probetest.Lines
		if err := sysctl.New(root).Acquire(t.Context(), &l); err != nil || len(l.All) != want {
			t.Errorf("%d settings with %q, %v", len(l.All), mounts, err)
		}
	}
}

func TestValues(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	root := t.TempDir()
	for name, text := range map[string]string{"kernel/core_pattern": "|/tmp/evil %p\n", "net/ipv4/ip_forward": "1\n"} {
		path := filepath.Join(root, "proc/sys", filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	var l probetest.Lines
	if err := sysctl.New(root).Acquire(t.Context(), &l); err != nil || len(l.All) != 2 {
		t.Fatal(err, len(l.All))
	}
	var s record.Sysctl
	if err := json.Unmarshal(l.All[0], &s); err != nil || s.Name != "kernel.core_pattern" || s.Value != "|/tmp/evil %p" || s.Why == "" {
		t.Errorf("%+v, %v", s, err)
	}
}
