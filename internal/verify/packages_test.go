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
// files that people sent. The newest are written by "go test ./collector/internal/act -run
// TestSentFilesInAPackage -update", and never again. The tampered ones are made from v2.zip
// here, and from v3.zip in uploads_test.go, each by one named change.

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

// TestTamperedPackages: each change is found under its right name, in the right file. A
// forger who makes the lists of the bag anew is assumed wherever the lists are not what is
// changed.
func TestTamperedPackages(t *testing.T) {
	raw, ca := vector(t)
	flip := func(s string) string {
		b := []byte(s)
		b[len(b)/2] ^= 1
		return string(b)
	}
	hexFlip := func(s, before string) string { // the digit behind a text
		i := strings.Index(s, before) + len(before)
		return s[:i] + map[bool]string{true: "1", false: "0"}[s[i] == '0'] + s[i+1:]
	}
	for name, c := range map[string]struct {
		change     func(x *bag)
		code, file string
		lists      bool // the lists are left as the change leaves them
	}{
		"a byte of sealed evidence":             {func(x *bag) { n := x.one("artifacts/process.jsonl.zst"); x.files[n] = flip(x.files[n]) }, "stored", "process.jsonl.zst", false},
		"a byte of sealed evidence, lists kept": {func(x *bag) { n := x.one("artifacts/process.jsonl.zst"); x.files[n] = flip(x.files[n]) }, "digest", "process.jsonl.zst", true},
		"a sealed artifact cut off":             {func(x *bag) { n := x.one("artifacts/clock.jsonl.zst"); x.files[n] = x.files[n][:20] }, "size", "clock.jsonl.zst", false},
		"a sealed artifact taken away":          {func(x *bag) { x.drop(x.one("artifacts/netconn.jsonl.zst")) }, "missing", "netconn.jsonl.zst", false},
		"a sealed artifact added":               {func(x *bag) { x.add(strings.Replace(x.one("artifacts/clock.jsonl.zst"), "clock", "evil", 1), "x") }, "extra", "evil.jsonl.zst", false},
		"a manifest edited":                     {func(x *bag) { x.edit("sealed/"+acqOf(x)+"/manifest.json", `"profile": "`, `"profile": "x`) }, "signature", "manifest.json.sig", false},
		"a manifest with a name twice":          {func(x *bag) { x.edit("manifest.json", `"format"`, `"format": "hozen-manifest/1", "format"`) }, "manifest", "manifest.json", false},
		"a signature replaced":                  {func(x *bag) { n := x.one("manifest.json.sig"); x.files[n] = flip(x.files[n]) }, "signature", "manifest.json.sig", false},
		"another endpoint's key":                {func(x *bag) { swap(x, "signer.pem") }, "signer", "signer.pem", false},
		"another endpoint's certificate":        {func(x *bag) { swap(x, "signer-cert.pem") }, "certificate", "signer-cert.pem", false},
		"another acquisition's receipt":         {func(x *bag) { swap(x, "receipt.json") }, "receipt", "receipt.json", false},
		"a receipt taken away":                  {func(x *bag) { x.drop(x.one("receipt.json")) }, "missing", "receipt.json", false},
		"a receipt edited":                      {func(x *bag) { x.edit("receipt.json", `"payload": "eyJ`, `"payload": "eyK`) }, "receipt", "receipt.json", false},
		"two endpoints exchanged":               {func(x *bag) { swapFolders(x) }, "package", "sealed/", false},
		"an acquisition taken away":             {func(x *bag) { dropFolder(x, "sealed/"+acqOf(x)) }, "missing", "manifest.json", false},
		"an acquisition hidden from package.json": {func(x *bag) {
			x.files["data/package.json"] = strings.ReplaceAll(x.files["data/package.json"], acqOf(x), "acq_00000000000000000000000000")
		}, "package", "sealed/", false},
		"a readable line edited": {func(x *bag) { x.edit("process.jsonl", `"pid":77`, `"pid":78`) }, "decoded", "process.jsonl", false},
		"a readable line taken away": {func(x *bag) {
			n := x.one("flight.jsonl")
			_, rest, _ := strings.Cut(x.files[n], "\n")
			x.files[n] = rest
		}, "decoded", "flight.jsonl", false},
		"a cell of a table edited":          {func(x *bag) { x.edit("process.csv", `"77"`, `"70"`) }, "decoded", "process.csv", false},
		"the guard of a formula taken away": {func(x *bag) { x.edit("process.csv", `"'=cmd`, `"=cmd`) }, "decoded", "process.csv", false},
		"a row of a table taken away": {func(x *bag) {
			n := x.one("process.csv")
			i := strings.Index(x.files[n], "\r\n\"77")
			x.files[n] = x.files[n][:i+2]
		}, "decoded", "process.csv", false},
		"another kind of exhibit": {func(x *bag) { x.edit("exhibits.json", `"kind": "volatile"`, `"kind": "memory"`) }, "ledger", "exhibits.json", false},
		"another custodian":       {func(x *bag) { x.edit("exhibits.json", `"hash_after": "`, `"to_person": "x", "hash_after": "`) }, "ledger", "exhibits.json", false},
		"an event of custody taken away": {func(x *bag) {
			n := x.one("exhibits.json")
			x.files[n] = regexp.MustCompile(`(?s)"events": \[\s*\{.*?\n        \},`).ReplaceAllString(x.files[n], `"events": [`)
		}, "ledger", "exhibits.json", false},
		"no file of exhibits": {func(x *bag) { x.drop("data/custody/exhibits.json") }, "missing", "exhibits.json", false},
		"no exhibits in the file of them": {func(x *bag) {
			x.files["data/custody/exhibits.json"] = `{"format": "hozen-exhibits/1", "exhibits": [], "events": []}`
		}, "ledger", "exhibits.json", false},
		"an exhibit taken away": {func(x *bag) { x.things(func(list []any) []any { return list[1:] }) }, "ledger", "exhibits.json", false},
		"an exhibit twice":      {func(x *bag) { x.things(func(list []any) []any { return append(list, list[0]) }) }, "ledger", "exhibits.json", false},
		"exhibits taken away with their entries": {func(x *bag) {
			x.drop("data/custody/exhibits.json")
			for strings.Contains(x.files["data/custody/entries.jsonl"], `\"act\":\"custody.`) {
				dropLine(x, `\"act\":\"custody.`)
			}
		}, "ledger", "entries.jsonl", false},
		"exhibits out of another scope": {func(x *bag) {
			x.files["data/package.json"] = regexp.MustCompile(`"hosts": \[\]`).ReplaceAllString(x.files["data/package.json"], `"hosts": ["end_00000000000000000000000000"]`)
		}, "ledger", "package.json", false},
		"everything held by somebody else": {func(x *bag) {
			x.files["data/custody/exhibits.json"] = regexp.MustCompile(`"custodian": "[^"]*"`).ReplaceAllString(x.files["data/custody/exhibits.json"], `"custodian": "EVIL"`)
		}, "ledger", "exhibits.json", false},
		"a custodian taken away": {func(x *bag) { x.exhibit(func(e map[string]any) { delete(e, "custodian") }) }, "ledger", "exhibits.json", false},
		"a gap that is none": {func(x *bag) {
			x.exhibit(func(e map[string]any) {
				e["gaps"] = []any{map[string]any{"code": "order", "from": "2026-11-22T12:00:00Z", "to": "2026-11-22T12:00:00Z", "seq": 2}}
			})
		}, "ledger", "exhibits.json", false},
		"who got it left out of an event": {func(x *bag) {
			x.exhibit(func(e map[string]any) {
				delete(e["events"].([]any)[1].(map[string]any)["details"].(map[string]any), "to_organisation")
			})
		}, "ledger", "exhibits.json", false},
		"a description left out": {func(x *bag) {
			x.exhibit(func(e map[string]any) {
				delete(e["said"].([]any)[0].(map[string]any)["details"].(map[string]any), "field_host")
				delete(e["fields"].(map[string]any), "host")
			})
		}, "ledger", "exhibits.json", false},
		"events in another order": {func(x *bag) { x.exhibit(func(e map[string]any) { slices.Reverse(e["events"].([]any)) }) }, "ledger", "exhibits.json", false},
		"an event twice": {func(x *bag) {
			x.exhibit(func(e map[string]any) { l := e["events"].([]any); e["events"] = append(l, l[1]) })
		}, "ledger", "exhibits.json", false},
		"another description of an exhibit": {func(x *bag) { x.edit("exhibits.json", `"host": "`, `"host": "x`) }, "ledger", "exhibits.json", false},
		"evidence that nobody disposed of": {func(x *bag) {
			for _, n := range slices.Clone(x.names) {
				if strings.Contains(n, "/sealed/"+acqOf(x)+"/artifacts/") {
					x.drop(n)
				}
			}
			x.edit("package.json", `"id": "`+acqOf(x)+`"`, `"id": "`+acqOf(x)+`", "disposed_by": 3`)
		}, "ledger", "sealed/", false},
		"a time stamp of another checkpoint": {func(x *bag) { stamped(x, "x"+x.files["data/custody/checkpoint.txt"]) }, "timestamp", "checkpoint.tsr", false},
		"no time stamp where one is told": {func(x *bag) {
			stamped(x, x.files["data/custody/checkpoint.txt"])
			x.drop("data/custody/checkpoint.tsr")
		}, "missing", "checkpoint.tsr", false},
		"a time stamp that is not told": {func(x *bag) { x.add("data/custody/checkpoint.tsr", "x") }, "timestamp", "checkpoint.tsr", false},
		"cosignatures of another checkpoint": {func(x *bag) {
			x.add("data/custody/cosigned.txt", "another\n"+x.files["data/custody/checkpoint.txt"])
			x.edit("package.json", `"checkpoint": true`, `"checkpoint": true, "cosigned": true`)
		}, "checkpoint", "cosigned.txt", false},
		"a line of the body file edited":     {func(x *bag) { x.edit("/bodyfile", "|-rw-r--r--|", "|-rwsr-xr-x|") }, "decoded", "bodyfile", false},
		"a line of the body file taken away": {func(x *bag) { n := x.one("/bodyfile"); _, x.files[n], _ = strings.Cut(x.files[n], "\n") }, "decoded", "bodyfile", false},
		"a file of a PC edited":              {func(x *bag) { x.edit("$rootfs$/etc/crontab", "hello", "hullo") }, "decoded", "$rootfs$/etc/crontab", false},
		"a file of a PC edited, and the index": {func(x *bag) {
			n := x.one("$rootfs$/etc/crontab")
			x.files[n] = ""
			x.edit("fs/index.jsonl", "crontab\",\"size\":5", "crontab\",\"size\":0")
		}, "decoded", "fs/index.jsonl", false},
		"a file of a PC called otherwise": {func(x *bag) {
			n := x.one("$rootfs$/etc/crontab")
			x.add(strings.Replace(n, "crontab", "shadow", 1), x.files[n])
			x.drop(n)
			x.edit("fs/index.jsonl", `$rootfs$/etc/crontab"`, `$rootfs$/etc/shadow"`)
		}, "decoded", "fs/index.jsonl", false},
		"a file of a PC taken away": {func(x *bag) {
			x.drop(x.one("$rootfs$/etc/crontab"))
			n := x.one("fs/index.jsonl")
			x.files[n] = regexp.MustCompile(`(?m)^.*/etc/crontab".*\n`).ReplaceAllString(x.files[n], "")
		}, "decoded", "fs/index.jsonl", false},
		"a file of a PC that none had": {func(x *bag) { x.add(strings.Replace(x.one("$rootfs$/etc/crontab"), "crontab", "evil", 1), "evil") }, "package", "etc/evil", false},
		"a file in the index that no evidence carries": {func(x *bag) {
			n, file := x.one("fs/index.jsonl"), x.one("$rootfs$/etc/crontab")
			line := regexp.MustCompile(`(?m)^.*/etc/crontab".*\n`).FindString(x.files[n])
			x.files[n] += strings.Replace(strings.ReplaceAll(line, "etc/crontab", "etc/evil"), `"file":1`, `"file":9`, 1)
			x.add(strings.Replace(file, "crontab", "evil", 1), x.files[file])
		}, "decoded", "etc/evil", false},
		"another number of a file of a PC": {func(x *bag) {
			x.edit("fs/index.jsonl", `"file":1,"path":"/etc/crontab"`, `"file":0,"path":"/etc/crontab"`)
		}, "decoded", "etc/crontab", false},
		"a file that was said to be whole":       {func(x *bag) { x.edit("fs/index.jsonl", `"whole":false`, `"whole":true`) }, "decoded", "fs/index.jsonl", false},
		"a file of the system edited":            {func(x *bag) { x.edit("systemmap.raw", "_text", "_test") }, "decoded", "systemmap.raw", false},
		"a readable copy that nothing speaks of": {func(x *bag) { x.add(strings.Replace(x.one("process.csv"), "process", "processes", 1), "a") }, "package", "processes.csv", false},
		"a reason instead of a readable copy":    {func(x *bag) { n := x.one("netconn.csv"); x.drop(n) }, "missing", "netconn.csv", false},
		"an entry of the ledger edited":          {func(x *bag) { x.edit("entries.jsonl", `\"act\":\"evidence.accept\"`, `\"act\":\"evidence.Accept\"`) }, "entry", "entries.jsonl", false},
		"an entry of the ledger taken away":      {func(x *bag) { dropLine(x, "evidence.accept") }, "ledger", "sealed/", false},
		"the order of the package taken away":    {func(x *bag) { dropLine(x, "export.order") }, "ledger", "entries.jsonl", false},
		"entries of the ledger exchanged":        {func(x *bag) { swapLines(x) }, "entry", "entries.jsonl", false},
		"a salt replaced":                        {func(x *bag) { x.files[x.one("entries.jsonl")] = hexFlip(x.files[x.one("entries.jsonl")], `"salt":"`) }, "entry", "entries.jsonl", false},
		"a proof replaced":                       {func(x *bag) { x.files[x.one("entries.jsonl")] = hexFlip(x.files[x.one("entries.jsonl")], `"proof":["`) }, "entry", "entries.jsonl", false},
		"a proof cut off": {func(x *bag) {
			n := x.one("entries.jsonl")
			x.files[n] = regexp.MustCompile(`,"[0-9a-f]{64}"\]`).ReplaceAllString(x.files[n], "]")
		}, "entry", "entries.jsonl", false},
		"another root of the ledger": {func(x *bag) {
			x.files[x.one("custody/ledger.json")] = hexFlip(x.files[x.one("custody/ledger.json")], `"root_sha256": "`)
		}, "ledger", "ledger.json", false},
		"a ledger that does not go on from receipts": {func(x *bag) {
			n := x.one("custody/ledger.json")
			x.files[n] = regexp.MustCompile(`(?s)"proof": \[\s*"[0-9a-f]`).ReplaceAllString(x.files[n], `"proof": ["f`)
		}, "ledger", "ledger.json", false},
		"another recipient": {func(x *bag) { x.edit("package.json", "サンプル県警", "別の県警") }, "ledger", "package.json", false},
		"another purpose":   {func(x *bag) { x.edit("package.json", "被害届に添付", "社内") }, "ledger", "package.json", false},
		"a checkpoint of another size": {func(x *bag) {
			n := x.one("checkpoint.txt")
			x.files[n] = regexp.MustCompile(`\n([0-9]+)\n`).ReplaceAllString(x.files[n], "\n1$1\n")
		}, "checkpoint", "checkpoint.txt", false},
		"a checkpoint with another root": {func(x *bag) {
			n := x.one("checkpoint.txt")
			l := strings.Split(x.files[n], "\n")
			l[2] = flip(l[2])
			x.files[n] = strings.Join(l, "\n")
		}, "checkpoint", "checkpoint.txt", false},
		"a checkpoint without signature": {func(x *bag) {
			n := x.one("checkpoint.txt")
			t, _, _ := strings.Cut(x.files[n], "\n\n")
			x.files[n] = t + "\n\n"
		}, "checkpoint", "checkpoint.txt", false},
		"a checkpoint taken away":        {func(x *bag) { x.drop(x.one("checkpoint.txt")) }, "missing", "checkpoint.txt", false},
		"a checkpoint denied":            {func(x *bag) { x.edit("package.json", `"checkpoint": true`, `"checkpoint": false`) }, "checkpoint", "checkpoint.txt", false},
		"another key of the checkpoint":  {func(x *bag) { x.edit("custody/ledger.json", `"checkpoint_key": "`, `"checkpoint_key": "x`) }, "checkpoint", "ledger.json", false},
		"an unknown field":               {func(x *bag) { x.edit("package.json", `"format"`, `"extra": 1, "format"`) }, "package", "package.json", false},
		"another format":                 {func(x *bag) { x.edit("package.json", "hozen-package/1", "hozen-package/2") }, "package", "package.json", false},
		"the README edited":              {func(x *bag) { x.edit("README-ja.txt", "サンプル県警", "別の県警") }, "digest", "README-ja.txt", true},
		"the timeline edited":            {func(x *bag) { x.edit("timeline.jsonl", "opened", "closed") }, "digest", "timeline.jsonl", true},
		"a file that no list has":        {func(x *bag) { x.add("data/evil.exe", "MZ") }, "extra", "data/evil.exe", true},
		"a file beside that no list has": {func(x *bag) { x.add("autorun.inf", "x") }, "extra", "autorun.inf", true},
		"a file that is not there":       {func(x *bag) { x.drop("data/iocs.csv") }, "missing", "data/iocs.csv", true},
		"a list with a path out of it":   {func(x *bag) { x.files["manifest-sha256.txt"] += strings.Repeat("0", 64) + "  data/../../x\n" }, "bag", "manifest-sha256.txt", true},
		"a list in another form":         {func(x *bag) { x.files["manifest-sha256.txt"] += "x\n" }, "bag", "manifest-sha256.txt", true},
		"a file twice in a list": {func(x *bag) {
			l, _, _ := strings.Cut(x.files["manifest-sha256.txt"], "\n")
			x.files["manifest-sha256.txt"] += l + "\n"
		}, "bag", "manifest-sha256.txt", true},
		"another number of bytes":  {func(x *bag) { x.edit("bag-info.txt", "Payload-Oxum: ", "Payload-Oxum: 1") }, "bag", "bag-info.txt", true},
		"another version of BagIt": {func(x *bag) { x.edit("bagit.txt", "1.0", "0.97") }, "bag", "bagit.txt", true},
		"no list of lists":         {func(x *bag) { x.drop("tagmanifest-sha256.txt") }, "missing", "tagmanifest-sha256.txt", true},
		"another folder":           {func(x *bag) { x.base = "INC-2026-0001-P02" }, "package", "INC-2026-0001-P02", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := open(t, raw)
			c.change(x)
			if !c.lists {
				x.relist()
			}
			r := checkBytes(t, x.zip(nil), verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: ca}})
			if !has(r, c.code, c.file) {
				t.Errorf("want %s of %s, got %s %+v", c.code, c.file, r.Verdict, r.Problems)
			}
			if testing.Verbose() {
				t.Logf("%+v", r.Problems)
			}
		})
	}
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
	for _, s := range []string{"manifest.json", "manifest.json.sig", "signer.pem", "signer-cert.pem", "receipt.json",
		"artifacts/clock.jsonl.zst", "artifacts/exehash.jsonl.zst", "artifacts/flight.jsonl.zst", "artifacts/netconn.jsonl.zst", "artifacts/process.jsonl.zst",
		"artifacts/bodyfile.jsonl.zst", "artifacts/deletedexe.jsonl.zst", "artifacts/startfile.jsonl.zst", "artifacts/systemmap.raw.zst"} {
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

// TestHostileZips: zips that programs read differently, or that harm who unpacks them, are
// refused by name before anything of them is read.
func TestHostileZips(t *testing.T) {
	raw, _ := vector(t)
	good := rawFile{name: "b/bagit.txt", content: "x"}
	made := func(files ...rawFile) []byte {
		z := &rawZip{}
		for _, f := range files {
			z.add(f)
		}
		return z.end()
	}
	for name, c := range map[string]struct {
		zip  []byte
		code string
	}{
		"empty":                                {[]byte{}, "zip"},
		"no zip":                               {bytes.Repeat([]byte("evidence"), 100), "zip"},
		"cut off":                              {raw[:len(raw)-1], "zip"},
		"cut off in the middle":                {raw[:len(raw)/2], "zip"},
		"a byte behind it":                     {append(slices.Clone(raw), 0), "zip_tail"},
		"another file before it":               {append([]byte("MZ program"), raw...), "zip_tail"},
		"another zip behind it":                {append(slices.Clone(raw), made(good)...), "zip_tail"},
		"a path out of the folder":             {made(good, rawFile{name: "b/../../etc/cron.d/x"}), "zip_name"},
		"an absolute path":                     {made(good, rawFile{name: "/etc/passwd"}), "zip_name"},
		"a backslash":                          {made(good, rawFile{name: `b/..\..\x`}), "zip_name"},
		"a drive":                              {made(good, rawFile{name: "C:/x"}), "zip_name"},
		"a name that runs backwards":           {made(good, rawFile{name: "b/\u202egpj.exe", flags: 1 << 11}), "zip_name"},
		"a control character":                  {made(good, rawFile{name: "b/a\nb"}), "zip_name"},
		"not UTF-8":                            {made(good, rawFile{name: "b/\xff", flags: 1 << 11}), "zip_name"},
		"Japanese without its mark":            {made(good, rawFile{name: "b/経理"}), "zip_name"},
		"a dot at the end":                     {made(good, rawFile{name: "b/x."}), "zip_name"},
		"an empty name":                        {made(good, rawFile{name: ""}), "zip_name"},
		"two folders":                          {made(good, rawFile{name: "c/x"}), "zip_name"},
		"a name twice":                         {made(good, good), "zip_twice"},
		"a file and a folder":                  {made(good, rawFile{name: "b/bagit.txt/x"}), "zip_twice"},
		"another case":                         {made(good, rawFile{name: "b/BagIt.txt"}), "zip_case"},
		"a link":                               {made(good, rawFile{name: "b/l", content: "/etc/passwd", mode: 0o120777}), "zip_link"},
		"a device":                             {made(good, rawFile{name: "b/d", mode: 0o020666}), "zip_link"},
		"encrypted":                            {made(good, rawFile{name: "b/e", flags: 1}), "zip_encrypted"},
		"another compression":                  {made(good, rawFile{name: "b/e", method: 12}), "zip_method"},
		"a bomb":                               {made(good, rawFile{name: "b/z", method: 8, size: 1<<30 + 1}), "zip_bomb"},
		"two names for the same bytes":         {made(rawFile{name: "b/one", content: "same"}, rawFile{name: "b/two", content: "", at: 1}), "zip_overlap"},
		"another name beside the bytes":        {made(good, rawFile{name: "b/x", local: "b/y"}), "zip"},
		"a comment":                            {made(good, rawFile{name: "b/x", comment: "hi"}), "zip"},
		"a second name":                        {made(good, rawFile{name: "b/x", extra: "\x75\x70\x01\x00\x01"}), "zip"},
		"another size beside the bytes":        {made(good, rawFile{name: "b/x", content: "x", localSize: 2}), "zip"},
		"a second name beside the bytes":       {made(good, rawFile{name: "b/x", beside: "\x75\x70\x01\x00\x01"}), "zip"},
		"another long size beside the bytes":   {made(good, rawFile{name: "b/x", content: "x", localSize: 0xffffffff, beside: "\x01\x00\x08\x00\x02\x00\x00\x00\x00\x00\x00\x00"}), "zip"},
		"a cut extra field beside the bytes":   {made(good, rawFile{name: "b/x", content: "x", beside: "\x01\x00\x08"}), "zip"},
		"a folder with bytes":                  {made(good, rawFile{name: "b/d/", content: "\x03\x00", method: 8, hollow: true}), "zip"},
		"more than all files may have":         {made(slices.Concat([]rawFile{good}, many(1025))...), "zip_bomb"},
		"the right long size beside the bytes": {made(rawFile{name: "b/x", content: "x", localSize: 0xffffffff, beside: "\x01\x00\x08\x00\x01\x00\x00\x00\x00\x00\x00\x00"}), "missing"}, // it is taken; bagit.txt is not there
		"stored in another size":               {made(good, rawFile{name: "b/x", content: "x", size: 2}), "zip"},
	} {
		t.Run(name, func(t *testing.T) {
			r := checkBytes(t, c.zip, verify.PackageAnchor{})
			if len(r.Problems) != 1 || r.Problems[0].Code != c.code || r.Verdict != verify.NotVerified {
				t.Errorf("want %s alone, got %s %+v", c.code, r.Verdict, r.Problems)
			}
		})
	}
	// What unpacks to something else than the zip says is found when it is read.
	for name, b := range map[string][]byte{
		"another CRC":       made(rawFile{name: "b/bagit.txt", content: "x", crc: 1}),
		"longer than said":  made(rawFile{name: "b/bagit.txt", content: "\x01\x05\x00\xfa\xffhello", method: 8, size: 2}),
		"shorter than said": made(rawFile{name: "b/bagit.txt", content: "\x01\x05\x00\xfa\xffhello", method: 8, size: 9}),
		"bytes left over":   made(rawFile{name: "b/bagit.txt", content: "\x01\x05\x00\xfa\xffhello rest", method: 8, size: 5, crc: crc32.ChecksumIEEE([]byte("hello"))}),
	} {
		if r := checkBytes(t, b, verify.PackageAnchor{}); !has(r, "zip_data", "bagit.txt") {
			t.Errorf("%s: %+v", name, r.Problems)
		}
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
