package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"hozen/agent/internal/localapi"
	"hozen/agent/internal/osservice"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
	"hozen/agent/internal/shutdown"
)

// asService lets the service control manager run this program as the agent.
func asService() {
	if len(os.Args) > 1 && slices.ContainsFunc(verbs(), func(v verb) bool { return v.name == os.Args[1] }) {
		os.Exit(run(context.Background(), os.Args[1:], os.Getenv, stdio{os.Stdin, os.Stdout, os.Stderr}))
	}
}

// rig is the agent installed as a service of Wine.
type rig struct {
	t     *testing.T
	state string
}

func install(t *testing.T) *rig { return installWith(t, "") }

func installWith(t *testing.T, config string) *rig {
	t.Helper()
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() != nil {
		t.Skip("services are installed under Wine only, never on somebody's PC")
	}
	if st, err := osservice.Status(); err != nil || st != osservice.NotInstalled {
		t.Skipf("there is a service of this name (%s, %v)", st, err)
	}
	r := &rig{t, filepath.Join(t.TempDir(), "証拠 state")}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	changes, err := osservice.Install(t.Context(), osservice.Config{Executable: exe, Paths: osservice.Paths{State: r.state, Config: config}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.What != osservice.NotSet {
			t.Errorf("%+v", c)
		}
	}
	t.Cleanup(func() {
		if _, err := osservice.Uninstall(context.Background(), osservice.Config{}); err != nil {
			t.Error(err)
		}
		// The entry goes with the last handle to it (DeleteService).
		for deadline := time.Now().Add(10 * time.Second); ; <-time.After(50 * time.Millisecond) {
			st, err := osservice.Status()
			if st == osservice.NotInstalled {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("after uninstalling: %s, %v", st, err)
				return
			}
		}
	})
	return r
}

func (r *rig) start() {
	r.t.Helper()
	if err := osservice.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.await("the agent answers", func() bool { _, err := r.ask(localapi.Request{Verb: localapi.VerbStatus}); return err == nil })
}

func (r *rig) ask(req localapi.Request) (localapi.Reply, error) {
	return localapi.Do(r.t.Context(), filepath.Join(r.state, "agent.sock"), req, nil)
}

// await looks until something is so; how long that takes is the machine's business.
func (r *rig) await(what string, is func() bool) {
	r.t.Helper()
	limit, look := time.After(40*time.Second), time.NewTicker(30*time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-limit:
			r.t.Fatalf("never: %s", what)
		}
	}
}

func (r *rig) noted() shutdown.Last {
	l, err := shutdown.ReadLast(powerFolder(r.state))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Log(err)
	}
	return l
}

// TestServiceUnderWine: the service starts, answers at its pipe, goes through a rehearsal
// of a shutdown and starts again, which ends what it noted; then it is stopped.
func TestServiceUnderWine(t *testing.T) {
	r := install(t)
	for _, trait := range osservice.Look() {
		if trait.ID == osservice.TraitPreshutdown && (trait.Level != osservice.OK || trait.Got != "120000 ms") || trait.ID == osservice.TraitPath && trait.Level != osservice.OK {
			t.Errorf("%+v", trait)
		}
	}
	r.start()
	var out strings.Builder
	if code := run(t.Context(), []string{"status", "--json", "--state", r.state}, os.Getenv, stdio{strings.NewReader(""), &out, io.Discard}); code != exitOK {
		t.Fatalf("status: exit %d", code)
	}
	var st localapi.Status
	if err := json.Unmarshal([]byte(out.String()), &st); err != nil || st.Format == "" {
		t.Fatalf("%q: %v", out.String(), err)
	}
	went, err := osservice.Rehearse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := r.noted()
	e := l.GoingDown()
	if e == nil || e.Source != shutdown.SourceRehearsal || e.SealedAt.Wall.IsZero() || l.BootID == "" {
		t.Fatalf("%+v", l)
	}
	t.Logf("rehearsal: stopped after %s, %s of it evidence", went.Took, time.Duration(e.AddedDelayNS))
	r.start()
	if again := r.noted(); again.BootID != l.BootID || again.GoingDown() != nil {
		t.Errorf("after the rehearsal the PC counts as going down: %+v", again)
	}
	r.recorded(l.BootID)
	r.selfTest()
	if err := osservice.Stop(); err != nil {
		t.Error(err)
	}
}

// recorded looks into the flight record: this program is listed in it, and the rehearsal
// left its mark.
func (r *rig) recorded(bootID string) {
	r.t.Helper()
	if err := osservice.Stop(); err != nil {
		r.t.Fatal(err)
	}
	rg, _, err := ring.Open(ring.Config{Dir: filepath.Join(r.state, "recorder"), BootID: bootID})
	if err != nil {
		r.t.Fatal(err)
	}
	self, marks := false, []string{}
	for e, err := range rg.Read(r.t.Context(), ring.ReadFrom{BootID: bootID}) {
		if err != nil {
			r.t.Fatal(err)
		}
		for v, err := range entry.Events(e.Payload, e.At.BootNS) {
			if err != nil {
				r.t.Fatal(err)
			}
			if v.Type == entry.Mark {
				marks = append(marks, v.Name)
			}
			self = self || v.PID == os.Getpid() && len(v.Comm) > 0 && v.StartTicks > 0
		}
	}
	if !self || !slices.Contains(marks, markShutdown) {
		r.t.Errorf("this program is on record: %t, marks %q", self, marks)
	}
	if err := rg.Close(); err != nil {
		r.t.Error(err)
	}
	r.start()
}

// selfTest runs the self-test, whose results must be a sealed acquisition.
func (r *rig) selfTest() {
	t := r.t
	t.Helper()
	var out, errs strings.Builder
	code := run(t.Context(), []string{"selftest", "--json", "--state", r.state}, os.Getenv, stdio{strings.NewReader(""), &out, &errs})
	var got struct {
		AcquisitionID string `json:"acquisition_id"`
		Checks        []localapi.Check
	}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || code != exitOK && code != exitNotInForce {
		t.Fatalf("exit %d, %v: %s %s", code, err, out.String(), errs.String())
	}
	outcomes := map[string]string{}
	for _, k := range got.Checks {
		outcomes[k.Check] = k.Outcome
	}
	for _, name := range []string{"service_preshutdown", "service_path", "agent", "boot", "rehearsal", "restart"} {
		if outcomes[name] != checkOK {
			t.Errorf("%s: %q", name, outcomes[name])
		}
	}
	if outcomes["capture"] == "" || outcomes["drill"] != checkNotAvailable || outcomes["folder"] == "" || outcomes["fast_startup"] == "" {
		t.Errorf("%v", outcomes)
	}
	if _, err := os.Stat(filepath.Join(r.state, "spool", got.AcquisitionID, "artifacts", "selftest.jsonl.zst")); err != nil {
		t.Error(err)
	}
}

// TestSessionUnderWine: the helper that the service starts is told that the session ends,
// and the evidence is sealed before Wine goes on.
func TestSessionUnderWine(t *testing.T) {
	r := install(t)
	r.start()
	if _, err := r.ask(localapi.Request{Verb: localapi.VerbSession, Ending: localapi.EndingDown}); !errors.Is(err, localapi.ErrRefused) {
		t.Errorf("somebody who is no helper: %v", err)
	}
	// The helper has no window yet when the service starts, and nothing says when it has.
	r.await("evidence of a session that ends", func() bool {
		if out, err := exec.CommandContext(t.Context(), "wineboot", "--end-session").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		e := r.noted().GoingDown()
		return e != nil && e.Source == shutdown.SourceSession && !e.SealedAt.Wall.IsZero()
	})
	t.Logf("held for %s", time.Duration(r.noted().GoingDown().AddedDelayNS))
	if err := osservice.Stop(); err != nil {
		t.Error(err)
	}
}

// TestServiceThatCannotStartUnderWine tells its manager so, whatever comes first to fail.
func TestServiceThatCannotStartUnderWine(t *testing.T) {
	config := filepath.Join(t.TempDir(), "agent.toml")
	if err := os.WriteFile(config, []byte("nonsense = 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := installWith(t, config)
	_ = osservice.Start() // it may have ended by the time that this asks
	m, err := mgr.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Disconnect()
	s, err := m.OpenService(osservice.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var q svc.Status
	r.await("the service has ended with an error of its own", func() bool {
		if q, err = s.Query(); err != nil {
			t.Fatal(err)
		}
		return q.State == svc.Stopped && q.ServiceSpecificExitCode == 1
	})
	if _, err := os.Stat(r.state); err != nil {
		t.Errorf("the folder of state is to be closed before the configuration is read: %v", err)
	}
}
