package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"hozen/collector/internal/config"
	"hozen/collector/internal/localapi"
	"hozen/internal/custody/checkpoint"
)

// openssl runs the tool.
func openssl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", args[0], err, out)
	}
}

// stampServer is a time stamp authority whose certificate is its own root.
func stampServer(t *testing.T) (url, caFile string) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	openssl(t, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at("key.pem"), "-out", at("ca.pem"), "-days", "2", "-subj", "/CN=TSA",
		"-addext", "extendedKeyUsage=critical,timeStamping")
	must(t, os.WriteFile(at("serial"), []byte("01\n"), 0o600))
	must(t, os.WriteFile(at("tsa.cnf"), []byte(strings.ReplaceAll(`[tsa]
default_tsa = tsa1
[tsa1]
serial = DIR/serial
signer_cert = DIR/ca.pem
signer_key = DIR/key.pem
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
`, "DIR", dir)), 0o600))
	var turn sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turn.Lock()
		defer turn.Unlock()
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(at("query"), b, 0o600)
		}
		if err == nil {
			err = exec.CommandContext(r.Context(), "openssl", "ts", "-reply", "-config", at("tsa.cnf"), "-queryfile", at("query"), "-out", at("reply")).Run()
		}
		if err == nil {
			b, err = os.ReadFile(at("reply"))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		w.Write(b)
	}))
	t.Cleanup(s.Close)
	return s.URL, at("ca.pem")
}

// witnessServer signs whatever it is shown.
func witnessServer(t *testing.T) (setting string) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("no key")
	}
	w, err := checkpoint.NewWitness("w.example/1", pub)
	must(t, err)
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		_, note, _ := strings.Cut(string(b), "\n\n")
		line := ""
		if err == nil {
			line, err = checkpoint.Cosign(note, w, key, time.Now())
		}
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(rw, line)
	}))
	t.Cleanup(s.Close)
	return w.Text() + " " + s.URL
}

// strangerKey is the key of a witness who signed nothing.
func strangerKey(t *testing.T) string {
	t.Helper()
	w, err := checkpoint.NewWitness("stranger.example", make([]byte, ed25519.PublicKeySize))
	must(t, err)
	return w.Text()
}

// served changes the settings and serves until the test ends.
func served(t *testing.T, change func(cfg *config.Config)) (dir string, log *lockedText) {
	t.Helper()
	c, cfg, p := made(t)
	cfg.Addresses, cfg.Listen.Agents, cfg.Listen.Console = []string{"127.0.0.1:0"}, "127.0.0.1:0", "127.0.0.1:0"
	change(&cfg)
	must(t, os.WriteFile(p.Settings, []byte(cfg.Text()), 0o600))
	log = &lockedText{}
	c.std.err = log
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if code, _, errs := command(t, c.data, "status"); code == exitOK {
			return c.data, log
		} else if time.Now().After(deadline) {
			t.Fatal(errs)
		}
		select {
		case err := <-ended:
			t.Fatalf("%v\n%s", err, log)
		case <-tick.C:
		}
	}
}

// lockedText is what a running collector logs.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestOutsideSpeaksForTheLedger(t *testing.T) {
	url, ca := stampServer(t)
	witness := witnessServer(t)
	dir, _ := served(t, func(cfg *config.Config) {
		cfg.Timestamp = config.Timestamp{URL: url, CAFile: ca}
		cfg.Ledger.Witnesses = []string{witness}
	})
	out := filepath.Join(t.TempDir(), "stamped")
	code, text, errs := command(t, dir, "ledger", "timestamp", "--out", out)
	if code != exitOK || !strings.Contains(text, "タイムスタンプを取得しました") {
		t.Fatalf("%d %s %s", code, text, errs)
	}
	openssl(t, "ts", "-verify", "-in", filepath.Join(out, "token.tsr"), "-data", filepath.Join(out, "checkpoint.txt"), "-CAfile", filepath.Join(out, "ca.pem"))
	var list []localapi.Timestamp
	code, text, errs = command(t, dir, "ledger", "timestamps", "--json", "--out", out+"-all")
	if err := json.Unmarshal([]byte(text), &list); err != nil || code != exitOK || len(list) == 0 || list[0].Reason != "asked" || list[0].Policy != "1.2.3.4" {
		t.Fatalf("%d %s %s", code, text, errs)
	}
	cosigned := filepath.Join(t.TempDir(), "cosigned.txt")
	if code, text, errs = command(t, dir, "ledger", "cosign", "--out", cosigned); code != exitOK || !strings.Contains(text, "w.example/1") {
		t.Fatalf("%d %s %s", code, text, errs)
	}
	b, err := os.ReadFile(cosigned)
	must(t, err)
	if strings.Count(string(b), "\n— ") != 2 {
		t.Errorf("the note has not both signatures: %s", b)
	}
	// The exported ledger has both, and is checked without a collector.
	folder := filepath.Join(t.TempDir(), "ledger")
	if code, text, errs = command(t, dir, "ledger", "export", folder); code != exitOK {
		t.Fatalf("%d %s %s", code, text, errs)
	}
	openssl(t, "ts", "-verify", "-in", filepath.Join(folder, "timestamp", "token.tsr"), "-data", filepath.Join(folder, "timestamp", "checkpoint.txt"), "-CAfile", ca)
	vkey, err := os.ReadFile(filepath.Join(folder, "key.vkey"))
	must(t, err)
	key, _, _ := strings.Cut(witness, " ")
	if code, text, errs = command(t, "", "ledger", "verify", folder, "--key", strings.TrimSpace(string(vkey)), "--witness", key); code != exitOK || !strings.Contains(text, "w.example/1") {
		t.Errorf("%d %s %s", code, text, errs)
	}
	if code, text, _ = command(t, "", "ledger", "verify", folder, "--witness", strangerKey(t)); code != exitProblems || !strings.Contains(text, "stranger.example did not sign it") {
		t.Errorf("%d %s", code, text)
	}
	// Carried back by hand it is taken as well, and changed it is not.
	if code, text, errs = command(t, dir, "ledger", "cosign", cosigned); code != exitOK {
		t.Errorf("%d %s %s", code, text, errs)
	}
	must(t, os.WriteFile(cosigned, []byte(strings.Replace(string(b), "w.example/1", "w.example/2", 1)), 0o600))
	if code, _, _ = command(t, dir, "ledger", "cosign", cosigned); code != exitInvalid {
		t.Errorf("a stranger's signature: %d", code)
	}
	if code, text, _ = command(t, dir, "status"); code != exitOK || !strings.Contains(text, "タイムスタンプ: ") || !strings.Contains(text, "連署者 w.example/1") || strings.Contains(text, "{") {
		t.Errorf("%d %s", code, text)
	}
	if code, text, _ = command(t, dir, "fsck"); code != exitOK || !strings.Contains(text, "cosignature  w.example/1") {
		t.Errorf("%d %s", code, text)
	}
}

// TestFaultsOutsideStopNothing: neither an authority that is not there nor a file that is lost.
func TestFaultsOutsideStopNothing(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	dir, log := served(t, func(cfg *config.Config) {
		cfg.Timestamp = config.Timestamp{URL: gone.URL}
		cfg.Ledger.Witnesses = []string{"w.example/1+00000000+AAAA"}
	})
	if code, _, errs := command(t, dir, "ledger", "timestamp"); code != exitFailure {
		t.Errorf("%d %s", code, errs)
	}
	code, text, _ := command(t, dir, "status")
	if code != exitOK || !strings.Contains(text, "時刻認証局から") || !strings.Contains(text, "時刻認証局・連署者を使えません") {
		t.Errorf("%d %s\n%s", code, text, log)
	}
	if code, text, errs := command(t, dir, "ledger", "checkpoint"); code != exitOK {
		t.Errorf("%d %s %s", code, text, errs)
	}
	if code, _, _ := command(t, dir, "ledger", "cosign"); code != exitConflict {
		t.Errorf("%d", code)
	}
}

// TestPasswordOfTheAuthorityIsPrivate: neither the file nor the way is open to others.
func TestPasswordOfTheAuthorityIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such mode on Windows")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	must(t, os.WriteFile(file, []byte("secret\n"), 0o600))
	cfg := config.Default()
	cfg.Timestamp = config.Timestamp{URL: "https://tsa.example/", User: "u", PasswordFile: file}
	if _, err := stampAuthority(dir, cfg); err != nil {
		t.Errorf("%v", err)
	}
	for mode, want := range map[os.FileMode]string{0o640: "chmod 600", 0o604: "chmod 600", 0o620: "chmod 600"} {
		must(t, os.Chmod(file, mode))
		if _, err := stampAuthority(dir, cfg); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%04o: %v", mode, err)
		}
	}
	must(t, os.Chmod(file, 0o600))
	cfg.Timestamp.URL = "http://tsa.example/"
	if _, err := stampAuthority(dir, cfg); err == nil || !strings.Contains(err.Error(), "https://") {
		t.Errorf("over http: %v", err)
	}
}
