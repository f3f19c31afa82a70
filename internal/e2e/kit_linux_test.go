package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// imported is what import --json prints.
type imported struct {
	Ours     bool          `json:"kit_is_ours"`
	Problems []kitProblem  `json:"problems"`
	Results  []kitImported `json:"results"`
}

type kitProblem struct{ File, Code string }

type kitImported struct {
	AcquisitionID string       `json:"acquisition_id"`
	State         string       `json:"state"`
	Problems      []kitProblem `json:"problems"`
	EndpointID    string       `json:"endpoint_id"`
	Match         string       `json:"endpoint_by"`
	Incident      string       `json:"incident_number"`
	Items         int          `json:"items"`
	CodeCompared  bool         `json:"receipt_code_compared"`
}

// TestKitLeavesAndComesBack: a kit is made; somebody without rights and without network
// acquires with it; what is altered on the stick is named and left, a wrong code takes in
// nothing; the stick as it was is taken in once, and is evidence like any other from then on.
func TestKitLeavesAndComesBack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace and another user")
	}
	ctx := within(t, patience)
	s := newSystem(t, ctx, options{notRunning: true})
	must(t, s.collector.Serve(ctx))
	must(t, s.collector.Ready(ctx))
	cli := func(want int, out any, args ...string) {
		t.Helper()
		r, err := s.collector.CLI(ctx, append([]string{"--json", "--break-glass", "USB kit"}, args...)...)
		must(t, err)
		if r.Code != want {
			t.Fatalf("%q: exit code %d, want %d\n%s%s", args, r.Code, want, r.Stdout, r.Stderr)
		}
		if out != nil {
			must(t, json.Unmarshal([]byte(r.Stdout), out))
		}
	}
	var incident struct {
		Number string `json:"number"`
	}
	cli(0, &incident, "incident", "open", "脅迫文")
	dir := shortDir(t)
	must(t, os.Chmod(dir, 0o755))
	stick := filepath.Join(dir, "stick")
	cli(1, nil, "kit", "build", stick, "--agents", t.TempDir()) // no program there
	cli(0, nil, "kit", "build", stick, "--incident", incident.Number, "--agents", filepath.Dir(programs(t).Agent))
	if out, err := shell(ctx, stick, "sha256sum --strict --quiet -c SHA256SUMS"); err != nil {
		t.Fatalf("the sums of the kit: %v\n%s", err, out)
	}

	const nobody = 65534
	must(t, filepath.WalkDir(stick, func(p string, _ fs.DirEntry, err error) error { return errors.Join(err, os.Chown(p, nobody, nobody)) }))
	before := outside(t, dir)
	got := s.acquireByKit(t, ctx, stick, nobody)
	if after := outside(t, dir); after != before {
		t.Errorf("it wrote beside its folder: %s, before %s", after, before)
	}
	if got.Code == "" || len(strings.ReplaceAll(got.Code, "-", "")) != 12 {
		t.Errorf("receipt code %q", got.Code)
	}
	if n := len(glob(t, stick, "results/*/artifacts/*.age")); n < 10 || len(glob(t, stick, "results/*/artifacts/*.zst")) > 0 {
		t.Errorf("%d artifacts are encrypted to the organisation, and others are not", n)
	}

	at := "results/" + got.Manifest.AcquisitionID + "/"
	for name, c := range map[string]struct {
		spoil      func(dir string) error
		code, file string
	}{
		"altered byte": {func(d string) error { return flip(filepath.Join(d, at, "artifacts/process.jsonl.zst.age")) }, "sealed", at + "artifacts/process.jsonl.zst.age"},
		"missing file": {func(d string) error { return os.Remove(filepath.Join(d, at, "artifacts/kit.jsonl.zst.age")) }, "missing", at + "artifacts/kit.jsonl.zst"},
		"surplus file": {func(d string) error { return os.WriteFile(filepath.Join(d, at, "note.txt"), nil, 0o600) }, "extra", at + "note.txt"},
		"manifest":     {func(d string) error { return flip(filepath.Join(d, at, "manifest.json")) }, "signature", at + "manifest.json.sig"},
	} {
		bad := filepath.Join(dir, "bad")
		must(t, os.CopyFS(bad, os.DirFS(stick)))
		must(t, c.spoil(bad))
		var x imported
		cli(9, &x, "import", bad)
		if len(x.Results) != 1 || x.Results[0].State != "refused" || len(x.Results[0].Problems) == 0 || x.Results[0].Problems[0] != (kitProblem{c.file, c.code}) {
			t.Errorf("%s: %+v", name, x)
		}
		must(t, os.RemoveAll(bad))
	}
	cli(8, nil, "import", stick, "--receipt-code", "0000-0000-0000")
	var list []json.RawMessage
	cli(0, &list, "evidence", "list", incident.Number)
	if len(list) > 0 {
		t.Fatalf("%d pieces of evidence of sticks that were altered", len(list))
	}

	var x imported
	cli(0, &x, "import", stick, "--receipt-code", strings.ToLower(got.Code))
	if len(x.Problems) > 0 || !x.Ours || len(x.Results) != 1 {
		t.Fatalf("%+v", x)
	}
	r := x.Results[0]
	if r.State != "imported" || r.Match != "new" || r.Incident != incident.Number || !r.CodeCompared || r.Items < 10 {
		t.Errorf("%+v", r)
	}
	cli(0, &x, "import", stick)
	if again := x.Results[0]; again.State != "already" || again.EndpointID != r.EndpointID || again.Items != r.Items {
		t.Errorf("the second time: %+v", again)
	}
	s.clean(t, ctx)
	// A second acquisition of the same PC belongs to the same endpoint.
	second := s.acquireByKit(t, ctx, stick, nobody)
	cli(0, &x, "import", stick)
	for _, i := range x.Results {
		if i.AcquisitionID == second.Manifest.AcquisitionID && (i.State != "imported" || i.Match != "machine_id" || i.EndpointID != r.EndpointID) {
			t.Errorf("the second acquisition: %+v", i)
		}
	}

	file := filepath.Join(dir, "p.zip")
	cli(0, nil, "incident", "export", incident.Number, "--out", file, "--to", "サンプル県警", "--purpose", "被害届")
	out, errOut, code := command(t, programs(t).Verify, "--lang", "en", "--ca-fingerprint", s.collector.CASHA256, file)
	if code != verifyVerified || !strings.Contains(out, "signed by a one-time key") {
		t.Errorf("hozen-verify: exit code %d\n%s%s", code, out, errOut)
	}
	s.clean(t, ctx)
}

// kitAcquired is what acquire --kit --json prints.
type kitAcquired struct {
	Code     string `json:"kit_receipt_code"`
	Manifest struct {
		AcquisitionID string `json:"acquisition_id"`
		Outcome       string `json:"outcome"`
	} `json:"manifest"`
}

// acquireByKit starts the agent of a stick in a network namespace of its own, as a user.
func (s *system) acquireByKit(t *testing.T, ctx context.Context, stick string, uid uint32) (got kitAcquired) {
	t.Helper()
	cmd := exec.CommandContext(ctx, filepath.Join(stick, "hozen-agent"), "acquire", "--kit", "--json", "--place", "本社3階", "--reason", "脅迫文",
		"--by", "田中", "--witness", "鈴木", "--reference-time", "14:05:00", "--reference-source", "117", "--yes")
	cmd.Env, cmd.Dir = []string{"HOME=/nonexistent"}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 3) { // some of it is not for everybody
		t.Fatalf("acquire --kit: %v\n%s%s", err, out.String(), errOut.String())
	}
	must(t, json.Unmarshal(out.Bytes(), &got))
	return got
}

// outside describes what lies in a folder, but for the results on the stick.
func outside(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && e.Name() == "results" {
			return fs.SkipDir
		}
		b.WriteString(p + "\n")
		return err
	}))
	return b.String()
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	return list
}

// flip changes one byte in the middle of a file.
func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	return os.WriteFile(path, b, 0o600)
}

func shell(ctx context.Context, dir, script string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir = dir
	b, err := cmd.CombinedOutput()
	return string(b), err
}
