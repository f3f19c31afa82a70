package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Exit codes that the programs promise in their --help.
const (
	acquireComplete, acquirePartial                     = 0, 3
	verifyVerified, verifyNotVerified, verifyConsistent = 0, 1, 4
)

// acquired is what "hozen-agent acquire --json" prints.
type acquired struct {
	Format      string            `json:"format"`
	Folder      string            `json:"folder"`
	ReceiptCode string            `json:"receipt_code"`
	Manifest    artifact.Manifest `json:"manifest"`
}

// acquire takes a flash capture of this machine into a new folder.
func acquire(t *testing.T) acquired {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "evidence")
	out, errOut, code := command(t, programs(t).Agent, "acquire", "--profile", "flash", "--out", dir, "--json")
	if code != acquireComplete && code != acquirePartial {
		t.Fatalf("acquire: exit code %d\n%s", code, errOut)
	}
	var a acquired
	decode(t, []byte(out), &a)
	return a
}

// records decodes the lines of one artifact.
func records[T any](t *testing.T, dir string, kind artifact.Kind) []T {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, artifact.ArtifactDir, string(kind)+".jsonl.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var list []T
	for dec := json.NewDecoder(z); dec.More(); {
		var r T
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func TestAcquireWithoutCollector(t *testing.T) {
	a := acquire(t)
	self := false
	for _, p := range records[record.Process](t, a.Folder, artifact.KindProcess) {
		self = self || p.PID == os.Getpid() && strings.HasSuffix(p.Exe, filepath.Base(os.Args[0]))
	}
	if !self {
		t.Error("the evidence does not show this very process")
	}
	if _, out, code := command(t, programs(t).Verify, "--lang", "en", a.Folder); code != verifyConsistent {
		t.Errorf("hozen-verify without anchor: exit code %d, want %d\n%s", code, verifyConsistent, out)
	}
	out, errOut, code := command(t, programs(t).Verify, "--lang", "en", "--receipt-code", a.ReceiptCode, a.Folder)
	if code != verifyVerified {
		t.Errorf("hozen-verify with receipt code: exit code %d\n%s%s", code, out, errOut)
	}
}

func TestAcquireRefusesAFolderWithFilesInIt(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine.txt")
	if err := os.WriteFile(mine, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errOut, code := command(t, programs(t).Agent, "acquire", "--out", dir, "--lang", "en")
	if code != 2 || !strings.Contains(errOut, "empty") {
		t.Errorf("exit code %d, stderr %q; want 2 and a word of the folder", code, errOut)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v; want it untouched", left, err)
	}
}

// TestStockToolsAgree opens the evidence with what every expert has.
func TestStockToolsAgree(t *testing.T) {
	need(t, "openssl")
	need(t, "zstd")
	a := acquire(t)
	at := func(name string) string { return filepath.Join(a.Folder, name) }
	out, errOut, code := command(t, "openssl", "dgst", "-sha256", "-verify", at(artifact.SignerFile), "-signature", at(artifact.SignatureFile), at(artifact.ManifestFile))
	if code != 0 || !strings.Contains(out, "Verified OK") {
		t.Errorf("openssl: exit code %d\n%s%s", code, out, errOut)
	}
	for _, e := range a.Manifest.Artifacts {
		plain, _, code := command(t, "zstd", "-dc", at(e.Name))
		if sum := sha256.Sum256([]byte(plain)); code != 0 || hex.EncodeToString(sum[:]) != e.Plain.SHA256 {
			t.Errorf("%s: zstd exit code %d, SHA-256 %x, the manifest says %s", e.Name, code, sum, e.Plain.SHA256)
		}
		if n := strings.Count(plain, "\n"); int64(n) != e.Records {
			t.Errorf("%s: %d lines, the manifest says %d records", e.Name, n, e.Records)
		}
	}
}

// TestOneChangedByteIsNamed changes one byte in each file of the evidence in turn.
func TestOneChangedByteIsNamed(t *testing.T) {
	a := acquire(t)
	var files []string
	err := filepath.WalkDir(a.Folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 4 {
		t.Fatalf("files %v, %v", files, err)
	}
	verify := programs(t).Verify
	for _, file := range files {
		name, err := filepath.Rel(a.Folder, file)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, len(whole) / 2, len(whole) - 1} {
			bad := bytes.Clone(whole)
			bad[at] ^= 0x20
			overwrite(t, file, bad)
			out, _, code := command(t, verify, "--lang", "en", "--receipt-code", a.ReceiptCode, a.Folder)
			if code != verifyNotVerified || !strings.Contains(out, filepath.Base(name)) {
				t.Errorf("%s byte %d changed: exit code %d, want %d and the file's name\n%s", name, at, code, verifyNotVerified, out)
			}
		}
		overwrite(t, file, whole)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if out, _, code := command(t, verify, "--lang", "en", a.Folder); code != verifyNotVerified {
			t.Errorf("%s removed: exit code %d, want %d\n%s", name, code, verifyNotVerified, out)
		}
		overwrite(t, file, whole)
	}
	if _, _, code := command(t, verify, "--receipt-code", a.ReceiptCode, a.Folder); code != verifyVerified {
		t.Errorf("put back as it was: exit code %d, want %d", code, verifyVerified)
	}
}

func overwrite(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAcquireStartsNoProgram traces the agent: a forensic agent runs no program of
// the host that it examines.
func TestAcquireStartsNoProgram(t *testing.T) {
	need(t, "strace")
	trace := filepath.Join(t.TempDir(), "trace")
	dir := filepath.Join(t.TempDir(), "evidence")
	cmd := exec.CommandContext(t.Context(), "strace", "-f", "-qq", "-e", "trace=execve,execveat,fork,vfork", "-o", trace,
		programs(t).Agent, "acquire", "--out", dir, "--quiet")
	if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != acquirePartial {
		t.Fatalf("strace: %v\n%s", err, out)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if calls := started(string(b)); len(calls) != 1 {
		t.Errorf("want the agent's own start and nothing else, got %d:\n%s", len(calls), strings.Join(calls, "\n"))
	}
}

// started returns the lines of a trace that start a program or a process; threads
// do not count.
func started(trace string) (calls []string) {
	for _, line := range strings.Split(trace, "\n") {
		if strings.Contains(line, "exec") || strings.Contains(line, "fork(") {
			calls = append(calls, line)
		}
	}
	return calls
}
