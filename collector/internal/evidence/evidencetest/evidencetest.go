// Package evidencetest makes endpoints and their acquisitions for the tests of the
// packages that take evidence in. It knows nothing of the wire.
package evidencetest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/id"
	"hozen/internal/pki"
)

// Org is the organisation of every endpoint here.
const Org = "org_test"

// IncidentNumber is the number of the one incident here.
const IncidentNumber = "INC-2026-0007"

// Site is a collector's evidence store with everything around it.
type Site struct {
	DB       *sqldb.DB
	Blobs    *fsblob.Store
	Dir      string // holds blobs/ and incoming/
	CA       *pki.CA
	Config   evidence.Config // as the intake was opened with, the first time
	Incident string

	mu       sync.Mutex
	issued   map[string]map[string]bool // endpoint → digests of its certificates
	Accepted []string                   // acquisitions that OnAccepted saw
	Refused  []evidence.Refused
}

// New makes a site around db.
func New(t testing.TB, db *sqldb.DB) *Site {
	t.Helper()
	s := &Site{DB: db, Dir: t.TempDir(), Incident: id.New(id.Incident), issued: map[string]map[string]bool{}}
	s.Blobs = OpenBlobs(t, s.Dir)
	var err error
	if s.CA, err = pki.NewCA("test", time.Now()); err != nil {
		t.Fatal(err)
	}
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, _, err := s.CA.IssueCollector([]string{"collector.test"}, nil, key.Public(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.Config = evidence.Config{
		DB: db, Blobs: s.Blobs, Incoming: filepath.Join(s.Dir, "incoming"), Verifier: s,
		Tie: func(context.Context, *sqldb.Tx, string, *artifact.Manifest) (evidence.Tied, error) {
			return evidence.Tied{OrganisationID: Org, IncidentID: s.Incident, IncidentNumber: IncidentNumber}, nil
		},
		OnAccepted: func(_ context.Context, _ *sqldb.Tx, a evidence.Acquisition, _ []evidence.Item) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.Accepted = append(s.Accepted, a.ID)
			return nil
		},
		OnRefused: func(ctx context.Context, tx *sqldb.Tx, r evidence.Refused) error {
			_, err := ledger.Append(ctx, tx, ledger.Entry{OrganisationID: Org, At: r.At, ActorKind: "endpoint", ActorID: r.EndpointID,
				Act: "evidence.refuse", Subject: r.AcquisitionID, Details: map[string]string{"code": string(r.Refusal.Code), "detail": r.Refusal.Detail}})
			s.mu.Lock()
			defer s.mu.Unlock()
			s.Refused = append(s.Refused, r)
			return err
		},
		Signer: key, Certificate: der, CollectorName: "保全テスト", CASHA256: digest.Of(s.CA.Certificate().Raw).String(),
		MinFree: 1,
	}
	return s
}

// Open opens the intake, as after a restart. change is optional.
func (s *Site) Open(t testing.TB, change func(*evidence.Config)) *evidence.Intake {
	t.Helper()
	cfg := s.Config
	if change != nil {
		change(&cfg)
	}
	i, err := evidence.OpenIntake(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// SignerKey implements [evidence.Verifier] and fsck's.
func (s *Site) SignerKey(_ context.Context, endpointID string, certificate []byte) (*ecdsa.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.issued[endpointID][digest.Of(certificate).String()] {
		return nil, evidence.ErrNotIssued
	}
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, err
	}
	return cert.PublicKey.(*ecdsa.PublicKey), nil
}

// Endpoint is a PC with its key.
type Endpoint struct {
	ID          string
	Key         *ecdsa.PrivateKey
	Certificate []byte
}

// Endpoint enrols a new endpoint.
func (s *Site) Endpoint(t testing.TB) *Endpoint {
	t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	e := &Endpoint{ID: id.New(id.Endpoint), Key: key}
	if e.Certificate, _, err = s.CA.IssueAgent(e.ID, key.Public(), time.Now()); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued[e.ID] = map[string]bool{digest.Of(e.Certificate).String(): true}
	return e
}

// Acquisition is one as it lies in an agent's spool.
type Acquisition struct {
	Manifest    artifact.Manifest
	Raw         []byte // the manifest, exact bytes
	Signature   []byte
	Certificate []byte
	Parts       map[string][]byte // stored bytes by name
}

// Acquisition makes one with an artifact per kind, of lines lines each.
func (e *Endpoint) Acquisition(t testing.TB, lines int, kinds ...artifact.Kind) *Acquisition {
	t.Helper()
	cert, err := x509.ParseCertificate(e.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	at := artifact.Instant{Wall: time.Now().UTC(), BootNS: 1}
	a := &Acquisition{Certificate: e.Certificate, Parts: map[string][]byte{}, Manifest: artifact.Manifest{
		Format: artifact.Format, AcquisitionID: id.New(id.Acquisition), EndpointID: e.ID, Trigger: artifact.TriggerCommand,
		CommandID: id.New(id.Command), Profile: "flash", Host: artifact.Host{Hostname: "経理PC-01\x00", OS: "linux", Arch: "amd64", BootID: "b"},
		Tool: artifact.Tool{Name: "hozen-agent", Version: "0.0.0"}, StartedAt: at, FinishedAt: at, Outcome: artifact.Complete,
		Probes: []artifact.ProbeOutcome{{Kind: "clock", StartedAt: at, Outcome: artifact.Empty}}, Artifacts: []artifact.Entry{},
		Signer: artifact.Signer{Algorithm: "ecdsa-p256-sha256", KeySHA256: digest.Of(cert.RawSubjectPublicKeyInfo).String()},
	}}
	for _, k := range kinds {
		var plain bytes.Buffer
		for n := range lines {
			fmt.Fprintf(&plain, `{"kind":%q,"n":%d,"salt":%q}`+"\n", k, n, rand.Text())
		}
		a.Add(t, k, plain.Bytes(), int64(lines))
	}
	e.Sign(t, a)
	return a
}

// Add adds an artifact with these lines; sign it afterwards.
func (a *Acquisition) Add(t testing.TB, k artifact.Kind, plain []byte, records int64) {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	stored := enc.EncodeAll(plain, nil)
	name := "artifacts/" + string(k) + "." + string(k.Form()) + ".zst"
	a.Parts[name] = stored
	a.Manifest.Artifacts = append(a.Manifest.Artifacts, artifact.Entry{
		Name: name, Kind: k, Schema: "hozen." + string(k) + "/1", Records: records, Compression: "zstd", Envelope: artifact.Envelope{Scheme: "none"},
		Plain:  artifact.Content{SHA256: digest.Of(plain).String(), Size: int64(len(plain))},
		Stored: artifact.Content{SHA256: digest.Of(stored).String(), Size: int64(len(stored))},
	})
	for n, p := range a.Manifest.Probes {
		if p.Kind == k {
			a.Manifest.Probes[n].Records = records
			return
		}
	}
	a.Manifest.Probes = append(a.Manifest.Probes, artifact.ProbeOutcome{Kind: k, StartedAt: a.Manifest.StartedAt, Outcome: artifact.Complete, Records: records})
}

// Sign encodes the manifest and signs it.
func (e *Endpoint) Sign(t testing.TB, a *Acquisition) {
	t.Helper()
	raw, err := json.MarshalIndent(a.Manifest, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	e.SignRaw(t, a, raw)
}

// SignRaw signs these bytes as the manifest.
func (e *Endpoint) SignRaw(t testing.TB, a *Acquisition, raw []byte) {
	t.Helper()
	sum := sha256.Sum256(raw)
	sig, err := ecdsa.SignASN1(rand.Reader, e.Key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	a.Raw, a.Signature = raw, sig
}

// Send uploads the parts that the collector does not have whole, going on where it
// says, and seals: what an agent does on every connection until it has a receipt.
func Send(ctx context.Context, i *evidence.Intake, endpointID string, a *Acquisition) (evidence.Receipt, error) {
	st, err := i.State(ctx, endpointID, a.Manifest.AcquisitionID)
	if err != nil {
		return evidence.Receipt{}, err
	}
	if st.Receipt != nil {
		return *st.Receipt, nil
	}
	have := map[string]evidence.PartState{}
	for _, p := range st.Parts {
		have[p.Name] = p
	}
	u, err := i.Begin(ctx, endpointID, a.Manifest.AcquisitionID)
	if err != nil {
		return evidence.Receipt{}, err
	}
	defer u.Close()
	for name, b := range a.Parts {
		if have[name].Complete {
			continue
		}
		if err := SendPart(u, name, b, have[name].Size); err != nil {
			return evidence.Receipt{}, err
		}
	}
	return u.Seal(ctx, a.Raw, a.Signature, a.Certificate)
}

// SendPart uploads one part from an offset on, in small chunks that take each other's room
// as soon as they may.
func SendPart(u *evidence.Upload, name string, b []byte, offset int64) error {
	if err := u.Part(name, offset, nil); err != nil {
		return err
	}
	const chunk = 1000
	var turns [evidence.Held + 1][chunk]byte
	for off, turn := int(offset), 0; off < len(b); off, turn = off+chunk, (turn+1)%len(turns) {
		if err := u.Write(turns[turn][:copy(turns[turn][:], b[off:])]); err != nil {
			return err
		}
	}
	sum := sha256.Sum256(b)
	return u.EndPart(int64(len(b)), sum[:])
}

// Names returns the names of the parts, for messages.
func (a *Acquisition) Names() string {
	var out []string
	for name := range a.Parts {
		out = append(out, name)
	}
	return strings.Join(out, " ")
}
