package verify_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/internal/verify"
)

// The vectors: testdata/packages/*.zip are valid packages as collectors made them, each with
// the fingerprint of its CA; they verify for ever. v1.zip and v2.zip have a
// signed checkpoint, v1-unsigned.zip has none; v2.zip has body files and files of PCs, v3.zip
// files that people sent, v4.zip one of each thing: an image of memory, what came on a stick, a
// sent file, a time stamp, a witness's signature. The newest are written by "go test ./collector/internal/act
// -run 'TestEverythingInOnePackage|TestSmallPackages' -update", and never again. The tampered ones see tampered_test.go.

func vector(t testing.TB) ([]byte, string) {
	t.Helper()
	b, err := os.ReadFile("testdata/packages/v2.zip")
	must(t, err)
	ca, err := os.ReadFile("testdata/packages/v2.ca")
	must(t, err)
	return b, strings.TrimSpace(string(ca))
}

// bag is an unpacked package.
type bag struct {
	t     testing.TB
	base  string
	names []string
	files map[string]string
}

func open(t testing.TB, b []byte) *bag {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	x := &bag{t: t, files: map[string]string{}}
	for _, f := range z.File {
		r, err := f.Open()
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		base, name, _ := strings.Cut(f.Name, "/")
		x.base = base
		x.names = append(x.names, name)
		x.files[name] = string(content)
	}
	return x
}

// one finds the one file whose name ends so; of several the first.
func (x *bag) one(suffix string) string {
	x.t.Helper()
	for _, n := range x.names {
		if strings.HasSuffix(n, suffix) {
			return n
		}
	}
	x.t.Fatalf("there is no …%s", suffix)
	return ""
}

// edit changes a file.
func (x *bag) edit(suffix, old, with string) {
	x.t.Helper()
	n := x.one(suffix)
	if !strings.Contains(x.files[n], old) {
		x.t.Fatalf("%s has no %q", n, old)
	}
	x.files[n] = strings.Replace(x.files[n], old, with, 1)
}

// things changes the list of exhibits.
func (x *bag) things(change func([]any) []any) {
	x.t.Helper()
	var d map[string]any
	must(x.t, json.Unmarshal([]byte(x.files["data/custody/exhibits.json"]), &d))
	d["exhibits"] = change(d["exhibits"].([]any))
	b, err := json.Marshal(d)
	must(x.t, err)
	x.files["data/custody/exhibits.json"] = string(b)
}

// exhibit changes the first exhibit.
func (x *bag) exhibit(change func(map[string]any)) {
	x.t.Helper()
	x.things(func(list []any) []any { change(list[0].(map[string]any)); return list })
}

func (x *bag) add(name, content string) {
	x.names = append(x.names, name)
	x.files[name] = content
}

func (x *bag) drop(name string) {
	x.names = slices.DeleteFunc(x.names, func(n string) bool { return n == name })
	delete(x.files, name)
}

// relist makes the lists of the bag anew, as anybody can who changes a file.
func (x *bag) relist() {
	sum := func(name string) string {
		h := sha256.Sum256([]byte(x.files[name]))
		return hex.EncodeToString(h[:]) + "  " + name + "\n"
	}
	var payload, tags strings.Builder
	octets, streams := 0, 0
	for _, n := range x.names {
		if strings.HasPrefix(n, "data/") {
			payload.WriteString(sum(n))
			octets, streams = octets+len(x.files[n]), streams+1
		}
	}
	x.files["manifest-sha256.txt"] = payload.String()
	x.files["bag-info.txt"] = regexp.MustCompile(`Payload-Oxum: .*`).ReplaceAllString(x.files["bag-info.txt"], fmt.Sprintf("Payload-Oxum: %d.%d", octets, streams))
	for _, n := range x.names {
		if !strings.HasPrefix(n, "data/") && n != "tagmanifest-sha256.txt" {
			tags.WriteString(sum(n))
		}
	}
	x.files["tagmanifest-sha256.txt"] = tags.String()
}

func (x *bag) zip(change func(h *zip.FileHeader)) []byte {
	x.t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, n := range x.names {
		h := &zip.FileHeader{Name: x.base + "/" + n, Method: zip.Deflate}
		if change != nil {
			change(h)
		}
		f, err := w.CreateHeader(h)
		must(x.t, err)
		_, err = io.WriteString(f, x.files[n])
		must(x.t, err)
	}
	must(x.t, w.Close())
	return b.Bytes()
}

func checkBytes(t testing.TB, b []byte, anchor verify.PackageAnchor) verify.PackageReport {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.zip")
	must(t, os.WriteFile(path, b, 0o600))
	r, err := verify.Package(t.Context(), path, anchor)
	must(t, err)
	return r
}

func TestVectorVerifies(t *testing.T) {
	all, err := filepath.Glob("testdata/packages/*.zip")
	if err != nil || len(all) < 2 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, name := range all {
		ca, err := os.ReadFile(strings.TrimSuffix(name, ".zip") + ".ca")
		must(t, err)
		want := verify.Verified
		if strings.HasSuffix(name, "-disposed.zip") {
			want = verify.Consistent // no receipt reaches the entry of the disposal; see TestDisposedIsAnchored
		}
		r, err := verify.Package(t.Context(), name, verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: strings.TrimSpace(string(ca))}})
		if err != nil || r.Verdict != want {
			t.Errorf("%s: %v, %s %+v", name, err, r.Verdict, r.Problems)
		}
	}
	b, ca := vector(t)
	if r := checkBytes(t, b, verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: ca}}); r.Verdict != verify.Verified || len(r.Problems) > 0 {
		t.Errorf("%s %+v", r.Verdict, r.Problems)
	}
	x := open(t, b)
	if r := checkBytes(t, x.zip(nil), verify.PackageAnchor{}); r.Verdict != verify.Consistent {
		t.Errorf("packed again by another program: %s %+v", r.Verdict, r.Problems)
	}
	dir := t.TempDir()
	for n, content := range x.files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, x.base, n)), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, x.base, n), []byte(content), 0o600))
	}
	for _, d := range []string{dir, filepath.Join(dir, x.base)} {
		if r, err := verify.Package(t.Context(), d, verify.PackageAnchor{}); err != nil || r.Verdict != verify.Consistent {
			t.Errorf("unpacked: %v, %s %+v", err, r.Verdict, r.Problems)
		}
	}
	link := filepath.Join(dir, x.base, "data", "link")
	must(t, os.Symlink("/etc/passwd", link))
	if r, err := verify.Package(t.Context(), dir, verify.PackageAnchor{}); err != nil || !has(r, "not_regular", "data/link") {
		t.Errorf("a link: %v, %+v", err, r.Problems)
	}
}

func has(r verify.PackageReport, code, file string) bool {
	return r.Verdict == verify.NotVerified && slices.ContainsFunc(r.Problems, func(p verify.Problem) bool { return p.Code == code && strings.Contains(p.File, file) })
}

// stampOf is the answer of an authority that nobody signed.
func stampOf(t testing.TB, of string) []byte {
	t.Helper()
	type imprint struct {
		Algorithm struct{ ID asn1.ObjectIdentifier }
		Hash      []byte
	}
	type content struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
	explicit := func(v any) asn1.RawValue {
		b, err := asn1.Marshal(v)
		must(t, err)
		return asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: b}
	}
	sum := sha256.Sum256([]byte(of))
	im := imprint{Hash: sum[:]}
	im.Algorithm.ID = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	info, err := asn1.Marshal(struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint imprint
		Serial  int
		At      time.Time `asn1:"generalized"`
	}{1, asn1.ObjectIdentifier{1, 2, 3}, im, 7, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)})
	must(t, err)
	der, err := asn1.Marshal(struct {
		Status struct{ Status int }
		Token  content
	}{Token: content{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, explicit(struct {
		Version    int
		Algorithms []asn1.ObjectIdentifier `asn1:"set"`
		Content    content
		Signers    []int `asn1:"set"`
	}{3, nil, content{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}, explicit(info)}, nil})}})
	must(t, err)
	return der
}

// stamped adds a time stamp of some text, as an authority without a key would make it.
func stamped(x *bag, of string) {
	x.add("data/custody/checkpoint.tsr", string(stampOf(x.t, of)))
	x.edit("package.json", `"checkpoint": true`, `"checkpoint": true, "timestamp": true`)
}

// TestTimeStamp: that a time stamp is of the checkpoint is checked, who signed it is not, and
// that is told.
func TestTimeStamp(t *testing.T) {
	raw, ca := vector(t)
	x := open(t, raw)
	stamped(x, x.files["data/custody/checkpoint.txt"])
	x.add("data/custody/cosigned.txt", x.files["data/custody/checkpoint.txt"]+"— witness AAAA\n")
	x.edit("package.json", `"checkpoint": true`, `"checkpoint": true, "cosigned": true`)
	x.add("data/stranger.txt", "x")
	x.relist()
	r := checkBytes(t, x.zip(nil), verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: ca}})
	told := map[string]string{}
	for _, u := range r.Unchecked {
		told[u.File] = u.Why
	}
	if r.Verdict != verify.Verified || told["data/custody/checkpoint.tsr"] != "stamp_signature" || told["data/custody/cosigned.txt"] != "cosignatures" || told["data/stranger.txt"] != "unknown" {
		t.Errorf("%s %+v %v", r.Verdict, r.Problems, told)
	}
	for _, p := range r.Parts {
		if p.Name == "timestamp" && (p.Outcome != verify.NotChecked || p.Detail != "2026-11-23T00:00:00Z") {
			t.Errorf("%+v", p)
		}
	}
}

func acqOf(x *bag) string {
	return regexp.MustCompile(`sealed/(acq_[0-9a-z]+)/`).FindStringSubmatch(x.one("manifest.json"))[1]
}

// swap exchanges a file between the two acquisitions.
func swap(x *bag, suffix string) {
	var both []string
	for _, n := range x.names {
		if strings.HasSuffix(n, "/"+suffix) {
			both = append(both, n)
		}
	}
	x.files[both[0]], x.files[both[1]] = x.files[both[1]], x.files[both[0]]
}

// swapFolders puts the sealed evidence of one PC where the other's was.
func swapFolders(x *bag) {
	for _, s := range []string{"manifest.json", "manifest.json.sig", "signer.pem", "signer-cert.pem", "receipt.json", "artifacts/process.jsonl.zst"} {
		swap(x, s)
	}
}

func dropFolder(x *bag, part string) {
	for _, n := range slices.Clone(x.names) {
		if strings.Contains(n, part+"/") {
			x.drop(n)
		}
	}
}

func dropLine(x *bag, with string) {
	n := x.one("entries.jsonl")
	lines := strings.SplitAfter(x.files[n], "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, with) })
	x.files[n] = strings.Join(slices.Delete(lines, i, i+1), "")
	count := regexp.MustCompile(`"entries": [0-9]+`)
	x.files["data/custody/ledger.json"] = count.ReplaceAllString(x.files["data/custody/ledger.json"], fmt.Sprintf(`"entries": %d`, strings.Count(x.files[n], "\n")))
}

func swapLines(x *bag) {
	n := x.one("entries.jsonl")
	lines := strings.SplitAfter(x.files[n], "\n")
	lines[0], lines[1] = lines[1], lines[0]
	x.files[n] = strings.Join(lines, "")
}

// rawZip writes zips that no writer makes.
type rawZip struct {
	out     bytes.Buffer
	central bytes.Buffer
	count   uint16
}

type rawFile struct {
	name, local    string // local: the name beside the bytes; empty: the same
	content        string
	flags, method  uint16
	mode           uint32 // of Unix
	size, crc      uint32 // 0: as it is
	at             int64  // where the directory says that it is; 0: where it is
	comment, extra string
	beside         string // extra field beside the bytes
	localSize      uint32 // size beside the bytes; 0: as in the directory
	hollow         bool   // the directory says 0 bytes
}

func (z *rawZip) add(f rawFile) {
	le := binary.LittleEndian
	if f.local == "" {
		f.local = f.name
	}
	if f.crc == 0 {
		f.crc = crc32.ChecksumIEEE([]byte(f.content))
	}
	if f.size == 0 {
		f.size = uint32(len(f.content))
	}
	if f.hollow {
		f.size, f.crc = 0, 0
	}
	if f.localSize == 0 {
		f.localSize = f.size
	}
	at := uint32(z.out.Len())
	if f.at > 0 {
		at = uint32(f.at)
	}
	head := le.AppendUint32(nil, 0x04034b50)
	for _, v := range []uint16{20, f.flags, f.method, 0, 0x21} {
		head = le.AppendUint16(head, v)
	}
	for _, v := range []uint32{f.crc, uint32(len(f.content)), f.localSize} {
		head = le.AppendUint32(head, v)
	}
	head = le.AppendUint16(le.AppendUint16(head, uint16(len(f.local))), uint16(len(f.beside)))
	z.out.Write(head)
	z.out.WriteString(f.local + f.beside + f.content)
	c := le.AppendUint16(le.AppendUint16(le.AppendUint32(nil, 0x02014b50), 3<<8|20), 20)
	for _, v := range []uint16{f.flags, f.method, 0, 0x21} {
		c = le.AppendUint16(c, v)
	}
	for _, v := range []uint32{f.crc, uint32(len(f.content)), f.size} {
		c = le.AppendUint32(c, v)
	}
	for _, v := range []uint16{uint16(len(f.name)), uint16(len(f.extra)), uint16(len(f.comment)), 0, 0} {
		c = le.AppendUint16(c, v)
	}
	c = le.AppendUint32(le.AppendUint32(c, f.mode<<16), at)
	z.central.Write(c)
	z.central.WriteString(f.name + f.extra + f.comment)
	z.count++
}

func (z *rawZip) end() []byte {
	le := binary.LittleEndian
	at := uint32(z.out.Len())
	z.out.Write(z.central.Bytes())
	e := le.AppendUint32(nil, 0x06054b50)
	for _, v := range []uint16{0, 0, z.count, z.count} {
		e = le.AppendUint16(e, v)
	}
	e = le.AppendUint32(le.AppendUint32(e, uint32(z.central.Len())), at)
	z.out.Write(le.AppendUint16(e, 0))
	return z.out.Bytes()
}

// many are files that unpack to 1 GiB each.
func many(n int) []rawFile {
	var out []rawFile
	for i := range n {
		out = append(out, rawFile{name: fmt.Sprintf("b/%d", i), method: 8, size: 1 << 30})
	}
	return out
}

// TestReachOfAnchors: what an anchor does not reach is not called checked.
func TestReachOfAnchors(t *testing.T) {
	raw, ca := vector(t)
	sum := sha256.Sum256(raw)
	key := regexp.MustCompile(`"checkpoint_key": "([^"]+)"`).FindStringSubmatch(open(t, raw).files["data/custody/ledger.json"])[1]
	for name, c := range map[string]struct {
		anchor     verify.PackageAnchor
		verdict    verify.Verdict
		checkpoint verify.Outcome
		open       string
	}{
		"none":         {verify.PackageAnchor{}, verify.Consistent, verify.NotChecked, "behind_receipts own_words"},
		"CA":           {verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: ca}}, verify.Verified, verify.NotChecked, "behind_receipts own_words"},
		"verifier key": {verify.PackageAnchor{CheckpointKey: key}, verify.Verified, verify.Fits, "own_words"},
		"CA and key":   {verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: ca}, CheckpointKey: key}, verify.Verified, verify.Fits, "own_words"},
		"SHA-256":      {verify.PackageAnchor{PackageSHA256: hex.EncodeToString(sum[:])}, verify.Verified, verify.Fits, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := checkBytes(t, raw, c.anchor)
			var left []string
			behind, entries := 0, 0
			for _, u := range r.Unchecked {
				if u.Why == "own_words" || u.Why == "behind_receipts" {
					left, behind = append(left, u.Why), behind+u.Count
				}
			}
			slices.Sort(left)
			for _, p := range r.Parts {
				if p.Name == "checkpoint" && p.Outcome != c.checkpoint {
					t.Errorf("%+v", p)
				}
				if p.Name == "entries" {
					entries = p.Count
				}
			}
			if r.Verdict != c.verdict || strings.Join(left, " ") != c.open {
				t.Errorf("%s %v %+v", r.Verdict, left, r.Problems)
			}
			// The receipts of the CA show the entries up to the newest of them, nothing else any.
			if name == "CA" && (behind < 1 || behind >= entries) || name == "none" && behind != entries {
				t.Errorf("%d of %d entries are behind", behind, entries)
			}
		})
	}
}

// TestDisposedIsAnchored: that bytes were disposed of is the ledger's word. Where it came after
// the newest receipt, the CA does not reach it, and whoever leaves evidence out of a package
// could have written it.
func TestDisposedIsAnchored(t *testing.T) {
	raw, err := os.ReadFile("testdata/packages/v2-disposed.zip")
	must(t, err)
	ca, err := os.ReadFile("testdata/packages/v2-disposed.ca")
	must(t, err)
	sum := sha256.Sum256(raw)
	for name, c := range map[string]struct {
		anchor  verify.PackageAnchor
		verdict verify.Verdict
		why     string
	}{
		"none":    {verify.PackageAnchor{}, verify.Consistent, "disposed_unanchored"},
		"CA":      {verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: strings.TrimSpace(string(ca))}}, verify.Consistent, "disposed_unanchored"},
		"SHA-256": {verify.PackageAnchor{PackageSHA256: hex.EncodeToString(sum[:])}, verify.Verified, "disposed"},
	} {
		r := checkBytes(t, raw, c.anchor)
		n := 0
		for _, u := range r.Unchecked {
			if strings.HasPrefix(u.Why, "disposed") {
				n++
				if u.Why != c.why {
					t.Errorf("%s: %+v", name, u)
				}
			}
		}
		if r.Verdict != c.verdict || n != 2 {
			t.Errorf("%s: %s, %d told, %+v", name, r.Verdict, n, r.Problems)
		}
	}
}

// An anchor counts when it fits every acquisition, not only those of which a report tells.
func TestAnchorOfAll(t *testing.T) {
	if got := verify.Concluded(0); got != "ca" {
		t.Errorf("%q", got)
	}
	if got := verify.Concluded(1); got != "" {
		t.Errorf("one is not anchored: %q", got)
	}
}

// TestMemoryIsBounded: short texts that would become much are refused.
func TestMemoryIsBounded(t *testing.T) {
	list := func(n int) []byte { return []byte("[" + strings.Repeat("[],", n-1) + "[]]") }
	if _, err := verify.ParseJSON(list(1<<20 - 1)); err != nil {
		t.Error(err)
	}
	if _, err := verify.ParseJSON(list(1 << 20)); err == nil {
		t.Error("a list of too many values was read")
	}
	long := strings.Repeat("a", 3<<20)
	got, why := verify.Lines([]byte("x\n\n" + long + "\nyy\n" + long + "b\n"))
	if why != nil || !slices.Equal(got, []int{1, 0, 3 << 20, 2, 3<<20 + 1}) {
		t.Errorf("%v, %v", got, why)
	}
	raw, _ := vector(t)
	x := open(t, raw)
	x.files["manifest-sha256.txt"] = strings.Repeat("\n", 1<<20+1)
	if r := checkBytes(t, x.zip(nil), verify.PackageAnchor{}); !has(r, "too_large", "manifest-sha256.txt") {
		t.Errorf("%+v", r.Problems)
	}
}

// TestAnyByteOfAPackage: whatever byte of the zip is changed, the package is not verified,
// or nothing but what the format leaves free has changed.
func TestAnyByteOfAPackage(t *testing.T) {
	raw, _ := vector(t)
	free := 0
	for i := 0; i < len(raw); i += 1499 {
		b := slices.Clone(raw)
		b[i] ^= 0x10
		if r := checkBytes(t, b, verify.PackageAnchor{}); r.Verdict != verify.NotVerified {
			free++ // times and versions in the headers of the zip, which nobody reads
		}
	}
	if n := (len(raw) + 1498) / 1499; free > n/5 {
		t.Errorf("%d of %d changes were not found", free, n)
	}
}

func FuzzZip(f *testing.F) {
	raw, _ := vector(f)
	f.Add(raw[len(raw)-3000:])
	z := &rawZip{}
	z.add(rawFile{name: "b/bagit.txt", content: "x"})
	f.Add(z.end())
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		path := filepath.Join(t.TempDir(), "p.zip")
		must(t, os.WriteFile(path, b, 0o600))
		r, err := verify.Package(t.Context(), path, verify.PackageAnchor{})
		if err != nil || r.Verdict == verify.Verified {
			t.Errorf("%s, %v", r.Verdict, err)
		}
	})
}
