package autostart

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func fresh() probe.Probe { return New("/") }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("type", "name", "path"), MayBeEmpty: true})
}

// TestPersistence plants what intruders plant.
func TestPersistence(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	root := t.TempDir()
	const evil = "[Timer]\nOnBootSec=1\n"
	for name, text := range map[string]string{
		"etc/passwd":                         "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbin:x:2:2::/bin:/x\nodd\n",
		"etc/systemd/system/evil.timer":      evil,
		"etc/systemd/system/ssh.service.d/x": "[Service]\n",
		"home/alice/.config/systemd/user/a":  "",
		"home/alice/.bashrc":                 "private",
		"etc/ld.so.preload":                  "/lib/evil.so\n",
		"var/spool/cron/crontabs/alice":      "* * * * * true\n",
		"etc/cron.d/huge":                    strings.Repeat("#", maxFile+1),
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "etc/systemd/system/link.service")); err != nil {
		t.Fatal(err)
	}
	var l probetest.Lines
	if err := New(root).Acquire(t.Context(), &l); probe.AsMissing(err) == nil || probe.AsMissing(err).Skipped != 1 {
		t.Errorf("one file is too long: %v", err)
	}
	got := map[string]record.StartFile{}
	for _, b := range l.All {
		var f record.StartFile
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		got[f.Path] = f
	}
	sum := sha256.Sum256([]byte(evil))
	if f := got["/etc/systemd/system/evil.timer"]; f.SHA256 != hex.EncodeToString(sum[:]) || f.Mode != "0640" || f.Category != "systemd" || f.UID != int64(os.Getuid()) || f.Modified.IsZero() || f.Changed.IsZero() {
		t.Errorf("%+v", f)
	}
	if f := got["/etc/systemd/system/link.service"]; f.FileKind != "link" || f.Target != "/etc/passwd" || f.SHA256 != "" {
		t.Errorf("%+v", f)
	}
	if f := got["/etc/cron.d/huge"]; f.Unread != "failed" || f.SHA256 != "" || f.Size != maxFile+1 {
		t.Errorf("%+v", f)
	}
	for path, category := range map[string]string{
		"/home/alice/.config/systemd/user/a": "systemd_user", "/etc/ld.so.preload": "preload", "/var/spool/cron/crontabs/alice": "cron", "/etc/systemd/system/ssh.service.d/x": "systemd",
	} {
		if got[path].Category != category {
			t.Errorf("%s: %+v", path, got[path])
		}
	}
	if _, ok := got["/home/alice/.bashrc"]; ok || len(got) != 7 {
		t.Errorf("%d files", len(got))
	}
}

func TestUnits(t *testing.T) {
	got := units([]listed{{Name: "a@b.service", Load: "loaded", Active: "active", Sub: "running", JobType: "stop"}, {Name: "gone.service", Load: "not-found"}},
		[]unitFile{{"/usr/lib/systemd/system/a@.service", "static"}})
	if len(got) != 2 || got[0].File != "/usr/lib/systemd/system/a@.service" || got[0].FileState != "static" || got[0].Job != "stop" || got[1].File != "" {
		t.Errorf("%+v", got)
	}
	if !at(0).IsZero() || !at(1<<64-1).IsZero() || at(1766400000000000).Unix() != 1766400000 {
		t.Error("times are confused")
	}
}

func FuzzHome(f *testing.F) {
	f.Add([]byte("a:x:1:1::/home/../../etc:/bin/sh"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h := homeOf(b); strings.HasPrefix(h, "/") || h == ".." || strings.HasPrefix(h, "../") {
			t.Fatalf("%q", h)
		}
	})
}
