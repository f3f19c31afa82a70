package autostart

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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

// TestRemoteHomes: nobody's home is mounted or waited for, and those that are left out are
// told.
func TestRemoteHomes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	root := t.TempDir()
	var passwd string
	for _, home := range []string{"/home/away", "/home/mounted", "/home/here", "/srv/far", "/links/x", "/near/y"} {
		passwd += "u:x:1000:1000::" + home + ":/bin/sh\n"
	}
	for name, text := range map[string]string{
		"etc/passwd": passwd,
		"proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:30 / /home rw - autofs auto.home rw\n3 2 0:31 / /home/mounted rw - nfs4 s:/m rw\n" +
			"4 2 8:2 / /home/here rw - ext4 /dev/sda2 rw\n5 1 0:32 / /srv rw - fuse.sshfs s: rw\n6 4 0:33 / /home/here/.config/autostart rw - fuse.x x rw\n",
		"home/away/.config/systemd/user/a": "", "home/mounted/.config/systemd/user/a": "", "home/here/.config/systemd/user/a": "",
		"home/here/.config/autostart/a": "", "srv/far/.config/systemd/user/a": "", "disk/y/.config/systemd/user/a": "",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"links": "home/../srv", "near": "disk"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	var l probetest.Lines
	// Two places in each of four homes, and one that is mounted into a fifth.
	err := New(root).Acquire(t.Context(), &l)
	if m := probe.AsMissing(err); m == nil || m.Skipped != 9 || !strings.Contains(err.Error(), "autofs") {
		t.Errorf("error %v", err)
	}
	var got []string
	for _, b := range l.All {
		var f record.StartFile
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Path)
	}
	if want := []string{"/home/here/.config/systemd/user/a", "/near/y/.config/systemd/user/a"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func FuzzRemote(f *testing.F) {
	f.Add("home/a/.config", "../srv", "autofs")
	f.Add("a", "a", "")
	f.Fuzz(func(t *testing.T, name, target, kind string) {
		link := func(at string) (string, error) {
			if len(at)%2 == 1 {
				return target, nil
			}
			return "", fs.ErrInvalid
		}
		if got := remote(map[string]string{"home": kind}, link, name); got != "" && got != kind {
			t.Fatalf("%q", got)
		}
	})
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
