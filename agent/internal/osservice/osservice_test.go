package osservice

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const packagedProgram = "/usr/bin/hozen-agent"

// TestPackagedUnits holds the files of the packages to what "service install" writes.
// With UPDATE=1 in the environment they are written anew.
func TestPackagedUnits(t *testing.T) {
	dir := filepath.Join("..", "..", "packaging", "systemd")
	want := UnitFiles(Config{Executable: packagedProgram})
	if os.Getenv("UPDATE") != "" {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	list, err := os.ReadFile(filepath.Join("..", "..", "packaging", "nfpm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name))); err != nil || string(got) != text {
			t.Errorf("%s is not what the program writes (%v)", name, err)
		}
		if line := "dst: " + packageUnits + "/" + name + "\n"; !strings.Contains(string(list), line) {
			t.Errorf("the packages lack %s", name)
		}
	}
	if n := strings.Count(string(list), "- src: agent/packaging/systemd/"); n != len(want) {
		t.Errorf("the packages have %d units and drop-ins, want %d", n, len(want))
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if _, ok := want[filepath.ToSlash(rel)]; !ok {
			t.Errorf("%s: nothing writes it", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnitsDoNotFalsifyEvidence: none of these may ever come back.
func TestUnitsDoNotFalsifyEvidence(t *testing.T) {
	units := UnitFiles(Config{Executable: "/x"})
	for name, u := range units {
		for _, line := range strings.Split(u, "\n") {
			key, _, _ := strings.Cut(line, "=")
			if key != "" && strings.Count(u, line+"\n") > 1 {
				t.Errorf("%s says %s twice", name, line)
			}
			switch key {
			case "PrivateTmp", "ProtectProc", "PrivateDevices", "ProtectHome", "ProtectSystem", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths",
				"ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProcSubset", "PrivateNetwork", "PrivateUsers",
				"PrivateMounts", "TemporaryFileSystem", "BindPaths", "RootDirectory", "DynamicUser", "ProtectHostname", "RestrictNamespaces", "PrivateIPC":
				t.Errorf("%s: %s makes a namespace or forbids entering one", name, key)
			}
		}
		if strings.Contains(u, "{{") || strings.Contains(u, "@EXEC@") || strings.Contains(u, "@STATE@") {
			t.Errorf("%s: a placeholder is left", name)
		}
	}
	for name, wants := range map[string][]string{
		unitAgent: {"NoNewPrivileges=yes", "CapabilityBoundingSet=", "WatchdogSec=", "Restart=always", "After=network-online.target", "LimitNOFILE=",
			"Wants=network-online.target hozen-agent-shutdown.service", "After=hozen-agent-isolation.service"},
		unitCompanion: {"After=multi-user.target graphical.target", "RemainAfterExit=yes", "ExecStop=/x shutdown-capture\n", "WantedBy=multi-user.target"},
		unitIsolation: {"DefaultDependencies=no", "Before=network-pre.target", "ConditionPathExists=|/var/lib/hozen/isolation/isolation.marker",
			"ExecStart=/x boot-isolation\n", "ExecStopPost=/x boot-isolation --after-failure\n", "WantedBy=sysinit.target"},
		"user@.service.d/50-hozen-agent.conf": {"[Unit]\nBefore=hozen-agent-shutdown.service\n"},
	} {
		for _, want := range wants {
			if !strings.Contains(units[name], want) {
				t.Errorf("%s: no %s", name, want)
			}
		}
	}
	if strings.Contains(units[unitCompanion], "ExecStart=") {
		t.Error("the companion starts a program")
	}
}

// TestOwnProcIsAllowed: the calls that package crossview needs are taken out of what is
// denied, behind the line that denies them: systemd takes the first such line for the kind
// of the list.
func TestOwnProcIsAllowed(t *testing.T) {
	units := UnitFiles(Config{Executable: "/x"})
	for _, name := range []string{unitAgent, unitCompanion} {
		var filters []string
		for line := range strings.Lines(units[name]) {
			if rule, ok := strings.CutPrefix(line, "SystemCallFilter="); ok {
				filters = append(filters, strings.TrimSpace(rule))
			}
		}
		if len(filters) != 2 || !strings.HasPrefix(filters[0], "~") || !strings.Contains(filters[0], "@mount") || filters[1] != "fsopen fsconfig fsmount" {
			t.Errorf("%s: %q", name, filters)
		}
	}
}

func TestPathsReachEveryUnit(t *testing.T) {
	paths := Paths{Config: "/etc/a b.toml", State: "/srv/100%/hozen", Socket: "/run/$x.sock"}
	units := UnitFiles(Config{Executable: "/opt/hozen agent", Paths: paths})
	for _, name := range unitNames() {
		want := `"/etc/a b.toml" --state /srv/100%%/hozen --socket /run/$$x.sock`
		if !strings.Contains(units[name], want) {
			t.Errorf("%s lacks %s:\n%s", name, want, units[name])
		}
	}
	if want := "ConditionPathExists=|/srv/100%%/hozen/isolation/isolation.marker\n"; !strings.Contains(units[unitIsolation], want) {
		t.Errorf("no %s", want)
	}
	if got, ok := pathsIn(units[unitAgent]); !ok || got != paths {
		t.Errorf("read back as %q", got)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/usr/bin/x":   "/usr/bin/x",
		"/opt/a b/x":   `"/opt/a b/x"`,
		`a"b\c`:        `"a\"b\\c"`,
		"100%":         "100%%",
		"$HOME":        "$$HOME",
		"":             `""`,
		"a;rm":         `"a;rm"`,
		"line\nbreak ": `"line\nbreak "`,
	} {
		if got := quote(in); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
		if got := unquote("x " + quote(in) + " y"); !slices.Equal(got, []string{"x", in, "y"}) {
			t.Errorf("%q is read back as %q", in, got)
		}
	}
}

func FuzzUnquote(f *testing.F) {
	f.Add("/usr/bin/x", `a"b\c`)
	f.Add("", "100% $HOME\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		unquote(a) // foreign text
		if got := unquote(quote(a) + " " + quote(b)); !slices.Equal(got, []string{a, b}) {
			t.Errorf("%q and %q are read back as %q", a, b, got)
		}
		pathsIn(a)
	})
}

// TestFindingsAreListed: whatever judge can say has its text.
func TestFindingsAreListed(t *testing.T) {
	list := Findings()
	for name, f := range map[string]facts{
		"nothing":       {},
		"not installed": {there: true},
		"offline":       {there: true, traces: true, root: true, files: []fileFact{{"/a", "missing"}, {"/b", "differs"}, {"/c", "hidden"}, {"/d", "stale"}}, stateErr: fs.ErrPermission},
		"bad bus":       {there: true, traces: true, runs: true, busErr: fs.ErrClosed, stateErr: fs.ErrNotExist, clockErr: fs.ErrInvalid},
		"good":          healthy(),
		"bad": {there: true, traces: true, runs: true, stateMode: fs.ModeDir | 0o755, units: []unitState{
			{name: "a", load: "not-found"}, {name: "b", load: "loaded", reload: true}, {name: "c", load: "loaded", file: "disabled"},
			{name: "d", load: "loaded", file: "enabled", active: "failed"}, {name: unitCompanion, load: "loaded", file: "enabled", active: "inactive"}}},
		"no logind": {there: true, traces: true, runs: true, delayErr: fs.ErrInvalid, locksErr: fs.ErrInvalid},
	} {
		for _, got := range judge(f) {
			if !slices.Contains(list[got.ID], got.Level) {
				t.Errorf("%s: %s.%s is not listed", name, got.ID, got.Level)
			}
		}
	}
}

func healthy() facts {
	after := []string{unitAgent, "multi-user.target", "graphical.target", "dbus.service", logindUnit}
	return facts{
		root: true, there: true, traces: true, runs: true, version: "252", files: []fileFact{{"/a", ""}},
		units: []unitState{
			{name: unitAgent, load: "loaded", file: "enabled", active: "active", pid: 7},
			{name: unitCompanion, load: "loaded", file: "enabled", active: "active", after: after},
			{name: unitIsolation, load: "loaded", file: "enabled", active: "inactive"},
		},
		others: []unitState{{name: "user@0.service", before: []string{unitCompanion}}},
		delay:  DelayNeeded, locks: []lock{{"sleep", "block", 3}, {"shutdown:sleep", "delay", 7}},
		state: "/var/lib/hozen", stateMode: fs.ModeDir | 0o700, synced: true,
	}
}

// TestDoctorSeesEachFault breaks one thing at a time.
func TestDoctorSeesEachFault(t *testing.T) {
	for _, f := range judge(healthy()) {
		if f.Level != OK {
			t.Errorf("healthy, but %s is %s", f.ID, f.Level)
		}
	}
	for id, fault := range map[string]func(*facts){
		"systemd":       func(f *facts) { f.there = false },
		"file_missing":  func(f *facts) { f.files[0].is = "missing" },
		"file_differs":  func(f *facts) { f.files[0].is = "differs" },
		"file_hidden":   func(f *facts) { f.files[0].is = "hidden" },
		"unit_missing":  func(f *facts) { f.units[0].load = "masked" },
		"unit_disabled": func(f *facts) { f.units[1].file = "disabled" },
		"unit_inactive": func(f *facts) { f.units[1].active = "inactive" },
		"unit_failed":   func(f *facts) { f.units[2].active = "failed" },
		"unit_reload":   func(f *facts) { f.units[2].reload = true },
		"order":         func(f *facts) { f.others[0].before = nil },
		"delay":         func(f *facts) { f.delay = DelayNeeded - 1 },
		"lock":          func(f *facts) { f.locks[1].pid = 8 },
		"state":         func(f *facts) { f.stateErr = fs.ErrNotExist },
		"state_open":    func(f *facts) { f.stateMode |= 0o050 },
	} {
		f := healthy()
		fault(&f)
		found := judge(f)
		if Healthy(found) || !slices.ContainsFunc(found, func(x Finding) bool { return x.ID == id && x.Level == Bad }) {
			t.Errorf("%s: found only %v", id, found)
		}
	}
	for name, fault := range map[string]func(*facts){
		"order the other way":  func(f *facts) { f.units[1].after = f.units[1].after[1:] },
		"lock only for sleep":  func(f *facts) { f.locks[1].what = "sleep" },
		"lock that blocks":     func(f *facts) { f.locks[1].mode = "block" },
		"agent is not running": func(f *facts) { f.units[0].pid, f.locks[1].pid = 0, 0 },
		"state of another":     func(f *facts) { f.stateUID = 1000 },
	} {
		f := healthy()
		fault(&f)
		if Healthy(judge(f)) {
			t.Errorf("%s: nothing is bad", name)
		}
	}
	f := healthy()
	f.apart = []string{"a.service", "b.scope"}
	if found := judge(f); !Healthy(found) || !slices.ContainsFunc(found, func(x Finding) bool {
		return x.ID == "order_apart" && x.Level == Warn && x.Args["units"] == "a.service b.scope" && x.Args["n"] == "2"
	}) {
		t.Errorf("services that stop at the same time: %v", found)
	}
	f = healthy()
	f.root, f.synced, f.stateErr = false, false, fs.ErrPermission
	if found := judge(f); !Healthy(found) || found[0].ID != "rights" {
		t.Errorf("without rights: %v", found)
	}
}

// TestDoctorWithoutAService says one thing, and all once there is half of one.
func TestDoctorWithoutAService(t *testing.T) {
	root := image(t, map[string]string{"/etc/systemd/system/cron.service": "", "/etc/systemd/system/hozen-collector.service": ""})
	doctor := func() []Finding { return Doctor(t.Context(), Config{Executable: "/opt/hozen-agent", Root: root}) }
	if found := doctor(); runtime.GOOS == "linux" && (len(found) != 1 || found[0].ID != string(NotInstalled) || Healthy(found)) {
		t.Errorf("%v", found)
	}
	put(t, root, "/etc/systemd/system/user@.service.d/"+dropIn, companionFirst)
	if found := doctor(); runtime.GOOS == "linux" && !slices.ContainsFunc(found, func(f Finding) bool { return f.ID == "file_missing" }) {
		t.Errorf("with half of a service: %v", found)
	}
}

func TestEveryUnitHasItsTarget(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(wantedBy)), slices.Sorted(slices.Values(unitNames())); !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	units := UnitFiles(Config{Executable: "/x"})
	for unit, target := range wantedBy {
		if !strings.Contains(units[unit], "\nWantedBy="+target+"\n") {
			t.Errorf("%s says another target than %s", unit, target)
		}
	}
}
