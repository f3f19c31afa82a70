package timestamp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hozen/collector/internal/timestamp"
)

const policy = "1.2.3.4.5.6"

// authority is an authority of its own CA, answering with "openssl ts -reply".
type authority struct {
	t      testing.TB
	dir    string
	caPEM  []byte
	server *httptest.Server

	mu     sync.Mutex
	asked  int
	answer func(w http.ResponseWriter, r *http.Request) bool // takes over when it returns true
}

const tsaConf = `[tsa]
default_tsa = tsa1
[tsa1]
serial = %DIR%/serial
signer_cert = %DIR%/tsa.pem
certs = %DIR%/ca.pem
signer_key = %DIR%/tsa-key.pem
signer_digest = sha256
default_policy = ` + policy + `
other_policies = 1.2.3.4.5.7
digests = sha256, sha384, sha512
accuracy = secs:1, millisecs:500
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
`

func newAuthority(t testing.TB) *authority {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl")
	}
	a := &authority{t: t, dir: t.TempDir()}
	caKey, key := newKey(t), newKey(t)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test TSA CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	eku, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	tsa := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Test TSA"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: eku}}}
	caDER := issue(t, ca, ca, caKey, caKey)
	a.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.file("ca.pem", a.caPEM)
	a.file("tsa.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issue(t, tsa, ca, key, caKey)}))
	a.file("tsa-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	a.file("serial", []byte("01\n"))
	a.file("tsa.cnf", []byte(strings.ReplaceAll(tsaConf, "%DIR%", a.dir)))
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.server.Close)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func issue(t testing.TB, cert, parent *x509.Certificate, key, by *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (a *authority) file(name string, b []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// openssl runs the tool and returns what it prints.
func (a *authority) openssl(ctx context.Context, args ...string) ([]byte, error) {
	return exec.CommandContext(ctx, "openssl", args...).CombinedOutput()
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock() // the file of the serial number takes one at a time
	a.asked++
	if a.answer != nil && a.answer(w, r) {
		return
	}
	query, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	reply, err := a.reply(r.Context(), query)
	if err != nil {
		a.t.Errorf("openssl ts -reply: %v", err)
		http.Error(w, "failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	if _, err := w.Write(reply); err != nil {
		a.t.Logf("answer: %v", err)
	}
}

func (a *authority) reply(ctx context.Context, query []byte) ([]byte, error) {
	in, out := filepath.Join(a.dir, "query.tsq"), filepath.Join(a.dir, "reply.tsr")
	if err := os.WriteFile(in, query, 0o600); err != nil {
		return nil, err
	}
	if text, err := a.openssl(ctx, "ts", "-reply", "-config", filepath.Join(a.dir, "tsa.cnf"), "-queryfile", in, "-out", out); err != nil {
		a.t.Logf("%s", text)
		return nil, err
	}
	return os.ReadFile(out)
}

// instead lets fn answer.
func (a *authority) instead(fn func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = fn
}

func (a *authority) times() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func (a *authority) client(change func(*timestamp.AuthorityConfig)) *timestamp.Authority {
	a.t.Helper()
	roots, err := timestamp.RootsPEM(a.caPEM)
	if err != nil {
		a.t.Fatal(err)
	}
	cfg := timestamp.AuthorityConfig{URL: a.server.URL + "/tsa", Roots: roots}
	if change != nil {
		change(&cfg)
	}
	c, err := timestamp.NewAuthority(cfg)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}
