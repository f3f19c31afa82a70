package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hozen/internal/envelope/unseal"
)

// exported is what incident export --json prints.
type exported struct {
	ID     string `json:"id"`
	Number string `json:"number"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// TestPackageLeavesTheHouse: trouble is reported, evidence arrives, the incident is exported,
// and somebody who has the zip and the CA's fingerprint alone checks it, with our verifier
// and with stock tools; a byte that was changed is named.
func TestPackageLeavesTheHouse(t *testing.T) {
	ctx := within(t, patience)
	s := newSystem(t, ctx, options{})
	s.authority(t, ctx)
	number, err := s.agent.Report(ctx, "画面に身代金の要求が出ました")
	must(t, err)
	s.awaitAcquisitions(t, ctx, 1)

	clean := t.TempDir() // the expert's
	file := filepath.Join(clean, "p.zip")
	export := func(args ...string) (x exported) {
		t.Helper()
		r, err := s.collector.CLI(ctx, append([]string{"--json", "--break-glass", "hand-over", "incident", "export"}, args...)...)
		must(t, err)
		if r.Code != 0 {
			t.Fatalf("incident export %q: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
		}
		must(t, json.Unmarshal([]byte(r.Stdout), &x))
		return x
	}
	x := export(number, "--out", file, "--to", "サンプル県警", "--purpose", "被害届")
	if x.Number != number+"-P01" {
		t.Errorf("%+v", x)
	}
	verify := func(want int, args ...string) string {
		t.Helper()
		out, errOut, code := command(t, programs(t).Verify, append([]string{"--lang", "en"}, args...)...)
		if code != want {
			t.Errorf("hozen-verify %q: exit code %d, want %d\n%s%s", args, code, want, out, errOut)
		}
		return out
	}
	out := verify(verifyVerified, "--ca-fingerprint", s.collector.CASHA256, file)
	for _, want := range []string{"the evidence is verified", "[NOT CHECKED]  signed checkpoint", "[NOT CHECKED]  time stamp", "NOT checked", "package.json: its own words", x.Number} {
		if !strings.Contains(out, want) {
			t.Errorf("hozen-verify does not say %q:\n%s", want, out)
		}
	}
	if out := verify(verifyVerified, "--package-sha256", x.SHA256, file); !strings.Contains(out, "[fits]         signed checkpoint") || strings.Contains(out, "its own words") {
		t.Errorf("by its SHA-256 all of it is checked:\n%s", out)
	}

	// The same again, in pieces.
	again := export("--again", x.Number, "--out", filepath.Join(clean, "again.zip"), "--split", "100KB")
	if again.SHA256 != x.SHA256 {
		t.Errorf("the second time it is %s, the first time %s", again.SHA256, x.SHA256)
	}
	verify(verifyVerified, "--package-sha256", x.SHA256, filepath.Join(clean, "again.zip.001"))

	// The same again, for nobody but its recipient to read.
	id, err := unseal.New()
	must(t, err)
	sealed := export("--again", x.Number, "--out", filepath.Join(clean, "secret.zip"), "--recipient", id.Recipient().String())
	if sealed.SHA256 != x.SHA256 {
		t.Errorf("encrypted, it is %s, in the clear %s", sealed.SHA256, x.SHA256)
	}
	opensForRecipient(t, clean, file, id)

	// A byte of it.
	b, err := os.ReadFile(file)
	must(t, err)
	at := bytes.Index(b, []byte("/artifacts/process.jsonl.zst")) + 200
	b[at] ^= 1
	tampered := filepath.Join(clean, "tampered.zip")
	must(t, os.WriteFile(tampered, b, 0o600))
	if out := verify(1, "--ca-fingerprint", s.collector.CASHA256, tampered); !strings.Contains(out, "artifacts/process.jsonl.zst") {
		t.Errorf("the changed file is not named:\n%s", out)
	}
	stockTools(t, clean, file, x.Number)
	s.clean(t, ctx)
}

// opensForRecipient opens secret.zip.age with the age program of the distribution, checks it
// with sha256sum, and finds the very bytes of file.
func opensForRecipient(t *testing.T, dir, file string, id unseal.Identity) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(dir, "secret.zip")); err == nil {
		t.Error("a clear copy was written too")
	}
	if _, err := exec.LookPath("age"); err != nil {
		t.Errorf("needs age: %v", err)
		return
	}
	must(t, os.WriteFile(filepath.Join(dir, "key.txt"), []byte(id.Text()+"\n"), 0o600))
	cmd := exec.Command("sh", "-c", `set -e; age -d -i key.txt secret.zip.age > secret.zip; sha256sum --strict --quiet -c secret.zip.age.sha256; cmp secret.zip "$1"`, "sh", file)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the recipient cannot open it: %v\n%s", err, out)
	}
}

// stockTools checks a package as its README says, with programs that are not ours.
func stockTools(t *testing.T, dir, file, number string) {
	t.Helper()
	for _, tool := range []string{"unzip", "sha256sum", "openssl", "python3", "zstd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Errorf("needs %s: %v", tool, err)
			return
		}
	}
	script := `set -e
unzip -tqq p.zip
unzip -qq p.zip
cd "$1"
sha256sum --strict --quiet -c manifest-sha256.txt
sha256sum --strict --quiet -c tagmanifest-sha256.txt
openssl ts -verify -in data/custody/checkpoint.tsr -data data/custody/checkpoint.txt -CAfile data/custody/timestamp-ca.pem
head -c 5 data/custody/form.pdf | grep -q '%PDF-'
for f in $(find data -name '*.json'); do python3 -m json.tool "$f" > /dev/null; done
python3 - <<'EOF'
import csv, glob, json
for f in glob.glob('data/**/*.jsonl', recursive=True):
    for line in open(f, encoding='utf-8'):
        json.loads(line)
for line in open('data/timeline.jsonl', encoding='utf-8'):
    e = json.loads(line)
    assert e['message'] and e['datetime'] and e['timestamp_desc'], e
csv.field_size_limit(1 << 30)
n = 0
for f in glob.glob('data/**/*.csv', recursive=True):
    rows = list(csv.reader(open(f, encoding='utf-8-sig', newline='')))
    assert all(len(r) == len(rows[0]) for r in rows), f
    assert not any(c[:1] in '=+@' and c for r in rows for c in r), f
    n += len(rows)
assert n > 10, n
EOF
for d in data/hosts/*/sealed/*; do
  ( cd "$d"
    openssl dgst -sha256 -verify signer.pem -signature manifest.json.sig manifest.json
    for a in artifacts/*.zst; do
      grep -q "$(sha256sum "$a" | cut -c1-64)" manifest.json
      grep -q "$(zstd -qdc "$a" | sha256sum | cut -c1-64)" manifest.json
    done )
done`
	cmd := exec.Command("sh", "-c", script, "sh", number)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "Verified OK") < 1 || !strings.Contains(string(out), "Verification: OK") {
		t.Errorf("stock tools: %v\n%s", err, out)
	}
}
