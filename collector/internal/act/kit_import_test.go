package act_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/kit"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/digest"
	"hozen/internal/id"
	"hozen/internal/pki"
	"hozen/internal/usbkit"
)

// depot is a collector that makes kits and reads sticks.
type depot struct {
	*office
	made  kit.Made
	codes map[string]string // acquisition → what is written on paper
	fails bool              // the intake takes nothing
}

var errPlugged = errors.New("the plug was pulled")

// Begin implements [act.Intake].
func (d *depot) Begin(ctx context.Context, endpointID, acquisitionID string) (*evidence.Upload, error) {
	if d.fails {
		return nil, errPlugged
	}
	return d.intake.Begin(ctx, endpointID, acquisitionID)
}

func newDepot(t *testing.T, x *fixture, recipients ...string) *depot {
	t.Helper()
	d := &depot{office: newOffice(t, x), codes: map[string]string{}}
	key, err := pki.NewKey()
	ok(t, err)
	der, _, err := x.ca.IssueCollector([]string{"collector.test"}, nil, key.Public(), x.clock)
	ok(t, err)
	x.UseKits(act.Kits{Intake: d, Name: "保全テスト", Dir: t.TempDir(), Certificate: func() ([]byte, crypto.Signer, error) { return der, key, nil },
		Recipients: func(context.Context, string) ([]string, error) { return recipients, nil }})
	d.made, err = x.BuildKit(t.Context(), x.owner, act.NewKit{IncidentID: d.incident, Profile: "volatile", Language: "ja",
		Agents: []usbkit.File{{Name: usbkit.LinuxAgent, SHA256: digest.Of([]byte("agent")).String(), Size: 5}}})
	ok(t, err)
	return d
}

// acquired is an acquisition with the kit, as files of the stick; acq is a new one if empty.
func (d *depot) acquired(acq, tool string) (string, map[string][]byte) {
	d.t.Helper()
	key, err := pki.NewKey()
	ok(d.t, err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	ok(d.t, err)
	if acq == "" {
		acq = id.New(id.Acquisition)
	}
	at := artifact.Instant{Wall: d.clock.UTC()}
	a := &evidencetest.Acquisition{Parts: map[string][]byte{}, Manifest: artifact.Manifest{
		Format: artifact.Format, AcquisitionID: acq, Trigger: artifact.TriggerManual, Profile: "volatile", Tool: artifact.Tool{Name: "hozen-agent", SHA256: tool},
		Host: artifact.Host{Hostname: "pc", OS: "linux", Arch: "amd64"}, StartedAt: at, FinishedAt: at, Outcome: artifact.Complete,
		Signer: artifact.Signer{Algorithm: "ecdsa-p256-sha256", KeySHA256: digest.Of(spki).String(), OneTime: true}}}
	a.Add(d.t, artifact.KindProcess, []byte("{\"pid\":1}\n"), 1)
	s := record.Kit{KitID: d.made.Kit.KitID, KitSHA256: d.made.SHA256, Place: "p", Reason: "r", By: "b"}
	a.Add(d.t, artifact.KindKit, append(s.AppendJSON(nil), '\n'), 1)
	(&evidencetest.Endpoint{Key: key}).Sign(d.t, a)
	files := map[string][]byte{usbkit.LinuxAgent: []byte("agent")}
	maps.Copy(files, d.made.Files)
	in := usbkit.ResultsDir + "/" + acq + "/"
	files[in+artifact.ManifestFile], files[in+artifact.SignatureFile] = a.Raw, a.Signature
	files[in+artifact.SignerFile] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	for name, b := range a.Parts {
		files[in+name] = b
	}
	d.codes[acq] = usbkit.ReceiptCode(digest.Of(a.Raw))
	return acq, files
}

func (d *depot) imports(o act.ImportOrder, files map[string][]byte) (act.Imported, error) {
	d.t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		ok(d.t, err)
		_, err = w.Write(files[name])
		ok(d.t, err)
	}
	ok(d.t, z.Close())
	return d.ImportKit(d.t.Context(), d.owner, o, &b)
}

// one imports a stick with one acquisition.
func (d *depot) one(o act.ImportOrder, files map[string][]byte) act.ImportedResult {
	d.t.Helper()
	got, err := d.imports(o, files)
	ok(d.t, err)
	if len(got.Results) != 1 {
		d.t.Fatalf("%+v", got)
	}
	return got.Results[0]
}

// says is the one entry of an act about a subject.
func (d *depot) says(subject, entry string) map[string]string {
	d.t.Helper()
	list, err := d.LedgerEntries(d.t.Context(), d.owner, act.LedgerFilter{Subject: subject, Limit: 1000})
	ok(d.t, err)
	var out map[string]string
	for _, e := range list {
		if e.Act == entry && out != nil {
			d.t.Errorf("%s stands there twice", entry)
		}
		if e.Act == entry {
			out = e.Details
		}
	}
	return out
}

// TestKeyOfAKitIsNotInTheLedger: the ledger names the public key that sticks carry.
func TestKeyOfAKitIsNotInTheLedger(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		key, err := age.GenerateX25519Identity()
		ok(t, err)
		public := key.Recipient().String()
		d := newDepot(t, x, public)
		if !bytes.Contains(d.made.Document, []byte(public)) {
			t.Error("the stick does not say for whom to encrypt")
		}
		said := d.says(d.made.Kit.KitID, "kit.build")
		if said["recipients_sha256"] != digest.Of([]byte(public)).String() {
			t.Errorf("%v", said)
		}
		for k, v := range said {
			if strings.Contains(v, "age1") {
				t.Errorf("the ledger holds a public key: %s %s", k, v)
			}
		}
	})
}

// TestProgramOfAnImportIsChecked: it is held against the kit whether the document on the stick
// is whole, gone or altered.
func TestProgramOfAnImportIsChecked(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		d := newDepot(t, x)
		agent, script := digest.Of([]byte("agent")).String(), digest.Of(d.made.Files["start.sh"]).String()
		for name, spoil := range map[string]func(files map[string][]byte){
			"whole": func(map[string][]byte) {},
			"gone":  func(f map[string][]byte) { delete(f, usbkit.DocumentFile) },
			"altered": func(f map[string][]byte) {
				f[usbkit.DocumentFile] = bytes.Replace(f[usbkit.DocumentFile], []byte("volatile"), []byte("flash\"  "), 1)
			},
			"without signature": func(f map[string][]byte) { delete(f, usbkit.SignatureFile) },
		} {
			for tool, right := range map[string]bool{agent: true, digest.Of([]byte("virus")).String(): false, script: false, "": false} {
				acq, files := d.acquired("", tool)
				spoil(files)
				r := d.one(act.ImportOrder{}, files)
				switch {
				case right && (r.State != act.ImportTaken || r.Foreign || r.Incident != d.incident):
					t.Errorf("%s: %+v", name, r)
				case !right && (r.State != act.ImportRefused || !r.Foreign || len(r.Problems) != 1 || r.Problems[0].Code != "tool" || d.says(acq, "kit.refuse")["problem_1"] == ""):
					t.Errorf("%s, program %.8q: %+v", name, tool, r)
				}
			}
		}
		// Somebody may say otherwise; that stays on record.
		acq, files := d.acquired("", "")
		r := d.one(act.ImportOrder{IncidentID: d.incident, AcceptForeign: true}, files)
		if r.State != act.ImportTaken || !r.Foreign || d.says(acq, "kit.import")["foreign_kit"] != "true" {
			t.Errorf("%+v", r)
		}
		x.ledgerStands()
	})
}

// TestCodeIsComparedWithPaper: it is told only to who has it, and put on record whenever it
// was given.
func TestCodeIsComparedWithPaper(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		d := newDepot(t, x)
		tool := digest.Of([]byte("agent")).String()
		for _, broken := range []bool{false, true} {
			acq, files := d.acquired("", tool)
			if d.fails = broken; broken {
				if _, err := d.imports(act.ImportOrder{}, files); !errors.Is(err, errPlugged) {
					t.Fatalf("%v", err)
				}
			} else if r := d.one(act.ImportOrder{}, files); r.State != act.ImportTaken || r.CodeCompared || r.ReceiptCode != "" {
				t.Errorf("%+v", r)
			}
			d.fails = false
			for k, v := range d.says(acq, "kit.import") {
				if strings.Contains(v, d.codes[acq]) {
					t.Errorf("the code can be copied from %s of the ledger", k)
				}
			}
			for range 2 { // the second time it is already on record
				r := d.one(act.ImportOrder{ReceiptCodes: []string{d.codes[acq]}}, files)
				if !r.CodeCompared || r.ReceiptCode != d.codes[acq] || broken && r.Items == 0 {
					t.Errorf("broken off: %t: %+v", broken, r)
				}
			}
			if i, err := kit.ImportOf(t.Context(), x.db.Read(), acq); err != nil || !i.CodeCompared {
				t.Errorf("broken off: %t: %+v, %v", broken, i, err)
			}
			if said := d.says(acq, "kit.code"); said["receipt_code"] != d.codes[acq] {
				t.Errorf("broken off: %t: %v", broken, said)
			}
			if r := d.one(act.ImportOrder{}, files); r.State != act.ImportAlready || !r.CodeCompared {
				t.Errorf("broken off: %t, without the code: %+v", broken, r)
			}
		}
		acq, files := d.acquired("", tool)
		if _, err := d.imports(act.ImportOrder{ReceiptCodes: []string{"0000-0000-0000"}}, files); !errors.Is(err, act.ErrReceiptCode) || strings.Contains(err.Error(), d.codes[acq]) {
			t.Errorf("a wrong code: %v", err)
		}
	})
}

// TestBrokenOffImportStaysWhatItWas: neither another incident nor another manifest slips in.
func TestBrokenOffImportStaysWhatItWas(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		d := newDepot(t, x)
		other, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "other"})
		ok(t, err)
		tool := digest.Of([]byte("agent")).String()
		acq, files := d.acquired("", tool)
		d.fails = true
		if _, err := d.imports(act.ImportOrder{}, files); !errors.Is(err, errPlugged) {
			t.Fatalf("%v", err)
		}
		_, swapped := d.acquired(acq, tool)
		if r := d.one(act.ImportOrder{}, swapped); r.State != act.ImportRefused || len(r.Problems) != 1 || r.Problems[0].Code != "conflict" {
			t.Errorf("another manifest: %+v", r)
		}
		r := d.one(act.ImportOrder{IncidentID: other.Number}, files)
		if r.State != act.ImportRefused || len(r.Problems) != 1 || r.Problems[0].Code != "begun" || r.Problems[0].Detail != d.incident {
			t.Errorf("another incident: %+v", r)
		}
		d.fails = false
		if r := d.one(act.ImportOrder{IncidentID: d.incident}, files); r.State != act.ImportTaken || r.Match != act.MatchBefore || r.Incident != d.incident {
			t.Errorf("the same incident: %+v", r)
		}
		x.ledgerStands()
	})
}
