package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
	"hozen/internal/profile"
)

func TestMain(m *testing.M) {
	asService()
	testscript.Main(m, map[string]func(){"hozen-agent": main})
}

// TestScripts runs testdata/script with the real programs: this one and hozen-verify.
func TestScripts(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("hozen-verify is built: go is not installed")
	}
	bin := t.TempDir()
	verifier := filepath.Join(bin, "hozen-verify")
	if runtime.GOOS == "windows" {
		verifier += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", verifier, "hozen/internal/cmd/hozen-verify").CombinedOutput(); err != nil {
		t.Fatalf("build hozen-verify: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("LANG", "en_US.UTF-8")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a program and checks its exit code: exits CODE PROGRAM ARGS…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = "signal"
		if x, ok := err.(*exec.ExitError); ok {
			code = strconv.Itoa(x.ExitCode())
		}
	}
	// "0|3" allows both, for what depends on the machine.
	for _, want := range strings.Split(args[0], "|") {
		if code == want {
			return
		}
	}
	ts.Fatalf("%s exited with %s, want %s", args[1], code, args[0])
}

func TestFlashFitsIntoTenSeconds(t *testing.T) {
	plan, err := newProfiles().plan(profileFlash)
	if err != nil {
		t.Fatal(err)
	}
	if total := plan.Total(); total > 10*time.Second {
		t.Errorf("the flash profile may take %s", total)
	}
}

// TestTablesStandInOrderOfVolatility: the runner would sort the probes anyway; the table
// says what it does.
func TestTablesStandInOrderOfVolatility(t *testing.T) {
	for _, table := range profile.All() {
		plan, err := newProfiles().plan(table.Name)
		if err != nil {
			t.Fatal(err)
		}
		last := probe.Live
		for i, x := range plan.Probes {
			p := x.New()
			if p.Kind() != table.Lines[i].Kind {
				t.Errorf("%s: %s is read where the table says %s", table.Name, p.Kind(), table.Lines[i].Kind)
			}
			if v := p.Volatility(); v < last {
				t.Errorf("%s: %s is more volatile than what stands before it", table.Name, p.Kind())
			} else {
				last = v
			}
		}
	}
}

// TestWindowsTextsSayTheSame: what the agent of Windows says besides is in both languages, and hides
// nothing that all agents say.
func TestWindowsTextsSayTheSame(t *testing.T) {
	more := os.DirFS("translations_windows")
	p := i18ntest.Parity(t, more).Printer(i18n.Japanese)
	for _, k := range []artifact.Kind{artifact.KindProcDump, artifact.KindProcDumped} {
		if !p.Has("kind." + string(k)) {
			t.Errorf("no text for %s", k)
		}
	}
	words, err := i18n.Load(more)
	if err != nil {
		t.Fatal(err)
	}
	all, err := i18n.Load(os.DirFS("translations"))
	if err != nil {
		t.Fatal(err)
	}
	both, err := all.With(words)
	if q := both.Printer(i18n.English); err != nil || !q.Has("kind.procdump") || !q.Has("kind.process") {
		t.Errorf("both together: %v", err)
	}
	if _, err := both.With(words); err == nil {
		t.Error("a text that stands twice")
	}
}

func TestTextsSayTheSame(t *testing.T) {
	sub, err := fs.Sub(translations, "translations")
	if err != nil {
		t.Fatal(err)
	}
	p := i18ntest.Parity(t, sub).Printer(i18n.Japanese)
	for _, table := range profile.All() {
		plan, err := newProfiles().plan(table.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range plan.Probes {
			if key := "kind." + string(x.New().Kind()); !p.Has(key) {
				t.Errorf("no text for %s", key)
			}
		}
		if !strings.Contains(p.Text("acquire.help"), "\n    "+table.Name+" ") {
			t.Errorf("the help does not tell of %s", table.Name)
		}
	}
	for _, o := range []artifact.Outcome{artifact.Complete, artifact.Partial, artifact.Empty, artifact.Unsupported, artifact.Denied, artifact.TimedOut, artifact.Interrupted, artifact.Failed, artifact.NotStarted} {
		if !p.Has("outcome." + string(o)) {
			t.Errorf("no text for outcome %s", o)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("日本\x1b[31m\u202eab\n"); got != `日本\u001b[31m\u202eab\u000a` {
		t.Error(got)
	}
	if got := shellWord("/tmp/a b's"); got != `'/tmp/a b'\''s'` {
		t.Error(got)
	}
}
