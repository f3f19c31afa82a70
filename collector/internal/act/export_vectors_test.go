package act_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/cosign"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/collector/internal/timestamp"
	"hozen/internal/artifact"
	parsing "hozen/internal/custody/checkpoint"
	"hozen/internal/digest"
	"hozen/internal/verify"
)

// stampAuthority is an authority for time stamps (RFC 3161) made of openssl, good for a hundred
// years, as the packages that are kept for ever need it.
func stampAuthority(t *testing.T) *timestamp.Authority {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	openssl := func(args ...string) error {
		out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
		if err != nil {
			t.Logf("openssl %s: %s", args[0], out)
		}
		return err
	}
	ok(t, openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at("key.pem"), "-out", at("ca.pem"), "-days", "36500", "-subj", "/CN=Test TSA",
		"-addext", "extendedKeyUsage=critical,timeStamping"))
	ok(t, os.WriteFile(at("serial"), []byte("01\n"), 0o600))
	ok(t, os.WriteFile(at("tsa.cnf"), []byte(strings.ReplaceAll("[tsa]\ndefault_tsa = one\n[one]\nserial = DIR/serial\nsigner_cert = DIR/ca.pem\nsigner_key = DIR/key.pem\n"+
		"signer_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\ness_cert_id_alg = sha256\n", "DIR", dir)), 0o600))
	var turn sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turn.Lock()
		defer turn.Unlock()
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(at("query"), b, 0o600)
		}
		if err == nil {
			err = openssl("ts", "-reply", "-config", at("tsa.cnf"), "-queryfile", at("query"), "-out", at("reply"))
		}
		if err == nil {
			b, err = os.ReadFile(at("reply"))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(b)
	}))
	t.Cleanup(s.Close)
	pem, err := os.ReadFile(at("ca.pem"))
	ok(t, err)
	roots, err := timestamp.RootsPEM(pem)
	ok(t, err)
	a, err := timestamp.NewAuthority(timestamp.AuthorityConfig{URL: s.URL, Roots: roots})
	ok(t, err)
	return a
}

// witness signs whatever it is shown.
func (x *fixture) witness() cosign.Witness {
	x.t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	w, err := parsing.NewWitness("w.example/1", key.Public().(ed25519.PublicKey))
	ok(x.t, err)
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		_, note, _ := strings.Cut(string(b), "\n\n")
		line := ""
		if err == nil {
			line, err = parsing.Cosign(note, w, key, x.clock)
		}
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(rw, line)
	}))
	x.t.Cleanup(s.Close)
	return cosign.Witness{Key: w, URL: s.URL}
}

// vouched lets the acts sign the ledger, with an authority and a witness beside them.
func (x *fixture) vouched(a *timestamp.Authority) {
	x.t.Helper()
	dir, now := x.t.TempDir(), func() time.Time { return x.clock }
	signer, err := checkpoint.Open(x.t.Context(), checkpoint.Config{DB: x.db, KeyFile: filepath.Join(dir, "key.pem"), Dir: filepath.Join(dir, "log"), Name: "hozen.test/log", Now: now})
	ok(x.t, err)
	stamper, err := timestamp.New(timestamp.Config{DB: x.db, Authority: a, Signer: signer, Dir: dir, Now: now})
	ok(x.t, err)
	cosigner, err := cosign.New(cosign.Config{DB: x.db, Log: signer, Witnesses: []cosign.Witness{x.witness()}, Now: now})
	ok(x.t, err)
	x.Acts, err = act.New(act.Config{Checkpoints: signer, Outside: act.Outside{Stamper: stamper, Cosigner: cosigner}, Addresses: []string{"192.0.2.1:7443"}, DB: x.db, CA: x.ca, Hub: x.hub, Blobs: x.blobs,
		PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Now: now})
	ok(x.t, err)
}

// lime is an image of some memory: two ranges, each behind a header of LiME.
func lime() []byte {
	var b bytes.Buffer
	for _, r := range []struct {
		from uint64
		text string
	}{{0x1000, "the first page, 最初のページ"}, {0x100000, "another range"}} {
		head := make([]byte, 32)
		binary.LittleEndian.PutUint32(head, 0x4C694D45)
		binary.LittleEndian.PutUint32(head[4:], 1)
		binary.LittleEndian.PutUint64(head[8:], r.from)
		binary.LittleEndian.PutUint64(head[16:], r.from+uint64(len(r.text))-1)
		b.Write(head)
		b.WriteString(r.text)
	}
	return b.Bytes()
}

// TestEverythingInOnePackage: one of each thing that a package can hold, with Japanese names:
// an image of memory, what came on a stick, a file that somebody sent, an RFC 3161 token, a
// checkpoint that a witness signed too. The verifier takes it, and so do programs that are
// not ours.
func TestEverythingInOnePackage(t *testing.T) {
	for _, tool := range []string{"openssl", "unzip", "sha256sum", "python3", "mactime"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs " + tool)
		}
	}
	x := newFixture(t, sqldbtest.Open(t))
	x.vouched(stampAuthority(t))
	x.uploading()
	d := newDepot(t, x)
	d.sent(d.incident, "ルーター 2026-11-22.log", "DENY 203.0.113.9 経理\n")
	acq, stick := d.acquired("", digest.Of([]byte("agent")).String())
	if r := d.one(act.ImportOrder{ReceiptCodes: []string{d.codes[acq]}}, stick); r.State != act.ImportTaken || !r.CodeCompared {
		t.Fatalf("%+v", r)
	}
	d.keiri.send("flash", captured())
	image := lime()
	d.sales.change = func(a *evidencetest.Acquisition) { a.Add(t, artifact.KindMemory, image, 1) }
	d.sales.send("memory", map[artifact.Kind][]string{artifact.KindSystemMap: {"ffffffff81000000 T _text"}})

	r := d.order(act.NewExport{})
	b := d.write(r)
	d.vector("v4", b)
	got := d.check(b, verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: x.ca.Fingerprint()}})
	why := map[string]int{}
	for _, u := range got.Unchecked {
		why[u.Why]++
	}
	if got.Verdict != verify.Verified || len(got.Problems) > 0 || len(got.Acquisitions) != 3 || why["one_time_key"] != 1 || why["stamp_signature"] != 1 || why["cosignatures"] != 1 {
		t.Errorf("%s %+v %v", got.Verdict, got.Problems, why)
	}
	if p := partOf(got, "uploads"); p != (verify.Part{Name: "uploads", Outcome: verify.Fits, Count: 1}) {
		t.Errorf("%+v", p)
	}
	all := files(t, b)
	copied := ""
	for name, content := range all {
		if strings.HasSuffix(name, "/memory.lime") {
			copied = content
		}
	}
	if copied != string(image) {
		t.Errorf("the image of memory is %d bytes, want %d", len(copied), len(image))
	}
	if !strings.HasPrefix(all["data/custody/cosigned.txt"], all["data/custody/checkpoint.txt"]) || !strings.Contains(all["data/custody/cosigned.txt"], "— w.example/1 ") {
		t.Errorf("no witness signed %s", all["data/custody/cosigned.txt"])
	}

	// The same with programs that everybody has.
	dir := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(dir, "p.zip"), b, 0o600))
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `set -e
unzip -tqq p.zip
unzip -qq p.zip
cd "$1"
sha256sum --strict --quiet -c manifest-sha256.txt
sha256sum --strict --quiet -c tagmanifest-sha256.txt
grep -q '経理PC-01' manifest-sha256.txt
openssl ts -verify -in data/custody/checkpoint.tsr -data data/custody/checkpoint.txt -CAfile data/custody/timestamp-ca.pem
find data -name '*.json' -print0 | xargs -0 -n 1 python3 -m json.tool > /dev/null
for b in data/hosts/*/bodyfile; do mactime -z UTC -y -d -b "$b"; done`, "sh", r.Number)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	for _, want := range []string{"Verification: OK", `2026-11-21T00:00:01Z,13,m...,-rw-r--r--,0,0,7,"/etc/passwd"`, `-> /etc/日本"`} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("%v, want %s:\n%s", err, want, out)
		}
	}
	x.ledgerStands()
}

// TestSmallPackages: those from which the tampered vectors of package verify are made: of one PC,
// of two, of one with files that people sent, and of one whose evidence was handed over before witnesses.
func TestSmallPackages(t *testing.T) {
	all := captured()
	process := map[artifact.Kind][]string{artifact.KindProcess: all[artifact.KindProcess]}
	more := map[artifact.Kind][]string{artifact.KindProcess: all[artifact.KindProcess], artifact.KindBodyFile: all[artifact.KindBodyFile],
		artifact.KindStartFile: all[artifact.KindStartFile], artifact.KindSystemMap: all[artifact.KindSystemMap]}
	for name, send := range map[string]func(o *office){
		"v4-one": func(o *office) { o.keiri.send("flash", more) },
		"v4-two": func(o *office) { o.keiri.send("flash", process); o.sales.send("flash", process) },
		"v4-sent": func(o *office) {
			o.sent(o.incident, "fw.log", "UPLOADED-BYTES")
			o.sent(o.incident, "写真 <1>.exe", "MZ bytes")
			o.keiri.send("flash", process)
		},
		"v4-held": func(o *office) {
			o.keiri.send("flash", process)
			ok(o.t, o.DescribeExhibit(o.t.Context(), o.owner, o.incident+"-E01", map[exhibit.Field]string{exhibit.Witness: "立会 次郎"}))
			_, err := o.RecordCustody(o.t.Context(), o.owner, o.incident+"-E01", exhibit.Event{Type: exhibit.HandOver, At: o.clock, To: exhibit.Party{Person: "警察 花子", Organisation: "県警察本部"},
				Medium: exhibit.Medium{Type: "USB SSD", Serial: "S/N 42", SealNo: "封-7"}, Place: "本社 2階", Purpose: "捜査のため", Witness: "証人 三郎"})
			ok(o.t, err)
		},
	} {
		x := newFixture(t, sqldbtest.Open(t))
		x.signing()
		x.uploading()
		o := newOffice(t, x)
		send(o)
		b := o.write(o.order(act.NewExport{}))
		o.vector(name, b)
		if got := o.check(b, verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: x.ca.Fingerprint()}}); got.Verdict != verify.Verified {
			t.Errorf("%s: %s %+v", name, got.Verdict, got.Problems)
		}
	}
}
