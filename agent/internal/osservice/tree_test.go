package osservice

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// image is a file system with systemd that does not run.
func image(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("systemd's files and links are Linux's")
	}
	root = t.TempDir()
	files["/usr/lib/systemd/systemd"] = "\x7fELF"
	files["/etc/hostname"] = "pc\n"
	for path, text := range files {
		put(t, root, path, text)
	}
	return root
}

func put(t *testing.T, root, path, text string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if target, ok := strings.CutPrefix(text, "-> "); ok {
		if err := os.Symlink(target, full); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// listing is every file, link and folder below root, with what is in it.
func listing(t *testing.T, root string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(path, root)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			got[rel] = "-> " + to
			return err
		case d.IsDir():
			got[rel] = "folder"
			return nil
		}
		b, err := os.ReadFile(path)
		got[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func mustWrite(t *testing.T, root string, c Config) []Change {
	t.Helper()
	tr := &tree{root: root}
	if err := tr.write(c); err != nil {
		t.Fatal(err)
	}
	return tr.changes
}

func mustClear(t *testing.T, root string) []Change {
	t.Helper()
	tr := &tree{root: root}
	if err := tr.clear(); err != nil {
		t.Fatal(err)
	}
	return tr.changes
}

func same(a, b map[string]string) (differ []string) {
	for path, text := range a {
		if b[path] != text {
			differ = append(differ, path)
		}
	}
	for path := range b {
		if _, ok := a[path]; !ok {
			differ = append(differ, path)
		}
	}
	slices.Sort(differ)
	return differ
}

var here = Config{Executable: "/opt/hozen/hozen-agent"}

func TestInstallTwiceUninstallTwice(t *testing.T) {
	root := image(t, map[string]string{
		"/etc/systemd/system/multi-user.target.wants/cron.service": "-> /usr/lib/systemd/system/cron.service",
		"/etc/systemd/system/hozen-collector.service":              "[Unit]\n",
		"/etc/systemd/system/hozen-agent.service.d/mine.conf":      "[Service]\nNice=5\n",
	})
	before := listing(t, root)
	first := mustWrite(t, root, here)
	if want := len(UnitFiles(here)) + 3 + 1; len(first) != want { // files, links, logind's drop-in
		t.Errorf("%d changes, want %d: %v", len(first), want, first)
	}
	after := listing(t, root)
	for name, text := range UnitFiles(here) {
		if after["/etc/systemd/system/"+name] != text {
			t.Errorf("%s is not there", name)
		}
	}
	if got := after["/etc/systemd/system/sysinit.target.wants/hozen-agent-isolation.service"]; got != "-> /etc/systemd/system/hozen-agent-isolation.service" {
		t.Errorf("isolation is not enabled: %q", got)
	}
	if again := mustWrite(t, root, here); len(again) != 0 {
		t.Errorf("the second time changed %v", again)
	}
	if differ := same(after, listing(t, root)); differ != nil {
		t.Errorf("the second time silently changed %v", differ)
	}
	mustClear(t, root)
	if differ := same(before, listing(t, root)); differ != nil {
		t.Errorf("uninstalling left or lost %v", differ)
	}
	if again := mustClear(t, root); len(again) != 0 {
		t.Errorf("the second uninstalling changed %v", again)
	}
}

// TestUpgrade begins with what earlier versions and accidents left.
func TestUpgrade(t *testing.T) {
	root := image(t, map[string]string{
		"/etc/systemd/system/hozen-agent.service":                                    "[Service]\nExecStart=/old/hozen-agent run --service --state \"/srv/my hozen\"\n",
		"/etc/systemd/system/multi-user.target.wants/hozen-agent.service":            "-> /lib/systemd/system/hozen-agent.service",
		"/etc/systemd/system/hozen-agent-shutdown.service":                           "", // cut off: systemd takes it for masked
		"/etc/systemd/system/hozen-agent-watch.service":                              "[Service]\nExecStart=/x\n",
		"/etc/systemd/system/multi-user.target.wants/hozen-agent-watch.service":      "-> ../hozen-agent-watch.service",
		"/etc/systemd/system/app-.slice.d/50-hozen-agent.conf":                       "[Unit]\n",
		"/etc/systemd/system/user@.service.d/50-hozen-agent.conf":                    "[Unit]\nAfter=wrong.service\n",
		"/etc/systemd/system/user@.service.d/override.conf":                          "[Service]\n",
		"/etc/systemd/logind.conf.d/50-hozen-agent.conf":                             "[Login]\nInhibitDelayMaxSec=10s\n",
		"/etc/systemd/system/graphical.target.wants/hozen-agent-other-thing.service": "-> /x",
	})
	changes := mustWrite(t, root, here)
	now := listing(t, root)
	kept := here
	kept.Paths.State = "/srv/my hozen" // as the old unit said
	for name, text := range UnitFiles(kept) {
		if now["/etc/systemd/system/"+name] != text {
			t.Errorf("%s is not this version's:\n%s", name, now["/etc/systemd/system/"+name])
		}
	}
	for _, gone := range []string{"hozen-agent-watch.service", "multi-user.target.wants/hozen-agent-watch.service", "app-.slice.d", "graphical.target.wants"} {
		if _, ok := now["/etc/systemd/system/"+gone]; ok {
			t.Errorf("%s is still there", gone)
		}
	}
	if now["/etc/systemd/system/user@.service.d/override.conf"] == "" {
		t.Error("an administrator's drop-in is gone")
	}
	if now["/etc/systemd/logind.conf.d/50-hozen-agent.conf"] != logindText {
		t.Error("logind's drop-in is the old one")
	}
	for _, want := range []Change{
		{Rewritten, "/etc/systemd/system/hozen-agent.service"}, {Rewritten, "/etc/systemd/system/hozen-agent-shutdown.service"},
		{Written, "/etc/systemd/system/hozen-agent-isolation.service"}, {Removed, "/etc/systemd/system/hozen-agent-watch.service"},
		{Rewritten, "/etc/systemd/system/multi-user.target.wants/hozen-agent.service"},
	} {
		if !slices.Contains(changes, want) {
			t.Errorf("does not say %v", want)
		}
	}
	other := here
	other.Paths.State = "/srv/new"
	mustWrite(t, root, other)
	if got, _ := (&tree{root: root}).installedPaths(); got != other.Paths {
		t.Errorf("paths are %v, asked for %v", got, other.Paths)
	}
}

// TestPackageAndInstallByHand: the package's units are not hidden by copies.
func TestPackageAndInstallByHand(t *testing.T) {
	packaged := Config{Executable: packagedProgram}
	files := map[string]string{}
	for name, text := range UnitFiles(packaged) {
		files["/usr/lib/systemd/system/"+name] = text
		files["/etc/systemd/system/"+name] = text + "# older\n" // from before there was a package
	}
	root := image(t, files)
	tr := &tree{root: root}
	for _, f := range tr.fileFacts(packaged) {
		if strings.HasPrefix(f.path, adminUnits) && !strings.Contains(f.path, ".wants/") && f.is != "hidden" {
			t.Errorf("%s: %q, want hidden", f.path, f.is)
		}
	}
	mustWrite(t, root, packaged)
	now := listing(t, root)
	for name := range UnitFiles(packaged) {
		if _, ok := now["/etc/systemd/system/"+name]; ok {
			t.Errorf("%s hides the package's", name)
		}
	}
	if got := now["/etc/systemd/system/multi-user.target.wants/hozen-agent-shutdown.service"]; got != "-> /usr/lib/systemd/system/hozen-agent-shutdown.service" {
		t.Errorf("enabled by %q", got)
	}
	facts := (&tree{root: root}).fileFacts(packaged)
	for _, f := range facts {
		if f.is != "" {
			t.Errorf("%s: %s", f.path, f.is)
		}
	}
	if len(facts) != len(UnitFiles(packaged))+1 {
		t.Errorf("%d files are looked at: %v", len(facts), facts)
	}
	if err := os.Remove(filepath.Join(root, wants(unitIsolation))); err != nil {
		t.Fatal(err)
	}
	if facts := (&tree{root: root}).fileFacts(packaged); !slices.Contains(facts, fileFact{wants(unitIsolation), "missing"}) {
		t.Errorf("nobody starts the isolation unit, and nobody sees: %v", facts)
	}
	// A state folder elsewhere needs units of its own, which a repeated install keeps.
	own := packaged
	own.Paths.State = "/srv/hozen"
	mustWrite(t, root, own)
	if again := mustWrite(t, root, packaged); len(again) != 0 {
		t.Errorf("repeating changed %v", again)
	}
	if got, _ := (&tree{root: root}).installedPaths(); got != own.Paths {
		t.Errorf("paths are %v", got)
	}
	mustClear(t, root)
	for path := range listing(t, root) {
		if strings.HasPrefix(path, "/etc/") && strings.Contains(path, Name) {
			t.Errorf("%s is left", path)
		}
	}
}

func TestUpgradeKeepsDisabled(t *testing.T) {
	root := image(t, map[string]string{})
	mustWrite(t, root, here)
	for _, unit := range unitNames() {
		if err := os.Remove(filepath.Join(root, wants(unit))); err != nil {
			t.Fatal(err)
		}
	}
	upgrade := here
	upgrade.KeepDisabled = true
	if changes := mustWrite(t, root, upgrade); len(changes) != 0 {
		t.Errorf("an upgrade changed a disabled agent: %v", changes)
	}
	mustClear(t, root)
	put(t, root, "/etc/systemd/system/hozen-agent.service", "-> /dev/null")
	mustWrite(t, root, upgrade)
	if !(&tree{root: root}).masked(unitAgent) {
		t.Error("an upgrade unmasked the agent")
	}
	mustWrite(t, root, here)
	if tr := (&tree{root: root}); tr.masked(unitAgent) || !tr.enabled(unitAgent) {
		t.Error("a new installation is not in force")
	}
	// One that is enabled gets what is new.
	if err := os.Remove(filepath.Join(root, wants(unitCompanion))); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, root, upgrade)
	if !(&tree{root: root}).enabled(unitCompanion) {
		t.Error("an upgrade left a new unit out")
	}
}

func TestDelayIsNeverLowered(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"nothing said":         {map[string]string{}, true},
		"commented out":        {map[string]string{"/etc/systemd/logind.conf": "[Login]\n#InhibitDelayMaxSec=45\n"}, true},
		"enough":               {map[string]string{"/etc/systemd/logind.conf": "[Login]\nInhibitDelayMaxSec=45\n"}, false},
		"exactly enough":       {map[string]string{"/usr/lib/systemd/logind.conf.d/unattended-upgrades-logind-maxdelay.conf": "[Login]\nInhibitDelayMaxSec=30\n"}, false},
		"less":                 {map[string]string{"/etc/systemd/logind.conf": "[Login]\nInhibitDelayMaxSec=10s\n"}, true},
		"later wins":           {map[string]string{"/etc/systemd/logind.conf": "[Login]\nInhibitDelayMaxSec=60\n", "/run/systemd/logind.conf.d/a.conf": "[Login]\nInhibitDelayMaxSec=1s\n"}, true},
		"hidden by /etc":       {map[string]string{"/usr/lib/systemd/logind.conf.d/a.conf": "[Login]\nInhibitDelayMaxSec=60\n", "/etc/systemd/logind.conf.d/a.conf": "-> /dev/null"}, true},
		"another section":      {map[string]string{"/etc/systemd/logind.conf": "[Sleep]\nInhibitDelayMaxSec=60\n"}, true},
		"package's main file":  {map[string]string{"/usr/lib/systemd/logind.conf": "[Login]\nInhibitDelayMaxSec=1min 30s\n"}, false},
		"nonsense is no value": {map[string]string{"/etc/systemd/logind.conf": "[Login]\nInhibitDelayMaxSec=40\nInhibitDelayMaxSec=soon\n"}, false},
		"reset":                {map[string]string{"/etc/systemd/logind.conf": "[Login]\nInhibitDelayMaxSec=40\nInhibitDelayMaxSec=\n"}, true},
	} {
		root := image(t, c.files)
		for range 2 { // our own drop-in must not talk us out of itself
			mustWrite(t, root, here)
			if got := (&tree{root: root}).exists(logindDropIn); got != c.want {
				t.Errorf("%s: drop-in %t, want %t", name, got, c.want)
			}
		}
	}
	// When somebody allows more later on, ours goes.
	root := image(t, map[string]string{})
	mustWrite(t, root, here)
	put(t, root, "/etc/systemd/logind.conf", "[Login]\nInhibitDelayMaxSec=2min\n")
	if changes := mustWrite(t, root, here); !slices.Contains(changes, Change{Removed, logindDropIn}) {
		t.Errorf("our 30 s still lower their 2 min: %v", changes)
	}
}

func TestTimeSpan(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"5": 5 * time.Second, "30s": 30 * time.Second, " 2min ": 2 * time.Minute, "1min 30s": 90 * time.Second, "1min30s": 90 * time.Second,
		"1.5h": 90 * time.Minute, "300 msec": 300 * time.Millisecond, "2 h 5 ms": 2*time.Hour + 5*time.Millisecond, "infinity": forever,
		"900000y": forever, "0": 0,
	} {
		if got, ok := timeSpan(in); !ok || got != want {
			t.Errorf("%q: %v %t, want %v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "s", "-5", "5 parsecs", "1..2", "soon", "x5"} {
		if got, ok := timeSpan(in); ok {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func FuzzLogindConf(f *testing.F) {
	f.Add("[Login]\nInhibitDelayMaxSec=30s\n")
	f.Add("[Login]\nInhibitDelayMaxSec = 1.5 h 3 µs\n[Other]\nInhibitDelayMaxSec=1")
	f.Fuzz(func(t *testing.T, text string) {
		if d := delayOf([]confFile{{"x", text}}); d < 0 {
			t.Errorf("%v", d)
		}
	})
}

// TestFailedInstallLeavesWholeFiles fails in the middle.
func TestFailedInstallLeavesWholeFiles(t *testing.T) {
	root := image(t, map[string]string{
		"/etc/systemd/system/user@.service.d": "a file where a folder is needed",
	})
	tr := &tree{root: root}
	if err := tr.write(here); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("error %v", err)
	}
	for path, text := range listing(t, root) {
		if strings.HasPrefix(path, adminUnits) && (text == "" || strings.Contains(path, ".tmp-")) {
			t.Errorf("%s was left behind: %q", path, text)
		}
	}
}
