// Package identity keeps who an agent is: its key, its certificate, the collector
// that it trusts, and the last time that it knows to have passed. It knows nothing of
// how an identity is asked for, nor of what is signed with it.
//
// In the state folder:
//
//	agent-key.pem   ECDSA P-256 (PKCS #8), mode 0600
//	identity.json   endpoint identifier, certificate, CA, collector addresses
//	seen            the last time known to have passed
//
// BUG: on Windows the key is protected by the access list of the state folder alone,
// which the agent sets before it opens anything there; the files are not tied to the PC
// (DPAPI).
package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hozen/internal/buildinfo"
	"hozen/internal/digest"
	"hozen/internal/durable"
	"hozen/internal/id"
	"hozen/internal/pki"
)

// ErrNotEnrolled means that no collector has given this agent an identity yet.
var ErrNotEnrolled = errors.New("this agent is not enrolled")

const (
	keyFile  = "agent-key.pem"
	fileName = "identity.json"
	format   = "hozen-identity/1"
	maxFile  = 256 << 10
	maxAddrs = 16
)

// Store is the state folder's part that says who the agent is. It is safe for
// concurrent use; one process at a time may write.
type Store struct {
	dir   string
	clock *pki.Clock

	mu    sync.Mutex
	saved time.Time // what stands in the file "seen"
	told  bool      // Saw was told a time in this process
	known time.Time // it was not earlier than this at the moment of at and boot
	at    time.Time
	boot  time.Duration
}

// Enrolment is what the collector gave.
type Enrolment struct {
	EndpointID  string   // "end_…"
	Certificate []byte   // DER, for the agent's key
	CA          []byte   // DER, issuer of Certificate and of the collector's certificate
	Collectors  []string // host:port, in the order in which they are tried
}

// CAFingerprint returns the SHA-256 of the CA certificate, the pin of this identity.
func (e Enrolment) CAFingerprint() digest.Digest { return digest.Of(e.CA) }

// Open opens the state folder dir, made with mode 0700 when absent.
func Open(dir string) (*Store, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open identity: %w", err)
	}
	s := &Store{dir: dir}
	if err := s.openClock(); err != nil {
		return nil, fmt.Errorf("open identity: %w", err)
	}
	return s, nil
}

// Key returns the agent's key and makes it at the first call. A key file that others
// may read is refused: whoever read it could sign evidence in this endpoint's name.
func (s *Store) Key() (*ecdsa.PrivateKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, err := s.readKey()
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if _, err := s.read(); err == nil {
		return nil, fmt.Errorf("read key: %s is gone but %s is there; enrol this endpoint again", keyFile, fileName)
	}
	key, err = pki.NewKey()
	if err != nil {
		return nil, err
	}
	b, err := pki.KeyPEM(key)
	if err != nil {
		return nil, err
	}
	if err := durable.CreateFile(filepath.Join(s.dir, keyFile), b, 0o600); err != nil {
		return nil, fmt.Errorf("keep key: %w", err)
	}
	return key, nil
}

func (s *Store) readKey() (*ecdsa.PrivateKey, error) {
	path := filepath.Join(s.dir, keyFile)
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxFile {
		return nil, fmt.Errorf("read key %q: not a file of at most %d bytes", path, maxFile)
	}
	if err := private(path, fi); err != nil {
		return nil, fmt.Errorf("read key %q: %w", path, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := pki.ParseKeyPEM(b)
	if err != nil {
		return nil, fmt.Errorf("read key %q: %w", path, err)
	}
	return key, nil
}

// file is identity.json.
type file struct {
	Format      string   `json:"format"`
	EndpointID  string   `json:"endpoint_id"`
	Certificate []byte   `json:"certificate"`
	CA          []byte   `json:"ca"`
	Collectors  []string `json:"collectors"`
}

// Enrolment returns what the collector gave. The error wraps ErrNotEnrolled when there
// is none.
func (s *Store) Enrolment() (Enrolment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read()
}

func (s *Store) read() (Enrolment, error) {
	path := filepath.Join(s.dir, fileName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Enrolment{}, ErrNotEnrolled
	}
	if err != nil {
		return Enrolment{}, fmt.Errorf("read identity: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Enrolment{}, fmt.Errorf("read identity: %w", err)
	}
	e, err := parse(b)
	if err != nil {
		return Enrolment{}, fmt.Errorf("read identity %q: %w", path, err)
	}
	return e, nil
}

// parse reads identity.json strictly: it decides whom the agent trusts.
func parse(b []byte) (Enrolment, error) {
	if len(b) > maxFile {
		return Enrolment{}, fmt.Errorf("larger than %d bytes", maxFile)
	}
	var f file
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Enrolment{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return Enrolment{}, errors.New("something follows the object")
	}
	if f.Format != format {
		return Enrolment{}, fmt.Errorf("format %.40q is not %s", f.Format, format)
	}
	e := Enrolment{EndpointID: f.EndpointID, Certificate: f.Certificate, CA: f.CA, Collectors: f.Collectors}
	return e, e.check()
}

// check reports why e cannot be an identity, apart from the key.
func (e Enrolment) check() error {
	if err := id.Check(id.Endpoint, e.EndpointID); err != nil {
		return err
	}
	leaf, err := pki.ParseCertificate(e.Certificate)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	ca, err := pki.ParseCertificate(e.CA)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	endpointID, _, err := pki.VerifyAgent(ca, leaf)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if endpointID != e.EndpointID {
		return fmt.Errorf("certificate is for %s, not for %s", endpointID, e.EndpointID)
	}
	if len(e.Collectors) == 0 || len(e.Collectors) > maxAddrs {
		return fmt.Errorf("%d collector addresses, want 1 to %d", len(e.Collectors), maxAddrs)
	}
	for _, a := range e.Collectors {
		if err := pki.CheckAddress(a); err != nil {
			return err
		}
	}
	return nil
}

// SaveEnrolment keeps what the collector gave, replacing what was there. It refuses a
// certificate that is not for [Store.Key], not by the CA or not for the endpoint.
func (s *Store) SaveEnrolment(e Enrolment) error {
	if err := e.check(); err != nil {
		return fmt.Errorf("keep identity: %w", err)
	}
	key, err := s.Key()
	if err != nil {
		return fmt.Errorf("keep identity: %w", err)
	}
	if _, err := pki.TLSCertificate(e.Certificate, key, e.CA); err != nil {
		return fmt.Errorf("keep identity: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(e)
}

func (s *Store) write(e Enrolment) error {
	b, err := json.MarshalIndent(file{format, e.EndpointID, e.Certificate, e.CA, e.Collectors}, "", "  ")
	if err != nil {
		return fmt.Errorf("keep identity: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(s.dir, fileName), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep identity: %w", err)
	}
	return nil
}

// SetCollectors replaces the addresses and nothing else.
func (s *Store) SetCollectors(addresses []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.read()
	if err != nil {
		return fmt.Errorf("set collector addresses: %w", err)
	}
	e.Collectors = addresses
	if err := e.check(); err != nil {
		return fmt.Errorf("set collector addresses: %w", err)
	}
	return s.write(e)
}

// Forget takes certificate and key away, so that the next enrolment is a new endpoint.
// The certificate goes first: a key alone is harmless, a certificate alone is an error.
func (s *Store) Forget() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range []string{fileName, keyFile} {
		if err := durable.Remove(filepath.Join(s.dir, name)); err != nil {
			return fmt.Errorf("forget identity: %w", err)
		}
	}
	return nil
}

// TLSCertificate returns key and certificate as they are shown to the collector.
func (s *Store) TLSCertificate() (tls.Certificate, error) {
	e, err := s.Enrolment()
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := s.Key()
	if err != nil {
		return tls.Certificate{}, err
	}
	return pki.TLSCertificate(e.Certificate, key, e.CA)
}

// floor is the earliest time that can be now, whatever the clock says.
func floor(seen time.Time) time.Time {
	if built := buildinfo.Get().Built; built.After(seen) {
		return built
	}
	return seen
}
