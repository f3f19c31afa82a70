package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/internal/e2e/rig"
)

// TestWindowsCollector: the collector is made, installed and started on a Windows PC as the page
// on installing says; an agent of this machine enrols with it, takes evidence and comes back
// after a restart of the service; uninstalling takes the service away and leaves what was
// collected. A folder that somebody else prepared for the key of its CA is refused.
func TestWindowsCollector(t *testing.T) {
	ctx := within(t, 2*patience)
	p := startWindows(t, ctx)
	p.make("packages-windows-collector", p.wine.Dir(), "0.9.1")
	exe := filepath.Join(p.wine.Dir(), "hozen-collector.exe")
	agents, console := rig.Loopback(7443), rig.Loopback(7480)
	made := []string{exe, "init", "--json", "--address", agents, "--listen-agents", agents, "--listen-console", console, "--evidence-key", `C:\ProgramData\Hozen\Key\evidence.key`}

	const stranger = 4711 // an account that Wine does not run as
	home := p.file("ProgramData/Hozen/Collector")
	must(t, os.MkdirAll(home, 0o777))
	must(t, os.Chown(home, stranger, stranger))
	if out, code := p.try(made...); code == 0 || p.isThere("ProgramData/Hozen/Collector/pki/ca-key.pem") {
		t.Errorf("a stranger's folder was taken for the key of the CA: exit code %d\n%s", code, out)
	}
	must(t, os.RemoveAll(home))

	p.do(made...)
	p.do(exe, "service", "install")
	if out := p.do("reg", "query", `HKLM\SYSTEM\CurrentControlSet\Services\hozen-collector`, "/v", "Start"); !strings.Contains(out, "0x2") {
		t.Errorf("the service does not start with Windows:\n%s", out)
	}
	p.do(exe, "service", "start")
	// break the glass: nobody signed in on this PC
	cli := func(out any, args ...string) {
		t.Helper()
		said := p.do(append([]string{exe, "--json", "--break-glass", "test"}, args...)...)
		if out == nil {
			return
		}
		if from := strings.IndexAny(said, "[{"); from < 0 || json.Unmarshal([]byte(said[from:]), out) != nil {
			t.Fatalf("%q: %s", args, said)
		}
	}
	ready := func() {
		t.Helper()
		p.await(t, ctx, "the collector", func() (bool, error) {
			_, code := p.try(exe, "status")
			return code == 0, nil
		})
	}
	ready()
	for _, path := range []string{"Collector", "Collector/pki", "Collector/pki/ca-key.pem", "Key/evidence.key"} {
		fi, err := os.Stat(p.file("ProgramData/Hozen/" + path))
		must(t, err)
		if fi.Mode().Perm()&0o007 != 0 { // where Wine keeps what others may
			t.Errorf("%s is open to others: %s", path, fi.Mode())
		}
	}
	var token struct {
		Text string `json:"token"`
	}
	cli(&token, "token", "create", "--auto")
	a, err := p.Agent(rig.AgentConfig{Program: programs(t).Agent, Dir: filepath.Join(p.dir, "agent"), Log: filepath.Join(p.dir, "agent.log"), Settings: quick})
	must(t, err)
	must(t, a.Enroll(ctx, token.Text))
	must(t, a.Run(ctx))
	var pcs []rig.Endpoint
	connected := func() {
		t.Helper()
		p.await(t, ctx, "the agent's connection", func() (bool, error) {
			cli(&pcs, "endpoint", "list")
			return len(pcs) == 1 && pcs[0].Online, nil
		})
	}
	connected()
	if _, err := a.Report(ctx, "画面がおかしい"); err != nil {
		t.Error(err)
	}
	p.await(t, ctx, "the evidence", func() (bool, error) {
		st, err := a.Status(ctx)
		return st.Spool.Received == 1, err
	})
	p.do(exe, "service", "stop")
	if out := p.do(exe, "--json", "service", "status"); !strings.Contains(out, "stopped") {
		t.Errorf("after a stop the service is %s", out)
	}
	p.do(exe, "service", "start")
	ready()
	connected()
	var check rig.Check
	cli(&check, "fsck")
	if !check.Clean || check.Acquisitions != 1 {
		t.Errorf("fsck: %+v", check)
	}
	p.do(exe, "service", "uninstall")
	if out, code := p.try("sc", "query", "hozen-collector"); code == 0 {
		t.Errorf("the service is still there:\n%s", out)
	}
	if !p.isThere("ProgramData/Hozen/Collector/pki/ca-key.pem") {
		t.Error("uninstalling took what was collected")
	}
}
