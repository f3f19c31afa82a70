package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/e2e/rig"
	"hozen/internal/e2e/wine"
)

// windowsPC is a session of Wine beside a collector of this machine.
type windowsPC struct {
	*system
	t    *testing.T
	ctx  context.Context
	wine *wine.Session
	msi  string
}

// newWindowsPC makes one, and a collector of this machine that serves.
func newWindowsPC(t *testing.T, ctx context.Context) *windowsPC {
	t.Helper()
	p := startWindows(t, ctx)
	var err error
	p.collector, err = p.Init(ctx, rig.CollectorConfig{Program: programs(t).Collector, Dir: filepath.Join(p.dir, "collector"), Log: filepath.Join(p.dir, "collector.log")})
	must(t, err)
	must(t, p.collector.Serve(ctx))
	return p
}

// startWindows starts Wine.
func startWindows(t *testing.T, ctx context.Context) *windowsPC {
	t.Helper()
	for _, program := range []string{"wixl", "msibuild", "osslsigncode", "openssl"} {
		need(t, program)
	}
	t.Setenv("TMPDIR", os.TempDir()) // as an account may have it, which Wine itself does not bear
	dir := shortDir(t)
	library, err := wine.StandIn(ctx, "../..", dir)
	if errors.Is(err, wine.ErrNoCompiler) {
		t.Skip(err)
	}
	must(t, err)
	w, err := wine.Start(ctx, wine.Config{Libraries: []string{library}})
	if errors.Is(err, wine.ErrUnavailable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("end Wine: %v", err)
		}
	})
	s := &system{Nursery: rig.NewNursery(), dir: dir}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("end the programs: %v", err)
		}
	})
	return &windowsPC{s, t, ctx, w, ""}
}

// signed makes all that there is for Windows with a signature, and has the Japanese installer
// ready.
func (p *windowsPC) signed() {
	t, w := p.t, p.wine
	t.Helper()
	key, cert := filepath.Join(p.dir, "key.pem"), filepath.Join(p.dir, "cert.pem")
	run(t, p.ctx, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=test", "-days", "2", "-addext", "extendedKeyUsage=codeSigning")
	p.make("packages-windows", w.Dir(), "0.9.1", "KEY="+key, "CERT="+cert)
	p.msi = packageFile(t, w.Dir(), "hozen-agent_0.9.1_ja.msi")
	for signed, says := range map[string]string{p.msi: "", "hozen-agent.exe": "Hozen エージェント", "hozen-collector.exe": "Hozen コレクター"} {
		if says != "" {
			signed = filepath.Join(w.Dir(), signed)
			saysWhatItIs(t, signed, "0.9.1", says)
		}
		run(t, p.ctx, "osslsigncode", "verify", "-CAfile", cert, "-in", signed)
	}
}

// make makes a target's packages of a version in a folder that Windows programs see.
func (p *windowsPC) make(target, dir, version string, more ...string) {
	p.t.Helper()
	run(p.t, p.ctx, "make", append([]string{"--silent", target, "PACKAGES=" + dir, "WINDOWS=" + dir, "VERSION=" + version, "COMMIT=test", "BUILT=2026-01-02T03:04:05Z"}, more...)...)
}

// run runs a program of this machine in the module's folder.
func run(t *testing.T, ctx context.Context, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// try runs a Windows program to its end. What it says goes into a file: a service that it
// starts would keep a pipe open.
func (p *windowsPC) try(args ...string) (string, int) {
	p.t.Helper()
	out, err := os.CreateTemp(p.dir, "said-")
	must(p.t, err)
	must(p.t, out.Close())
	spec := p.wine.Spec(p.wine.Dir(), args...)
	spec.Log = out.Name()
	proc, err := p.Start(spec)
	must(p.t, err)
	select {
	case <-proc.Done():
	case <-p.ctx.Done():
		p.t.Fatalf("%s does not end\n%s", strings.Join(args, " "), p.logs())
	}
	b, err := os.ReadFile(out.Name())
	must(p.t, err)
	return string(b), proc.ExitCode()
}

func (p *windowsPC) do(args ...string) string {
	p.t.Helper()
	out, code := p.try(args...)
	if code != 0 {
		p.t.Fatalf("%s: exit code %d\n%s\n%s", strings.Join(args, " "), code, out, p.logs())
	}
	return out
}

// installer runs Windows Installer without a word to anybody.
func (p *windowsPC) installer(verb string, properties ...string) string {
	p.t.Helper()
	log, code := p.tryInstaller(verb, properties...)
	if code != 0 {
		p.t.Fatalf("msiexec %s: exit code %d\n%s\n%s", verb, code, log[max(0, len(log)-3000):], p.logs())
	}
	return log
}

// tryInstaller does the same where it may be refused.
func (p *windowsPC) tryInstaller(verb string, properties ...string) (log string, code int) {
	p.t.Helper()
	path := filepath.Join(p.wine.Dir(), "msi.log")
	_, code = p.try(append([]string{"msiexec", verb, p.msi, "/qn", "/l*v", path}, properties...)...)
	b, err := os.ReadFile(path)
	must(p.t, err)
	return string(b), code
}

// logs is what the agent wrote, for a test that failed.
func (p *windowsPC) logs() string {
	found, _ := filepath.Glob(p.file("ProgramData/Hozen/*/*.log")) // the pattern is well formed
	var all strings.Builder
	for _, f := range found {
		b, _ := os.ReadFile(f)
		all.WriteString(f + "\n" + string(b))
	}
	return all.String()
}

// file returns where a file of drive C lies on this machine.
func (p *windowsPC) file(path string) string { return p.wine.Path(wine.DriveC(path)) }

func (p *windowsPC) isThere(path string) bool {
	_, err := os.Stat(p.file(path))
	return err == nil
}

// scene starts a program with one connection and returns its process and the ends of it.
func (p *windowsPC) scene() (pid int, local, remote string) {
	p.t.Helper()
	exe := p.tool("marked-scene.exe", "scene")
	l, err := net.Listen("tcp", rig.Loopback(0))
	must(p.t, err)
	p.t.Cleanup(func() { l.Close() })
	conns := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			conns <- c
		}
	}()
	spec := p.wine.Spec(p.wine.Dir(), exe, l.Addr().String())
	spec.Log = filepath.Join(p.dir, "scene.log")
	proc, err := p.Start(spec)
	must(p.t, err)
	var said string
	must(p.t, rig.Until(p.ctx, "the scene", func() (bool, error) {
		f, err := os.Open(spec.Log)
		if err != nil {
			return false, err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Scan()
		said = lines.Text()
		return len(strings.Fields(said)) == 3, nil
	}, proc))
	select {
	case c := <-conns:
		p.t.Cleanup(func() { c.Close() })
	case <-p.ctx.Done():
		p.t.Fatal("the scene's connection did not arrive")
	}
	f := strings.Fields(said)
	pid, err = strconv.Atoi(f[0])
	must(p.t, err)
	return pid, f[1], f[2]
}

// TestWindowsFromInstallerToUninstall is a Windows PC's whole life with a collector of this
// machine: the installer brings the service with a token, the agent enrols over mutual TLS,
// takes evidence that shows a program and its connection as they are, and the program's memory when
// somebody names it, puts filters right that another removed and tells of it, and uninstalling
// leaves no service, program or setting.
func TestWindowsFromInstallerToUninstall(t *testing.T) {
	ctx := within(t, 4*patience)
	p := newWindowsPC(t, ctx)
	p.signed()
	token, err := p.collector.Token(ctx, 1)
	must(t, err)
	p.plant()
	log := p.installer("/i", "ENROLLTOKEN="+token)
	// Wine's log ends with all properties, those too that are marked as hidden.
	if rest := strings.ReplaceAll(log, "Property(S): ENROLLTOKEN = "+token, ""); strings.Contains(rest, token) {
		t.Errorf("the token stands in the installer's log:\n%s", rest)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.logs())
		}
	})
	p.awaitConnected(t, ctx)
	p.id = p.endpoint(t, ctx).ID
	if out := p.do("sc", "query", "hozen-agent"); !strings.Contains(out, "RUNNING") {
		t.Errorf("the service:\n%s", out)
	}

	p.planted()
	p.offersReport("おかしい！報告する", "report --ask --lang ja")

	tested := p.selfTest()
	pid, local, remote := p.scene()
	cmd := p.order(t, ctx, "acquire", map[string]any{"profile": "flash"})
	if cmd.Status != "done" || cmd.AcquisitionID == "" {
		t.Fatalf("acquire ended as %s: %s", cmd.Status, cmd.Detail)
	}
	dir := p.verified(t, ctx, cmd.AcquisitionID)
	shown := records[record.Process](t, dir, artifact.KindProcess)
	i := slices.IndexFunc(shown, func(r record.Process) bool { return r.PID == pid && strings.Contains(r.Exe, "marked-scene.exe") })
	if i < 0 {
		t.Fatalf("the evidence does not show process %d", pid)
	}
	p.showsFlow(t, dir, pid, local, remote)
	began := time.Now()
	p.dumpsScene(shown[i])
	dumped := time.Since(began)
	tested()

	// The installer in the other language takes its place, and the PC stays who it is.
	p.msi = packageFile(t, p.wine.Dir(), "hozen-agent_0.9.1_en.msi")
	p.installer("/i", "ENROLLTOKEN="+token)
	if out := p.do("reg", "query", `HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall`, "/s"); strings.Count(out, "Publisher    REG_SZ    Hozen") != 1 {
		t.Errorf("one product is to be installed:\n%s", out)
	}
	p.awaitConnected(t, ctx)
	if e := p.endpoint(t, ctx); e.ID != p.id {
		t.Errorf("after an upgrade the PC is %s, it was %s", e.ID, p.id)
	}
	p.offersReport("Report a problem", "report --ask --lang en")

	if cmd := p.order(t, ctx, "isolate", nil); cmd.Status != "done" {
		t.Errorf("isolate ended as %s: %s", cmd.Status, cmd.Detail)
	}
	p.await(t, ctx, "the isolation as measured", func() (bool, error) {
		e := p.endpoint(t, ctx)
		return e.Isolation.Observed == "isolated" && e.Online, fmt.Errorf("it is %+v", e.Isolation)
	})
	if n := len(p.filters()); n < 8 { // four layers, each closed while Windows runs and while it starts
		t.Errorf("%d filters are in force", n)
	}

	p.peopleAreTold()
	began = time.Now()
	p.driftIsTold()
	t.Logf("a dump of a process took %s, a filter removed and told of %s", dumped.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))

	kept := p.unsent()
	log = p.installer("/x")
	p.keeps(kept, log)
	if left := p.filters(); len(left) > 0 {
		t.Errorf("filters are left: %v", left)
	}
	if out, code := p.try("sc", "query", "hozen-agent"); code == 0 {
		t.Errorf("the service is still there:\n%s", out)
	}
	if p.isThere("Program Files/Hozen/hozen-agent.exe") {
		t.Error("the program is still there")
	}
	p.offersReport("", "")
	if out, code := p.try("reg", "query", `HKLM\System\CurrentControlSet\Services\EventLog\Application\hozen-agent`); code == 0 {
		t.Errorf("the source of events is still there:\n%s", out)
	}

	// Whoever says so has nothing left at all.
	p.installer("/i")
	p.installer("/x", "KEEPEVIDENCE=0")
	if p.isThere("ProgramData/Hozen") {
		t.Error("there still is a folder of state")
	}
	must(t, p.collector.Serve(ctx))
	p.kit()
	p.clean(t, ctx)
}

// peopleAreTold fails the test unless the agent tells whoever is signed in that the network is
// cut. Wine shows no messages, which the agent survives.
func (p *windowsPC) peopleAreTold() {
	p.t.Helper()
	p.await(p.t, p.ctx, "a text for the people at the PC", func() (bool, error) {
		b, err := os.ReadFile(p.file("ProgramData/Hozen/agent/notice.txt"))
		return strings.Contains(string(b), "ネットワーク隔離中") && strings.Contains(string(b), "NETWORK ISOLATED"), err
	})
}

// selfTest begins the self-test with a minute's isolation as its drill and returns when that is
// in force. The function that it returns waits for the end, and fails the test unless the PC
// came back by itself and the collector has the signed results.
func (p *windowsPC) selfTest() (ended func()) {
	t := p.t
	t.Helper()
	spec := p.wine.Spec(p.wine.Dir(), `C:\Program Files\Hozen\hozen-agent.exe`, "selftest", "--isolate", "--json")
	spec.Log = filepath.Join(p.dir, "selftest.log")
	proc, err := p.Start(spec)
	must(t, err)
	said := func() string { b, _ := os.ReadFile(spec.Log); return string(b) }
	p.await(t, p.ctx, "the drill", func() (bool, error) {
		select {
		case <-proc.Done():
			return false, fmt.Errorf("the self-test ended: %s", said())
		default:
		}
		e := p.endpoint(t, p.ctx)
		return e.Isolation.Observed == "isolated" && e.Online, fmt.Errorf("it is %+v", e.Isolation)
	})
	return func() {
		t.Helper()
		select {
		case <-proc.Done():
		case <-p.ctx.Done():
			t.Fatalf("the self-test does not end: %s", said())
		}
		var got struct {
			AcquisitionID string `json:"acquisition_id"`
		}
		if err := json.Unmarshal([]byte(said()), &got); err != nil || got.AcquisitionID == "" {
			t.Fatalf("%v: %s", err, said())
		}
		p.await(t, p.ctx, "the results at the collector", func() (bool, error) {
			list, err := p.collector.Acquisitions(p.ctx, p.id)
			return slices.ContainsFunc(list, func(a rig.Acquisition) bool { return a.ID == got.AcquisitionID }), err
		})
		lines := map[string]record.SelfTest{}
		for _, r := range records[record.SelfTest](t, p.verified(t, p.ctx, got.AcquisitionID), artifact.KindSelfTest) {
			lines[r.Check] = r
		}
		for _, check := range []string{"agent", "capture", "rehearsal", "restart", "drill"} {
			// Wine lacks some of what a capture reads, which is a warning.
			if r := lines[check]; r.Outcome != "ok" && (check != "capture" || r.Outcome != "warn") {
				t.Errorf("%s: %+v", check, r)
			}
		}
		if r := lines["drill"]; r.Got != "isolated, released" {
			t.Errorf("the drill came to %q", r.Got)
		}
	}
}

// offersReport fails the test unless the start menu offers to report by an entry of that name
// alone, which calls the agent so; none where name is empty. Wine takes the menu of the account
// that installs for everybody's.
func (p *windowsPC) offersReport(name, call string) {
	p.t.Helper()
	menu := p.file("users/root/AppData/Roaming/Microsoft/Windows/Start Menu/Programs")
	var found []string
	for _, n := range []string{"おかしい！報告する", "Report a problem"} {
		b, err := os.ReadFile(filepath.Join(menu, n+".lnk"))
		if err != nil {
			continue
		}
		found = append(found, n)
		if !bytes.Contains(b, utf16le(call)) {
			p.t.Errorf("the entry %s does not call %q", n, call)
		}
	}
	if got := strings.Join(found, ", "); got != name {
		p.t.Errorf("the start menu offers %q, want %q", got, name)
	}
}

// unsent ends the collector and has evidence taken that cannot reach it, and returns its
// name.
func (p *windowsPC) unsent() (acquisition string) {
	p.t.Helper()
	must(p.t, p.collector.Proc.Stop())
	p.try(`C:\Program Files\Hozen\hozen-agent.exe`, "report", "--wait", "0", "it began again") // its code says that it was not delivered
	must(p.t, rig.Until(p.ctx, "evidence that waits", func() (bool, error) {
		found, err := filepath.Glob(p.file("ProgramData/Hozen/agent/spool/acq_*/manifest.json.sig"))
		for _, f := range found {
			if _, rerr := os.Stat(filepath.Join(filepath.Dir(f), "receipt.json")); errors.Is(rerr, os.ErrNotExist) {
				acquisition = filepath.Base(filepath.Dir(f))
			}
		}
		return acquisition != "", err
	}))
	return acquisition
}

// keeps fails the test unless that evidence is all that the agent left, is whole and opens
// with the keys of the collector, and the installer's log says where it is.
func (p *windowsPC) keeps(acquisition, log string) {
	p.t.Helper()
	home := p.file("ProgramData/Hozen")
	list, err := os.ReadDir(home)
	must(p.t, err)
	if len(list) != 1 || list[0].Name() != "unsent-evidence" {
		p.t.Errorf("the folder of state still holds %v", list)
	}
	if !p.isThere("ProgramData/Hozen/unsent-evidence/README.txt") {
		p.t.Error("nothing tells what is kept")
	}
	dir := filepath.Join(home, "unsent-evidence", acquisition)
	p.waitsEncrypted(p.t, dir)
	for name, want := range map[string]bool{"manifest.json.sig": true, "signer.pem": true, "acquisition.json": false} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			p.t.Errorf("%s of what is kept: %v", name, err)
		}
	}
	if !strings.Contains(log, `Hozen\unsent-evidence`) {
		p.t.Error("the installer's log does not name the folder")
	}
}

// plant makes what another account of the PC may leave in the agent's folders before it is
// installed: settings that end it, and a folder for evidence that is not its own.
func (p *windowsPC) plant() {
	p.t.Helper()
	const stranger = 4711 // an account that Wine does not run as
	home := p.file("ProgramData/Hozen")
	must(p.t, os.MkdirAll(filepath.Join(home, "agent", "spool"), 0o755))
	must(p.t, os.WriteFile(filepath.Join(home, "agent.toml"), []byte("nonsense = 1"), 0o644))
	must(p.t, os.WriteFile(filepath.Join(home, "agent", "spool", "known"), nil, 0o644))
	for _, path := range []string{"agent.toml", "agent/spool", "agent/spool/known"} {
		must(p.t, os.Chown(filepath.Join(home, path), stranger, stranger))
	}
}

// planted fails the test unless what was planted lies beside where it was.
func (p *windowsPC) planted() {
	p.t.Helper()
	found, err := filepath.Glob(p.file("ProgramData/Hozen") + "/agent.set-aside-*/known")
	must(p.t, err)
	settings, err := filepath.Glob(p.file("ProgramData/Hozen") + "/agent.toml.set-aside-*")
	must(p.t, err)
	if len(found) != 1 || len(settings) != 1 || p.isThere("ProgramData/Hozen/agent.toml") || p.isThere("ProgramData/Hozen/agent/spool/known") {
		p.t.Errorf("what another account had made was not moved away: %q, %q", found, settings)
	}
}

// filters are the names of those that the stand-in for Windows's filtering platform holds,
// by its log.
func (p *windowsPC) filters() map[string]string {
	p.t.Helper()
	f, err := os.Open(p.file("hozen-fakebfe/calls"))
	must(p.t, err)
	defer f.Close()
	in, now := map[string]string{}, map[string]string{}
	for dec := json.NewDecoder(f); dec.More(); {
		var c struct {
			Call, Key, Name string
			Code            uint32
		}
		must(p.t, dec.Decode(&c))
		switch {
		case c.Code != 0:
		case c.Call == "begin":
			now = maps.Clone(in)
		case c.Call == "add filter":
			now[c.Key] = c.Name
		case c.Call == "delete filter":
			delete(now, c.Key)
		case c.Call == "commit":
			in = now
		}
	}
	return in
}

// showsFlow fails the test unless the evidence shows the connection with its process and
// both ends.
func (p *windowsPC) showsFlow(t *testing.T, dir string, pid int, local, remote string) {
	t.Helper()
	var near []record.Socket
	for _, r := range records[record.Socket](t, dir, artifact.KindNetConn) {
		if join(r.LocalAddr, r.LocalPort) == local && join(r.RemoteAddr, r.RemotePort) == remote {
			near = append(near, r)
		}
	}
	if len(near) != 1 || len(near[0].Owners) != 1 || near[0].Owners[0].PID != pid {
		t.Errorf("the flow of process %d from %s to %s is shown as %+v", pid, local, remote, near)
	}
}

func join(addr string, port uint16) string { return net.JoinHostPort(addr, strconv.Itoa(int(port))) }
