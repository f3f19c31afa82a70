package identity_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/identity"
	"hozen/internal/digest"
	"hozen/internal/id"
	"hozen/internal/pki"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// enrolment makes what a collector would give for the store's key.
func enrolment(t *testing.T, s *identity.Store) identity.Enrolment {
	t.Helper()
	key, err := s.Key()
	must(t, err)
	ca, err := pki.NewCA("test", time.Now())
	must(t, err)
	end := id.New(id.Endpoint)
	leaf, _, err := ca.IssueAgent(end, key.Public(), time.Now())
	must(t, err)
	return identity.Enrolment{EndpointID: end, Certificate: leaf, CA: ca.Certificate().Raw, Collectors: []string{"192.0.2.1:8443"}}
}

func open(t *testing.T, dir string) *identity.Store {
	t.Helper()
	s, err := identity.Open(dir)
	must(t, err)
	return s
}

func TestKeyStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, err := open(t, dir).Key()
	must(t, err)
	again, err := open(t, dir).Key()
	must(t, err)
	if !first.Equal(again) {
		t.Error("the key changed")
	}
	fi, err := os.Stat(filepath.Join(dir, "agent-key.pem"))
	must(t, err)
	if runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %#o", fi.Mode())
	}
}

func TestKeyFilesThatAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"cut off":          func(p string) error { return os.Truncate(p, 40) },
		"empty":            func(p string) error { return os.Truncate(p, 0) },
		"huge":             func(p string) error { return os.Truncate(p, 1<<40) },
		"a folder":         func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) },
		"a link":           func(p string) error { return errors.Join(os.Rename(p, p+"2"), os.Symlink(p+"2", p)) },
		"open to everyone": func(p string) error { return os.Chmod(p, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && name == "open to everyone" {
				t.Skip("Windows has no modes")
			}
			dir := t.TempDir()
			s := open(t, dir)
			_, err := s.Key()
			must(t, err)
			path := filepath.Join(dir, "agent-key.pem")
			must(t, spoil(path))
			if _, err := os.Lstat(path); name == "a link" && err != nil {
				t.Skip("no links here: Wine says that it makes them, and makes none")
			}
			if _, err := s.Key(); err == nil || !strings.Contains(err.Error(), "agent-key.pem") {
				t.Errorf("took it, or does not name it: %v", err)
			}
		})
	}
}

func TestEnrolmentStays(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Enrolment(); !errors.Is(err, identity.ErrNotEnrolled) {
		t.Errorf("before: %v", err)
	}
	if _, err := s.Signer(); !errors.Is(err, identity.ErrNotEnrolled) {
		t.Errorf("before: %v", err)
	}
	e := enrolment(t, s)
	must(t, s.SaveEnrolment(e))
	must(t, s.SetCollectors([]string{"192.0.2.2:8443", "[2001:db8::1]:8443"}))
	s = open(t, dir)
	got, err := s.Enrolment()
	must(t, err)
	if got.EndpointID != e.EndpointID || len(got.Collectors) != 2 || got.CAFingerprint() != digest.Of(e.CA) {
		t.Errorf("got %+v", got)
	}
	c, err := s.TLSCertificate()
	must(t, err)
	if len(c.Certificate) != 2 || c.Leaf == nil {
		t.Error("no chain")
	}
	must(t, s.Forget())
	if _, err := s.Enrolment(); !errors.Is(err, identity.ErrNotEnrolled) {
		t.Errorf("after: %v", err)
	}
	if k, err := s.Key(); err != nil || k.Equal(c.PrivateKey.(*ecdsa.PrivateKey)) {
		t.Errorf("the key was not forgotten: %v", err)
	}
}

func TestRefusesForeignEnrolments(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, e *identity.Enrolment){
		"another key": func(t *testing.T, e *identity.Enrolment) { *e = enrolment(t, open(t, t.TempDir())) },
		"another CA":  func(t *testing.T, e *identity.Enrolment) { e.CA = enrolment(t, open(t, t.TempDir())).CA },
		"another endpoint": func(_ *testing.T, e *identity.Enrolment) {
			e.EndpointID = id.New(id.Endpoint)
		},
		"no endpoint":       func(_ *testing.T, e *identity.Enrolment) { e.EndpointID = "" },
		"no certificate":    func(_ *testing.T, e *identity.Enrolment) { e.Certificate = nil },
		"CA as certificate": func(_ *testing.T, e *identity.Enrolment) { e.Certificate = e.CA },
		"no address":        func(_ *testing.T, e *identity.Enrolment) { e.Collectors = nil },
		"bad address":       func(_ *testing.T, e *identity.Enrolment) { e.Collectors = []string{"nowhere"} },
		"too many":          func(_ *testing.T, e *identity.Enrolment) { e.Collectors = make([]string, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			good := enrolment(t, s)
			must(t, s.SaveEnrolment(good))
			bad := good
			change(t, &bad)
			if err := s.SaveEnrolment(bad); err == nil {
				t.Error("kept it")
			}
			if got, err := s.Enrolment(); err != nil || got.EndpointID != good.EndpointID {
				t.Errorf("the good one is gone: %v", err)
			}
		})
	}
}

func TestDamagedIdentityIsNamed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.SaveEnrolment(enrolment(t, s)))
	path := filepath.Join(dir, "identity.json")
	whole, err := os.ReadFile(path)
	must(t, err)
	for _, b := range []string{"", "{", string(whole) + "x", strings.Replace(string(whole), "/1", "/2", 1), strings.Replace(string(whole), `"format"`, `"more": 1, "format"`, 1)} {
		must(t, os.WriteFile(path, []byte(b), 0o600))
		if _, err := s.Enrolment(); err == nil || errors.Is(err, identity.ErrNotEnrolled) || !strings.Contains(err.Error(), "identity.json") {
			t.Errorf("%.20q: %v", b, err)
		}
	}
	must(t, os.WriteFile(path, whole, 0o600))
	must(t, os.Remove(filepath.Join(dir, "agent-key.pem")))
	if _, err := s.Key(); err == nil || !strings.Contains(err.Error(), "enrol") {
		t.Errorf("made a new key under an old certificate: %v", err)
	}
}

func TestSigner(t *testing.T) {
	s := open(t, t.TempDir())
	must(t, s.SaveEnrolment(enrolment(t, s)))
	enrolled, err := s.Signer()
	must(t, err)
	oneTime, err := identity.NewOneTime()
	must(t, err)
	for _, sg := range []*identity.Signer{enrolled, oneTime} {
		sig, err := sg.Sign([]byte("message"))
		must(t, err)
		block, _ := pem.Decode(sg.PublicPEM())
		pub, err := x509.ParsePKIXPublicKey(block.Bytes)
		must(t, err)
		sum := sha256.Sum256([]byte("message"))
		if !ecdsa.VerifyASN1(pub.(*ecdsa.PublicKey), sum[:], sig) {
			t.Error("the signature is wrong")
		}
		d := sg.Describe()
		if d.KeySHA256 != digest.Of(block.Bytes).String() || d.OneTime != (len(sg.CertificatePEM()) == 0) {
			t.Errorf("%+v", d)
		}
	}
}

func TestReceiptCode(t *testing.T) {
	d := digest.Of([]byte("x"))
	code := identity.ReceiptCode(d)
	if len(code) != 29 || strings.Count(code, "-") != 4 || strings.ContainsAny(code, "ILOU") {
		t.Errorf("code %q", code)
	}
	var known digest.Digest
	copy(known[:], []byte{0x00, 0x44, 0x32, 0x14, 0xc7})
	if got := identity.ReceiptCode(known)[:9]; got != "01234-567" {
		t.Errorf("got %q", got)
	}
}

func TestClockNeverRunsBeforeWhatWasSeen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Saw(time.Now()); !errors.Is(err, identity.ErrNotEnrolled) {
		t.Errorf("saw a time without a collector: %v", err)
	}
	must(t, s.SaveEnrolment(enrolment(t, s)))
	ahead := time.Now().Add(24 * time.Hour)
	must(t, s.Saw(ahead))
	if now := open(t, dir).Now(); now.Before(ahead.Add(-time.Second)) {
		t.Errorf("after a restart it is %s", now)
	}
	must(t, s.Saw(ahead.Add(-time.Hour))) // earlier times change nothing
	if now := s.Now(); now.Before(ahead.Add(-time.Second)) {
		t.Errorf("it is %s", now)
	}
	// A wrong clock cannot push the agent beyond its own certificate.
	must(t, s.Saw(time.Now().AddDate(100, 0, 0)))
	if now := s.Now(); now.After(time.Now().AddDate(1, 0, 0)) {
		t.Errorf("it is %s", now)
	}
	must(t, os.WriteFile(filepath.Join(dir, "seen"), []byte("rubbish"), 0o600))
	if now := open(t, dir).Now(); time.Since(now) > time.Minute {
		t.Errorf("with a damaged file it is %s", now)
	}
}

func FuzzIdentity(f *testing.F) {
	b, err := json.Marshal(map[string]any{"format": "hozen-identity/1", "endpoint_id": id.New(id.Endpoint), "certificate": "aGk=", "ca": "aGk=", "collectors": []string{"a:1"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { identity.Check(b) })
}
