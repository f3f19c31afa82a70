package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/config"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/isolate"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink"
	"hozen/agent/internal/uplink/journal"
	"hozen/agent/internal/witness"
	"hozen/internal/artifact"
	"hozen/internal/id"
	"hozen/internal/pki"
)

// buffer may be read while a program writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// do runs one verb in English.
func do(t *testing.T, in string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e buffer
	code = run(t.Context(), args, func(string) string { return "en_US.UTF-8" }, stdio{strings.NewReader(in), &o, &e})
	return code, o.String(), e.String()
}

func TestEveryVerbExplainsItself(t *testing.T) {
	for _, lang := range []string{"ja", "en"} {
		for _, v := range verbs() {
			code, out, _ := do(t, "", v.name, "--lang", lang, "--help")
			if want := map[string]string{"ja": "終了コード", "en": "Exit codes"}[lang]; code != exitOK || !strings.Contains(out, want) && v.name != "acquire" || !strings.Contains(out, "hozen-agent "+v.name) {
				t.Errorf("%s --help --lang %s: exit %d\n%s", v.name, lang, code, out)
			}
		}
	}
}

func TestMistakesInTheCommandLine(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "none")
	_, err := os.Stat(empty)
	gone, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		t.Fatalf("%s: %v", empty, err)
	}
	missing := gone.Err.Error() // in the system's own words
	bad := filepath.Join(t.TempDir(), "agent.toml")
	if err := os.WriteFile(bad, []byte("log_level = \"info\"\nspool_size = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in   string
		args []string
		code int
		want string
	}{
		"nothing":              {"", nil, exitUsage, "Usage:"},
		"no such verb":         {"", []string{"isolate"}, exitUsage, "There is no verb"},
		"nearly a verb":        {"", []string{"statsu"}, exitUsage, "Did you mean: hozen-agent status"},
		"control in a verb":    {"", []string{"\x1b[2J"}, exitUsage, `"\x1b[2J"`},
		"no such flag":         {"", []string{"status", "--colour"}, exitUsage, "hozen-agent status --help"},
		"too much":             {"", []string{"status", "now"}, exitUsage, "too much"},
		"language":             {"", []string{"status", "--lang", "fr"}, exitUsage, "want ja or en"},
		"not running":          {"", []string{"status", "--socket", empty}, exitNotRunning, "service start"},
		"report to nobody":     {"", []string{"report", "--socket", empty, "help"}, exitNotRunning, "service start"},
		"empty report":         {" \n", []string{"report", "--socket", empty}, exitUsage, "say what is wrong"},
		"long report":          {strings.Repeat("x", 5000), []string{"report", "--socket", empty}, exitUsage, "at most 4096"},
		"endless wait":         {"", []string{"report", "--wait", "9999", "x"}, exitUsage, "want 0 to 60"},
		"no token":             {"", []string{"enroll", "--state", t.TempDir()}, exitFailed, "nothing was given"},
		"damaged token":        {"hzt1.xxxx\n", []string{"enroll", "--state", t.TempDir()}, exitUsage, "damaged"},
		"no token at all":      {"", []string{"enroll", "--state", t.TempDir(), "AKIA0000"}, exitUsage, "does not begin with"},
		"two tokens":           {"", []string{"enroll", "--state", t.TempDir(), "--token", "a", "b"}, exitUsage, "one token"},
		"missing token file":   {"", []string{"enroll", "--state", t.TempDir(), "--token-file", empty}, exitFailed, missing},
		"unknown setting":      {"", []string{"run", "--state", t.TempDir(), "--config", bad}, exitUsage, bad + ":2:1: unknown key \"spool_size\""},
		"missing settings":     {"", []string{"run", "--state", t.TempDir(), "--config", empty}, exitUsage, missing},
		"service without verb": {"", []string{"service"}, exitUsage, "install"},
		"off and on":           {"", []string{"preserve", "--poweroff", "--reboot", "--socket", empty}, exitUsage, "not both"},
		"off without reason":   {"", []string{"preserve", "--poweroff", "--socket", empty}, exitUsage, "--reason"},
		"off without yes":      {"", []string{"preserve", "--poweroff", "--reason", "x", "--json", "--socket", empty}, exitUsage, "--yes"},
		"preserve by nobody":   {"", []string{"preserve", "--socket", empty}, exitNotRunning, "service start"},
		"service explode":      {"", []string{"service", "explode"}, exitUsage, "explode"},
	} {
		code, out, errOut := do(t, c.in, c.args...)
		if code != c.code || !strings.Contains(errOut, c.want) {
			t.Errorf("%s: exit %d, want %d\n%s%s", name, code, c.code, out, errOut)
		}
	}
	tok, err := pki.Token{Addresses: []string{"127.0.0.1:1"}, CASHA256: strings.Repeat("ab", 32), Secret: "0123456789abcdef"}.Format()
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := do(t, tok, "enroll", "--state", t.TempDir()); code != exitUnreachable || !strings.Contains(errOut, "not reached") || strings.Contains(errOut, "0123456789abcdef") {
		t.Errorf("exit %d\n%s", code, errOut)
	}
}

// linuxOnly skips a test of what only Linux has.
func linuxOnly(t *testing.T, why string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip(why)
	}
}

// ownUID is what the agent calls the account that runs these tests: on Windows root's, as
// that of every administrator.
func ownUID() string {
	if runtime.GOOS == "windows" {
		return "0"
	}
	return strconv.Itoa(os.Getuid())
}

// shortDir returns a folder whose name leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hz")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs an agent in the foreground and returns how to stop it.
func start(t *testing.T, state string) (stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var o, e buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"run", "--state", state, "--lang", "en"}, func(string) string { return "" }, stdio{nil, &o, &e})
	}()
	await(t, "start of the agent: "+e.String(), func() bool { return strings.Contains(e.String(), "The agent is running") })
	stopped := false
	stop = func() (int, string) {
		stopped = true
		cancel()
		return <-code, e.String()
	}
	t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	return stop
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("never happened: " + what)
		}
	}
}

func statusOf(t *testing.T, state string) localapi.Status {
	t.Helper()
	code, out, errOut := do(t, "", "status", "--state", state, "--json")
	if code != exitOK {
		t.Fatal(code, errOut)
	}
	var s localapi.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestReportWithoutCollector: a report is kept, evidence is taken at once, and both
// outlive a restart.
func TestReportWithoutCollector(t *testing.T) {
	state := shortDir(t)
	stop := start(t, state)
	code, out, errOut := do(t, "", "report", "--state", state, "--wait", "1", "a ransom note\nis on the screen")
	if code != exitOK || !strings.Contains(out, "Your report is stored") || !strings.Contains(out, "not connected now") || !strings.Contains(out, "has not arrived yet") {
		t.Fatal(code, out, errOut)
	}
	if code, out, _ := do(t, "", "report", "--state", state, "--wait", "0", "--json", "again"); code != exitOK || !strings.Contains(out, `"delivered": false`) {
		t.Error(code, out)
	}
	await(t, "flash captures", func() bool { return statusOf(t, state).Spool.Waiting == 2 })
	s := statusOf(t, state)
	if s.UnsentAlerts != 2 || s.Connected || s.EndpointID != "" || !strings.Contains(s.Problem, "not enrolled") {
		t.Fatalf("%+v", s)
	}
	if code, out, _ := do(t, "", "status", "--state", state); code != exitOK || !strings.Contains(out, "Collector: not connected") || !strings.Contains(out, "2 alerts") {
		t.Error(code, out)
	}
	if code, _, errOut := do(t, "", "run", "--state", state); code != exitFailed || !strings.Contains(errOut, "Another agent runs on this PC already") {
		t.Error("second agent:", code, errOut)
	}
	if code, errOut := stop(); code != exitOK {
		t.Fatal(code, errOut)
	}
	if code, _, _ := do(t, "", "status", "--state", state); code != exitNotRunning {
		t.Error("status of a stopped agent: exit", code)
	}
	start(t, state)
	if s := statusOf(t, state); s.UnsentAlerts != 2 || s.Spool.Waiting != 2 {
		t.Fatalf("after a restart: %+v", s)
	}
	// In a window of its own: two questions, and it stays open until it was read.
	code, out, errOut = do(t, "\nthe screen is locked\nSato, ext. 123\n\n", "report", "--state", state, "--wait", "0", "--ask")
	if code != exitOK || strings.Count(out, "What is happening?") != 2 || !strings.Contains(out, "Your name and telephone") || !strings.Contains(out, "Your report is stored") || !strings.HasSuffix(strings.TrimSpace(out), "Press Enter to close this window.") {
		t.Error(code, out, errOut)
	}
	if s := statusOf(t, state); s.UnsentAlerts != 3 {
		t.Errorf("%+v", s)
	}
	if code, out, errOut := do(t, "\n\n", "report", "--state", state, "--ask"); code != exitUsage || !strings.Contains(errOut, "say what is wrong") || !strings.Contains(out, "Press Enter") {
		t.Error(code, out, errOut)
	}
	if code, _, _ := do(t, "", "report", "--state", state, "--ask", "words"); code != exitUsage {
		t.Error("words beside --ask: exit", code)
	}
}

// TestReportInTheMenu: whoever sits at the PC finds the report in the menu of the desktop
// (Desktop Entry Specification 1.5), in both languages, and what it starts is there.
func TestReportInTheMenu(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("packaging", "desktop", "hozen-agent-report.desktop"))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for n, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		k, v, ok := strings.Cut(line, "=")
		if n == 0 && line == "[Desktop Entry]" {
			continue
		}
		if !ok || keys[k] != "" || v == "" {
			t.Errorf("line %d: %q", n+1, line)
		}
		keys[k] = v
	}
	want := map[string]string{"Type": "Application", "Terminal": "true", "Exec": "/usr/bin/hozen-agent report --ask", "TryExec": "/usr/bin/hozen-agent", "Name": "Something is wrong: report", "Name[ja]": "おかしい！報告する"}
	for k, v := range want {
		if keys[k] != v {
			t.Errorf("%s is %q, want %q", k, keys[k], v)
		}
	}
	list, err := os.ReadFile(filepath.Join("packaging", "nfpm.yaml"))
	if err != nil || !strings.Contains(string(list), "src: agent/packaging/desktop/hozen-agent-report.desktop\n    dst: /usr/share/applications/") {
		t.Errorf("the packages lack it: %v", err)
	}
}

func TestReplaceIdentity(t *testing.T) {
	state := t.TempDir()
	for _, name := range []string{"identity", "identity.new"} {
		if err := os.Mkdir(filepath.Join(state, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(state, name, "who"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := replaceIdentity(state, filepath.Join(state, "identity.new")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(state, "identity", "who")); err != nil || string(b) != "identity.new" {
		t.Fatal(string(b), err)
	}
	if err := replaceIdentity(state, filepath.Join(state, "identity.new")); err == nil {
		t.Fatal("replaced by nothing")
	}
	if _, err := os.Stat(filepath.Join(state, "identity", "who")); err != nil {
		t.Fatal("a replacement that failed took the old identity away:", err)
	}
}

// wall is a firewall that notes what is asked of it.
type wall struct {
	mu     sync.Mutex
	steps  []string
	closed bool
	fail   error
	before func()
	look   func()
}

func (w *wall) Apply(_ context.Context, p isolate.Policy) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.before != nil {
		w.before()
	}
	w.steps = append(w.steps, "apply")
	w.closed = w.fail == nil
	return w.fail
}

func (w *wall) Observe(_ context.Context, p *isolate.Policy) (isolate.Observation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.look != nil {
		w.look()
	}
	if w.fail != nil {
		return isolate.Observation{}, w.fail
	}
	return isolate.Observation{MeasuredAt: time.Now(), Present: w.closed, Complete: w.closed || p == nil}, nil
}

func (w *wall) Restore(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps, w.closed = append(w.steps, "restore"), false
	return w.fail
}

// isolating is an agent with a stand-in for the firewall, enrolled at a collector
// that does not exist.
func isolating(t *testing.T, w *wall) *agent {
	t.Helper()
	state := t.TempDir()
	a := &agent{set: settings{config: config.Default(), state: state, log: newLog(t.Output(), 0, false)}, marks: &marker{}, watch: make(chan struct{}, 1)}
	var err error
	must := func(e error) {
		t.Helper()
		if e != nil {
			t.Fatal(e)
		}
	}
	a.identity, err = openIdentity(state)
	must(err)
	ca, err := pki.NewCA("test", time.Now())
	must(err)
	key, err := a.identity.Key()
	must(err)
	endpointID := id.New(id.Endpoint)
	der, _, err := ca.IssueAgent(endpointID, key.Public(), time.Now())
	must(err)
	must(a.identity.SaveEnrolment(identity.Enrolment{EndpointID: endpointID, Certificate: der, CA: ca.Certificate().Raw, Collectors: []string{"192.0.2.1:8443"}}))
	a.spool, err = spool.Open(spool.Config{Dir: filepath.Join(state, "spool"), MinFreeBytes: -1})
	must(err)
	t.Cleanup(func() { a.spool.Close() })
	a.journal, err = journal.Open(journal.Config{Path: filepath.Join(state, "journal")})
	must(err)
	t.Cleanup(func() { a.journal.Close() })
	a.witness = witness.Open(filepath.Join(state, "witness"), nil)
	a.runner = acquire.NewRunner(acquire.Config{Sink: a.spool, Plan: newProfiles().plan, Identity: a.signer})
	store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: state, Key: make([]byte, 32)})
	must(err)
	a.isolate, err = isolate.NewManager(isolate.Config{
		Firewall: w, Store: store, Before: captureBefore, BeforeLimit: captureLimit,
		WayHome: func(context.Context) error { return nil }, Collectors: func() []netip.AddrPort { return nil },
		Tell: a.happened,
	})
	must(err)
	a.uplink, err = uplink.New(uplink.Config{
		Identity: a.identity, Spool: a.spool, Journal: a.journal, Handler: handler{a}, Host: thisHost,
		Isolation:  func(ctx context.Context) journal.Isolation { return measured(a.isolate.Status(ctx)) },
		RoutesFile: filepath.Join(state, "routes"),
	})
	must(err)
	t.Cleanup(a.captures.Wait)
	t.Cleanup(a.proofs.end)
	return a
}

func isolateOrder() journal.Command {
	return journal.Command{ID: id.New(id.Command), Counter: 1, Verb: journal.Isolate, AcquisitionID: id.New(id.Acquisition), IncidentID: id.New(id.Incident)}
}

func (a *agent) sealed(acquisitionID string) bool {
	for _, i := range a.spool.List() {
		if i.AcquisitionID == acquisitionID {
			return i.State == spool.Sealed
		}
	}
	return false
}

// TestEvidenceIsTakenBeforeTheCut: the order of one click is law.
func TestEvidenceIsTakenBeforeTheCut(t *testing.T) {
	w := &wall{}
	a := isolating(t, w)
	c := isolateOrder()
	w.before = func() {
		if !a.sealed(c.AcquisitionID) {
			t.Error("the network was cut before the capture was sealed")
		}
	}
	r := handler{a}.Isolate(t.Context(), c)
	if r.Status != journal.Done || r.AcquisitionID != c.AcquisitionID || r.Isolation.Observed != journal.StateIsolated || !r.Isolation.WayHome || r.Isolation.CommandID != c.ID {
		t.Fatalf("%+v %+v", r, r.Isolation)
	}
	// The same order again after a crash changes nothing and takes nothing twice.
	w.before = nil
	r = handler{a}.Isolate(t.Context(), c)
	captures := 0
	for _, i := range a.spool.List() {
		if m, err := a.kept(i.AcquisitionID); err != nil || m.Trigger != artifact.TriggerProof {
			captures++
		}
	}
	if r.Status != journal.Done || captures != 1 {
		t.Fatalf("%+v, %d captures", r, captures)
	}
	r = handler{a}.Release(t.Context(), journal.Command{ID: id.New(id.Command), Counter: 2, Verb: journal.Release})
	if r.Status != journal.Done || r.Isolation.Observed != journal.StateReleased {
		t.Fatalf("%+v %+v", r, r.Isolation)
	}
}

func TestIsolateFirstTakesEvidenceAfterwards(t *testing.T) {
	w := &wall{}
	a := isolating(t, w)
	c := isolateOrder()
	c.IsolateFirst = true
	w.before = func() {
		if len(a.spool.List()) != 0 {
			t.Error("evidence was taken before the cut")
		}
	}
	if r := (handler{a}).Isolate(t.Context(), c); r.Status != journal.Done || r.AcquisitionID != c.AcquisitionID || !a.sealed(c.AcquisitionID) {
		t.Fatalf("%+v", r)
	}
}

// TestWithoutRights: nothing is cut, it is said plainly, and the evidence is taken.
func TestWithoutRights(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no rights":     {isolate.ErrNeedsRoot, "without the rights"},
		"not supported": {errors.ErrUnsupported, "cannot cut the network of this system"},
	} {
		a := isolating(t, &wall{fail: c.err})
		o := isolateOrder()
		r := handler{a}.Isolate(t.Context(), o)
		if r.Status != journal.Unsupported || !strings.Contains(r.Detail, c.want) || r.Isolation.Observed == journal.StateIsolated || !a.sealed(o.AcquisitionID) || r.AcquisitionID == "" {
			t.Errorf("%s: %+v %+v", name, r, r.Isolation)
		}
		if r := (handler{a}).Release(t.Context(), isolateOrder()); r.Status != journal.Unsupported {
			t.Errorf("%s: release: %+v", name, r)
		}
	}
}

func TestAcquireOrder(t *testing.T) {
	a := isolating(t, &wall{})
	c := journal.Command{ID: id.New(id.Command), Counter: 1, Verb: journal.Acquire, Profile: "flash", AcquisitionID: id.New(id.Acquisition)}
	if r := (handler{a}).Acquire(t.Context(), c); r.Status != journal.Done || r.AcquisitionID != c.AcquisitionID || !a.sealed(c.AcquisitionID) {
		t.Fatalf("%+v", r)
	}
	c.Profile, c.AcquisitionID = "everything", id.New(id.Acquisition)
	if r := (handler{a}).Acquire(t.Context(), c); r.Status != journal.Failed || !strings.Contains(r.Detail, "known: flash") {
		t.Fatalf("%+v", r)
	}
}

func TestEnvironmentIsForgotten(t *testing.T) {
	t.Setenv("HOST_PROC", "/tmp/fake")
	t.Setenv("GRPC_GO_LOG_SEVERITY_LEVEL", "info")
	forget()
	if os.Getenv("HOST_PROC") != "" || os.Getenv("GRPC_GO_LOG_SEVERITY_LEVEL") != "" {
		t.Error("the environment still decides where evidence is read")
	}
}
