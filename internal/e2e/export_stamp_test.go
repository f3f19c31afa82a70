package e2e

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// authority makes an authority for time stamps (RFC 3161) of openssl alone, puts it into the
// settings of the collector and starts that again.
func (s *system) authority(t *testing.T, ctx context.Context) {
	t.Helper()
	dir := t.TempDir()
	shell := func(script string) {
		t.Helper()
		cmd := exec.CommandContext(ctx, "sh", "-c", script)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make an authority: %v\n%s", err, out)
		}
	}
	shell(`set -e
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=Test TSA CA' -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tsa.key -out tsa.csr -subj '/CN=Test TSA'
printf 'extendedKeyUsage=critical,timeStamping\nkeyUsage=digitalSignature\n' > ext
openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out tsa.pem
echo 01 > serial
cat > tsa.cnf <<'EOC'
[tsa]
default_tsa = one
[one]
serial = serial
signer_cert = tsa.pem
certs = ca.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
EOC`)
	var one sync.Mutex // the file of the serial number
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		q, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "q.tsq"), q, 0o600)
		}
		if err == nil {
			cmd := exec.CommandContext(r.Context(), "openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q.tsq", "-out", "q.tsr")
			cmd.Dir = dir
			err = cmd.Run()
		}
		b, rerr := os.ReadFile(filepath.Join(dir, "q.tsr"))
		if err != nil || rerr != nil {
			http.Error(w, "failed", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(b)
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(s.collector.Dir, "collector.toml")
	b, err := os.ReadFile(file)
	must(t, err)
	before, section, _ := strings.Cut(string(b), "[timestamp]\n")
	for name, v := range map[string]string{"url": server.URL, "ca_file": filepath.Join(dir, "ca.pem")} {
		section = regexp.MustCompile(`(?m)^`+name+` = .*$`).ReplaceAllLiteralString(section, name+" = \""+v+"\"")
	}
	must(t, s.collector.Proc.Stop())
	must(t, os.WriteFile(file, []byte(before+"[timestamp]\n"+section), 0o600))
	must(t, s.collector.Serve(ctx))
	s.awaitConnected(t, ctx)
}

// TestBodyFileForMactime: mactime of The Sleuth Kit reads the body file of a package.
func TestBodyFileForMactime(t *testing.T) {
	for _, tool := range []string{"mactime", "unzip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs " + tool)
		}
	}
	cmd := exec.Command("sh", "-c", `set -e; unzip -p ../verify/testdata/packages/v2.zip '*/bodyfile' > "$1"; mactime -z UTC -y -d -b "$1"`, "sh", filepath.Join(t.TempDir(), "body"))
	out, err := cmd.CombinedOutput()
	for _, want := range []string{`2026-11-21T00:00:01Z,13,m...,-rw-r--r--,0,0,7,"/etc/passwd"`, `2026-11-22T00:00:00Z,13,.a..,-rw-r--r--,0,0,7,"/etc/passwd"`, `-> /etc/日本"`} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("%v, want %s:\n%s", err, want, out)
		}
	}
}
