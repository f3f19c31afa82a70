package kit_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/kit"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/digest"
	"hozen/internal/id"
	"hozen/internal/pki"
	"hozen/internal/usbkit"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// maker is a collector that makes kits.
type maker struct {
	ca   *pki.CA
	made kit.Made
	// order is that of a kit with these programs.
	order func(k usbkit.Kit, agents ...usbkit.File) kit.Order
}

func newMaker(t testing.TB) maker {
	t.Helper()
	ca, err := pki.NewCA("test", time.Now())
	must(t, err)
	key, err := pki.NewKey()
	must(t, err)
	der, _, err := ca.IssueCollector([]string{"collector.test"}, nil, key.Public(), time.Now())
	must(t, err)
	order := func(k usbkit.Kit, agents ...usbkit.File) kit.Order {
		return kit.Order{Signer: key, Certificate: der, Kit: k, Agents: agents}
	}
	made, err := kit.Make(order(usbkit.Kit{
		KitID: id.New(id.Kit), Organisation: usbkit.Organisation{ID: id.New(id.Organisation), Name: "<○○>株式会社"},
		Collector: usbkit.Collector{Name: "c", CASHA256: ca.Fingerprint()}, Profile: "volatile", Language: "ja", MadeAt: time.Now().UTC(), MadeBy: "山田"},
		usbkit.File{Name: usbkit.LinuxAgent, SHA256: digest.Of([]byte("agent")).String(), Size: 5}))
	must(t, err)
	return maker{ca, made, order}
}

func TestMakeAndVerify(t *testing.T) {
	m := newMaker(t)
	names := slices.Sorted(maps.Keys(m.made.Files))
	if got := strings.Join(names, " "); got != "MANUAL-en.html MANUAL-en.txt MANUAL-ja.html MANUAL-ja.txt SHA256SUMS kit.json kit.json.sig start.sh" {
		t.Error(got)
	}
	for name, b := range m.made.Files {
		if strings.HasPrefix(name, "MANUAL") && (bytes.ContainsAny(b, "{") && !strings.HasSuffix(name, "html") || !bytes.Contains(b, []byte("株式会社"))) {
			t.Errorf("%s is not filled in", name)
		}
		if strings.HasSuffix(name, "html") && bytes.Contains(b, []byte("<○○>")) {
			t.Errorf("%s takes a name for HTML", name)
		}
	}
	for _, f := range m.made.Kit.Files {
		if b, ok := m.made.Files[f.Name]; ok && digest.Of(b).String() != f.SHA256 {
			t.Errorf("%s is not what the document says", f.Name)
		}
	}
	doc, sig := m.made.Files[usbkit.DocumentFile], m.made.Files[usbkit.SignatureFile]
	if _, err := kit.Verify(doc, sig, m.ca.Certificate()); err != nil {
		t.Error(err)
	}
	other := newMaker(t)
	altered := bytes.Replace(doc, []byte("volatile"), []byte("flash\"  "), 1)
	for name, err := range map[string]error{
		"another collector": errOf(kit.Verify(doc, sig, other.ca.Certificate())),
		"altered":           errOf(kit.Verify(altered, sig, m.ca.Certificate())),
		"another's":         errOf(kit.Verify(doc, other.made.Files[usbkit.SignatureFile], m.ca.Certificate())),
		"none":              errOf(kit.Verify(doc, nil, m.ca.Certificate())),
	} {
		if !errors.Is(err, kit.ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func errOf(_ usbkit.Kit, err error) error { return err }

func TestMakeRefuses(t *testing.T) {
	for _, a := range [][]usbkit.File{nil, {{Name: "evil.exe", Size: 1}}, {{Name: usbkit.LinuxAgent}}, {{Name: usbkit.LinuxAgent, Size: 1 << 40}}} {
		if _, err := kit.Make(kit.Order{Agents: a}); err == nil {
			t.Errorf("made of %v", a)
		}
	}
}

// acquisition is one that a one-time key signed, as the files of its folder.
func acquisition(t testing.TB, statement *record.Kit) (acq string, files map[string][]byte) {
	t.Helper()
	key, err := pki.NewKey()
	must(t, err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	at := artifact.Instant{Wall: time.Now().UTC()}
	a := &evidencetest.Acquisition{Parts: map[string][]byte{}, Manifest: artifact.Manifest{
		Format: artifact.Format, AcquisitionID: id.New(id.Acquisition), Trigger: artifact.TriggerManual, Profile: "volatile",
		Host: artifact.Host{Hostname: "pc", OS: "linux", Arch: "amd64"}, StartedAt: at, FinishedAt: at, Outcome: artifact.Complete,
		Signer: artifact.Signer{Algorithm: "ecdsa-p256-sha256", KeySHA256: digest.Of(spki).String(), OneTime: true}}}
	a.Add(t, artifact.KindProcess, []byte("{\"pid\":1}\n"), 1)
	a.Add(t, artifact.KindHostInfo, []byte("{\"host_id\":\"abc\",\"os\":\"linux\"}\n"), 1)
	if statement != nil {
		a.Add(t, artifact.KindKit, append(statement.AppendJSON(nil), '\n'), 1)
	}
	e := &evidencetest.Endpoint{Key: key}
	e.Sign(t, a)
	files = map[string][]byte{artifact.ManifestFile: a.Raw, artifact.SignatureFile: a.Signature,
		artifact.SignerFile: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})}
	maps.Copy(files, a.Parts)
	return a.Manifest.AcquisitionID, files
}

// stick packs files into a zip.
func stick(t testing.TB, files map[string][]byte) *zip.Reader {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		must(t, err)
		_, err = w.Write(files[name])
		must(t, err)
	}
	must(t, z.Close())
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	must(t, err)
	return r
}

// whole is a stick in order: the kit with one acquisition.
func whole(t testing.TB, m maker, under string) (acq string, files map[string][]byte) {
	t.Helper()
	files = map[string][]byte{under + usbkit.LinuxAgent: []byte("agent"), under + "System Volume Information/x": nil, under + "holiday.jpg": []byte("private")}
	for name, b := range m.made.Files {
		files[under+name] = b
	}
	acq, a := acquisition(t, &record.Kit{KitID: m.made.Kit.KitID, KitSHA256: m.made.SHA256, Place: "p", Reason: "r", By: "b"})
	for name, b := range a {
		files[under+"results/"+acq+"/"+name] = b
	}
	return acq, files
}

func read(t testing.TB, files map[string][]byte, open func(io.Reader) (io.Reader, error)) *kit.Stick {
	t.Helper()
	s, err := kit.Unpack(t.Context(), stick(t, files), kit.Unpacking{Dir: t.TempDir(), MaxBytes: 1 << 20, Open: open})
	must(t, err)
	return s
}

func TestReadsAWholeStick(t *testing.T) {
	m := newMaker(t)
	for _, under := range []string{"", "USB/", "a/b/"} {
		acq, files := whole(t, m, under)
		s := read(t, files, nil)
		if len(s.Problems) > 0 || len(s.Results) != 1 || s.Results[0].Unfinished || !bytes.Equal(s.Document, m.made.Document) {
			t.Fatalf("%q: %+v", under, s)
		}
		f, err := kit.Check(t.Context(), s.Results[0])
		must(t, err)
		if len(f.Problems) > 0 || f.AcquisitionID != acq || f.Statement == nil || f.Statement.KitID != m.made.Kit.KitID || f.Host.HostID != "abc" ||
			f.ReceiptCode != usbkit.ReceiptCode(digest.Of(f.Raw)) || digest.Of(f.PublicKey).String() != f.Manifest.Signer.KeySHA256 {
			t.Errorf("%q: %+v", under, f)
		}
	}
}

// TestNamesWhatIsWrong: each kind of change is told by the name of the file.
func TestNamesWhatIsWrong(t *testing.T) {
	m := newMaker(t)
	for name, c := range map[string]struct {
		spoil func(files map[string][]byte, at string)
		want  string // code and file; AT is the folder of the acquisition
	}{
		"altered byte":     {func(f map[string][]byte, at string) { f[at+"artifacts/process.jsonl.zst"][9] ^= 1 }, "stored AT/artifacts/process.jsonl.zst"},
		"missing artifact": {func(f map[string][]byte, at string) { delete(f, at+"artifacts/process.jsonl.zst") }, "missing AT/artifacts/process.jsonl.zst"},
		"missing manifest": {func(f map[string][]byte, at string) { delete(f, at+artifact.ManifestFile) }, "missing AT/manifest.json"},
		"missing key":      {func(f map[string][]byte, at string) { delete(f, at+artifact.SignerFile) }, "missing AT/signer.pem"},
		"surplus artifact": {func(f map[string][]byte, at string) { f[at+"artifacts/evil.jsonl.zst"] = []byte("x") }, "extra AT/artifacts/evil.jsonl.zst"},
		"surplus file":     {func(f map[string][]byte, at string) { f[at+"readme.txt"] = []byte("x") }, "extra AT/readme.txt"},
		"surplus receipt":  {func(f map[string][]byte, at string) { f[at+artifact.ReceiptFile] = []byte("{}") }, "extra AT/receipt.json"},
		"altered manifest": {func(f map[string][]byte, at string) {
			f[at+artifact.ManifestFile] = bytes.Replace(f[at+artifact.ManifestFile], []byte(`"pc"`), []byte(`"cp"`), 1)
		}, "signature AT/manifest.json.sig"},
		"altered signature": {func(f map[string][]byte, at string) { f[at+artifact.SignatureFile][20] ^= 1 }, "signature AT/manifest.json.sig"},
		"sealed, no key":    {func(f map[string][]byte, at string) { rename(f, at+"artifacts/process.jsonl.zst") }, "sealed AT/artifacts/process.jsonl.zst.age"},
		"sealed and not": {func(f map[string][]byte, at string) { f[at+"artifacts/process.jsonl.zst.age"] = []byte("x") },
			"extra AT/artifacts/process.jsonl.zst.age"},
	} {
		acq, files := whole(t, m, "")
		c.spoil(files, "results/"+acq+"/")
		s := read(t, files, nil)
		if len(s.Results) != 1 || s.Results[0].Unfinished {
			t.Errorf("%s: %+v", name, s)
			continue
		}
		f, err := kit.Check(t.Context(), s.Results[0])
		must(t, err)
		want := strings.Replace(c.want, "AT", "results/"+acq, 1)
		if len(f.Problems) != 1 || f.Problems[0].Code+" "+f.Problems[0].File != want {
			t.Errorf("%s: %+v, want %s", name, f.Problems, want)
		}
	}
}

func rename(files map[string][]byte, name string) {
	files[name+".age"] = files[name]
	delete(files, name)
}

func TestNamesWhatIsWrongWithTheKit(t *testing.T) {
	m := newMaker(t)
	for name, c := range map[string]struct {
		spoil func(files map[string][]byte)
		want  string
	}{
		"altered program": {func(f map[string][]byte) { f[usbkit.LinuxAgent] = []byte("virus") }, "digest hozen-agent"},
		"longer program":  {func(f map[string][]byte) { f[usbkit.LinuxAgent] = []byte("agent and more") }, "digest hozen-agent"},
		"missing manual":  {func(f map[string][]byte) { delete(f, "MANUAL-ja.txt") }, "missing MANUAL-ja.txt"},
		"no document":     {func(f map[string][]byte) { delete(f, usbkit.DocumentFile) }, "missing kit.json"},
		"no signature":    {func(f map[string][]byte) { delete(f, usbkit.SignatureFile) }, "missing kit.json.sig"},
		"nonsense":        {func(f map[string][]byte) { f[usbkit.DocumentFile] = []byte("{}") }, "digest kit.json"},
		"stray result":    {func(f map[string][]byte) { f["results/notes.txt"] = nil }, "extra results/notes.txt"},
	} {
		_, files := whole(t, m, "")
		c.spoil(files)
		s := read(t, files, nil)
		if len(s.Problems) != 1 || s.Problems[0].Code+" "+s.Problems[0].File != c.want || len(s.Results) != 1 {
			t.Errorf("%s: %+v", name, s.Problems)
		}
	}
}

// TestBrokenOff: whatever an acquisition leaves that was broken off has a name of its own.
func TestBrokenOff(t *testing.T) {
	m := newMaker(t)
	acq, files := whole(t, m, "")
	at := "results/" + acq + "/"
	delete(files, at+artifact.SignatureFile)
	delete(files, at+artifact.ManifestFile)
	files[at+"artifacts/netconn.jsonl.zst.part"] = []byte("x")
	files[at+".tmp-12345"] = []byte("x")
	r := read(t, files, nil).Results[0]
	if !r.Unfinished || len(r.Problems) > 0 || !slices.Contains(r.Parts, "artifacts/netconn.jsonl.zst.part") {
		t.Errorf("%+v", r)
	}
}

// TestSealed: sealed artifacts are opened, and an altered one is named.
func TestSealed(t *testing.T) {
	m := newMaker(t)
	acq, files := whole(t, m, "")
	sealed := "results/" + acq + "/artifacts/process.jsonl.zst"
	plain := files[sealed]
	delete(files, sealed)
	files[sealed+".age"] = append([]byte("sealed:"), plain...)
	open := func(r io.Reader) (io.Reader, error) {
		head := make([]byte, 7)
		if _, err := io.ReadFull(r, head); err != nil || string(head) != "sealed:" {
			return nil, errors.New("not for us")
		}
		return r, nil
	}
	f, err := kit.Check(t.Context(), read(t, files, open).Results[0])
	must(t, err)
	if len(f.Problems) > 0 {
		t.Errorf("%+v", f.Problems)
	}
	files[sealed+".age"][0] ^= 1
	f, err = kit.Check(t.Context(), read(t, files, open).Results[0])
	must(t, err)
	if len(f.Problems) != 1 || f.Problems[0].Code != kit.CodeSealed || f.Problems[0].File != sealed+".age" {
		t.Errorf("%+v", f.Problems)
	}
}

// TestStickIsBounded: neither names nor sizes lead anywhere else.
func TestStickIsBounded(t *testing.T) {
	dir := t.TempDir()
	acq := id.New(id.Acquisition)
	at := "results/" + acq + "/"
	files := map[string][]byte{at + "artifacts/../../../evil": []byte("x"), at + "../evil": []byte("x"), at + "artifacts/a/b": []byte("x"), at + `artifacts/c:\x`: []byte("x"),
		"results/../evil": []byte("x"), at + "artifacts/.hidden": []byte("x")}
	out := filepath.Join(dir, "in")
	must(t, os.Mkdir(out, 0o700))
	s, err := kit.Unpack(t.Context(), stick(t, files), kit.Unpacking{Dir: out, MaxBytes: 1 << 20})
	must(t, err)
	list, err := os.ReadDir(dir)
	must(t, err)
	if len(list) != 1 || len(s.Results) != 1 || len(s.Results[0].Problems)+len(s.Problems) < 6 {
		t.Errorf("%v, %+v", list, s)
	}
	big := map[string][]byte{at + "artifacts/a.jsonl.zst": make([]byte, 4<<20)}
	if _, err := kit.Unpack(t.Context(), stick(t, big), kit.Unpacking{Dir: t.TempDir(), MaxBytes: 1 << 20}); err == nil {
		t.Error("more was written than there is room for")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := kit.Unpack(ctx, stick(t, big), kit.Unpacking{Dir: t.TempDir(), MaxBytes: 8 << 20}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestStore(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		k := newMaker(t).made
		i := kit.Import{AcquisitionID: id.New(id.Acquisition), OrganisationID: k.Kit.Organisation.ID, KitID: k.Kit.KitID, EndpointID: id.New(id.Endpoint),
			KeySHA256: "aa", PublicKey: []byte{1, 2}, ReceiptCode: "0000-0000-0000", Foreign: true, ImportedAt: time.Now().UTC().Truncate(0), ImportedBy: "山田", Place: "机", Witness: "鈴木"}
		must(t, db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			return errors.Join(kit.InsertKit(ctx, tx, k.Kit, k.SHA256), kit.InsertImport(ctx, tx, i))
		}))
		if _, err := kit.MadeFor(t.Context(), db.Read(), k.Kit.Organisation.ID, k.Kit.KitID, k.SHA256); err != nil {
			t.Error(err)
		}
		if _, err := kit.MadeFor(t.Context(), db.Read(), k.Kit.Organisation.ID, k.Kit.KitID, "other"); !errors.Is(err, kit.ErrNotFound) {
			t.Error(err)
		}
		got, err := kit.ImportByKey(t.Context(), db.Read(), "aa")
		if err != nil || got.AcquisitionID != i.AcquisitionID || string(got.PublicKey) != "\x01\x02" || got.Place != "机" || got.Witness != "鈴木" || !got.Foreign || got.CodeCompared {
			t.Errorf("%+v, %v", got, err)
		}
		must(t, db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error { return kit.CodeFitted(ctx, tx, i.AcquisitionID) }))
		if got, err = kit.ImportOf(t.Context(), db.Read(), i.AcquisitionID); err != nil || !got.CodeCompared {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := kit.ImportOf(t.Context(), db.Read(), id.New(id.Acquisition)); !errors.Is(err, kit.ErrNotFound) {
			t.Error(err)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	m := newMaker(f)
	_, files := whole(f, m, "")
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		must(f, err)
		_, err = w.Write(files[name])
		must(f, err)
	}
	must(f, z.Close())
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		s, err := kit.Unpack(t.Context(), z, kit.Unpacking{Dir: t.TempDir(), MaxBytes: 1 << 20})
		if err != nil {
			return
		}
		for _, r := range s.Results {
			if _, err := kit.Check(t.Context(), r); err != nil {
				t.Error(err)
			}
		}
	})
}
