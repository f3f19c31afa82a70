package verify_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
	"hozen/internal/custody"
	"hozen/internal/custody/issue"
	"hozen/internal/digest"
	"hozen/internal/id"
	"hozen/internal/pki"
)

const (
	processName = "artifacts/process.jsonl.zst"
	processText = "{\"pid\":1,\"comm\":\"init\"}\n{\"pid\":2,\"args\":[\"日本語\"]}\n"
	clockName   = "artifacts/clock.jsonl.zst"
	clockText   = "{\"wall\":\"2026-01-01T00:00:00Z\"}\n"
)

// folder builds evidence by hand, as the format says, so that what the agent writes
// and what is checked here can't share a mistake.
type folder struct {
	t        testing.TB
	dir      string
	key      *ecdsa.PrivateKey
	manifest artifact.Manifest
	ca       *pki.CA
	leaf     []byte // of the agent, DER
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newFolder returns the evidence of a PC that is not enrolled, sealed.
func newFolder(t testing.TB) *folder {
	t.Helper()
	key, err := pki.NewKey()
	must(t, err)
	f := &folder{t: t, dir: t.TempDir(), key: key}
	at := artifact.Instant{Wall: time.Date(2026, 3, 1, 9, 0, 0, 1, time.UTC), BootNS: 5}
	f.manifest = artifact.Manifest{
		Format: artifact.Format, AcquisitionID: id.New(id.Acquisition), Trigger: artifact.TriggerManual, Profile: "flash",
		Host: artifact.Host{Hostname: "pc1", OS: "linux", Arch: "amd64", BootID: "b"}, Tool: artifact.Tool{Name: "hozen-agent", Version: "1.0.0", Commit: "c"},
		StartedAt: at, FinishedAt: at, Outcome: artifact.Partial,
		Probes: []artifact.ProbeOutcome{
			{Kind: "process", BudgetNS: 1, StartedAt: at, Outcome: artifact.Complete, Records: 2},
			{Kind: "session", BudgetNS: 1, StartedAt: at, Outcome: artifact.Denied, Detail: "no", Skipped: 1},
			{Kind: "clock", BudgetNS: 1, StartedAt: at, Outcome: artifact.Complete, Records: 1},
		},
	}
	f.add("process", processText, 2)
	f.add("clock", clockText, 1)
	f.sign(true)
	return f
}

// newEnrolledFolder returns the evidence of an enrolled PC with the collector's receipt.
func newEnrolledFolder(t testing.TB) *folder {
	t.Helper()
	f := newFolder(t)
	var err error
	issued := f.manifest.StartedAt.Wall.Add(-time.Hour)
	f.ca, err = pki.NewCA("test", issued)
	must(t, err)
	f.manifest.EndpointID = id.New(id.Endpoint)
	f.leaf, _, err = f.ca.IssueAgent(f.manifest.EndpointID, f.key.Public(), issued)
	must(t, err)
	f.write("signer-cert.pem", append(pki.CertificatePEM(f.leaf), f.ca.CertificatePEM()...))
	f.sign(false)
	f.receipt(nil)
	return f
}

// receipt writes the collector's receipt, changed by change.
func (f *folder) receipt(change func(*custody.Receipt)) {
	f.t.Helper()
	at := f.manifest.FinishedAt.Wall.Add(time.Minute)
	key, err := pki.NewKey()
	must(f.t, err)
	cert, _, err := f.ca.IssueCollector([]string{"collector"}, nil, key.Public(), f.manifest.StartedAt.Wall.Add(-time.Hour))
	must(f.t, err)
	r := custody.Receipt{
		AcquisitionID: f.manifest.AcquisitionID, EndpointID: f.manifest.EndpointID, IncidentNumber: "INC-2026-0001",
		ManifestSHA256: digest.Of(f.read("manifest.json")).String(), ReceivedAt: at,
		Ledger:    custody.Ledger{Index: 4, LeafSHA256: digest.Of(nil).String(), TreeSize: 5, RootSHA256: digest.Of(nil).String()},
		Collector: custody.Collector{Name: "collector", CASHA256: f.ca.Fingerprint()},
	}
	for _, a := range f.manifest.Artifacts {
		r.Evidence = append(r.Evidence, custody.Evidence{Name: a.Name, Kind: string(a.Kind), StoredSHA256: a.Stored.SHA256})
	}
	if change != nil {
		change(&r)
	}
	s, err := issue.Receipt(r, key, cert)
	must(f.t, err)
	b, err := custody.EncodeFile(s)
	must(f.t, err)
	f.write("receipt.json", b)
}

func compress(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	must(t, err)
	_, err = w.Write(text)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

// add writes an artifact and its entry.
func (f *folder) add(kind artifact.Kind, text string, records int64) {
	f.t.Helper()
	f.addStored(kind, compress(f.t, []byte(text)), []byte(text), records)
}

func (f *folder) addStored(kind artifact.Kind, stored, plain []byte, records int64) {
	f.t.Helper()
	name := "artifacts/" + string(kind) + ".jsonl.zst"
	must(f.t, os.MkdirAll(filepath.Join(f.dir, "artifacts"), 0o700))
	f.write(name, stored)
	e := artifact.Entry{
		Name: name, Kind: kind, Schema: "hozen." + string(kind) + "/1", Records: records, Compression: "zstd", Envelope: artifact.Envelope{Scheme: "none"},
		Plain:  artifact.Content{SHA256: digest.Of(plain).String(), Size: int64(len(plain))},
		Stored: artifact.Content{SHA256: digest.Of(stored).String(), Size: int64(len(stored))},
	}
	f.manifest.Artifacts = slices.DeleteFunc(f.manifest.Artifacts, func(a artifact.Entry) bool { return a.Kind == kind })
	f.manifest.Artifacts = append(f.manifest.Artifacts, e)
}

// sign writes manifest, signature and key.
func (f *folder) sign(oneTime bool) {
	f.t.Helper()
	f.manifest.Signer = artifact.Signer{Algorithm: "ecdsa-p256-sha256", KeySHA256: f.keySHA256(), OneTime: oneTime}
	b, err := json.MarshalIndent(f.manifest, "", " ")
	must(f.t, err)
	f.signBytes(b)
}

// signBytes signs whatever it is given: a forger who has the key can do that.
func (f *folder) signBytes(b []byte) {
	f.t.Helper()
	sig, err := pki.Sign(f.key, b)
	must(f.t, err)
	f.write("manifest.json", b)
	f.write("manifest.json.sig", sig)
	f.write("signer.pem", f.publicPEM(f.key))
}

func (f *folder) publicPEM(key *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	must(f.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func (f *folder) keySHA256() string {
	s, err := pki.KeyFingerprint(f.key.Public())
	must(f.t, err)
	return s
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f *folder) write(name string, b []byte) {
	f.t.Helper()
	must(f.t, os.WriteFile(f.path(name), b, 0o600))
}

func (f *folder) read(name string) []byte {
	f.t.Helper()
	b, err := os.ReadFile(f.path(name))
	must(f.t, err)
	return b
}

// edit replaces text in the manifest and signs it again.
func (f *folder) edit(old, with string) {
	f.t.Helper()
	b := f.read("manifest.json")
	if !bytes.Contains(b, []byte(old)) {
		f.t.Fatalf("the manifest has no %s", old)
	}
	f.signBytes(bytes.Replace(b, []byte(old), []byte(with), 1))
}
