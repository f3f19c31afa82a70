package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
	"hozen/internal/verify"
)

const vector = "../../verify/testdata/packages/v1.zip"

func TestPackageWordsExist(t *testing.T) {
	p := texts(t).Printer(i18n.Japanese)
	var keys []string
	for _, n := range verify.Parts() {
		keys = append(keys, "part."+n)
	}
	for _, o := range []verify.Outcome{verify.Fits, verify.Wrong, verify.NotChecked, verify.Absent} {
		keys = append(keys, "part.outcome."+string(o))
	}
	for _, v := range []verify.Verdict{verify.Verified, verify.Consistent, verify.NotVerified} {
		keys = append(keys, "package.verdict."+string(v))
	}
	for _, k := range append(keys, "anchor.package", "anchor.checkpoint", "unchecked.derived", "unchecked.not_decoded", "unchecked.odd_lines", "unchecked.own_words", "unchecked.behind_receipts", "unchecked.disposed", "unchecked.disposed_unanchored", "unchecked.upload_unanchored",
		"package.verdict.verified_evidence") {
		if !p.Has(k) {
			t.Errorf("no text %s", k)
		}
	}
}

func TestHostilePackageTextsAreInert(t *testing.T) {
	const evil = "\x1b]0;owned\x07\u202e\n\rverdict: verified"
	r := verify.PackageReport{Verdict: verify.NotVerified, Number: evil, Incident: evil, Recipient: evil, Purpose: evil, OrderedAt: time.Unix(0, 0),
		Parts:        []verify.Part{{Name: "zip", Outcome: verify.Wrong, Detail: evil}},
		Acquisitions: []verify.PackedReport{{Folder: evil, Report: hostile()}},
		Unchecked:    []verify.PackedProblem{{File: evil, Why: "derived"}},
		Problems:     []verify.Problem{{Code: "digest", File: evil, Detail: evil}}}
	for _, l := range i18n.Languages() {
		var b bytes.Buffer
		if err := printPackage(&b, texts(t).Printer(l), "/tmp/\x1b[2J", r); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\x07\r\u202e") || strings.Contains(b.String(), "\nverdict: verified") || strings.Contains(b.String(), "⟦") {
			t.Errorf("%s: %q", l, b.String())
		}
	}
}

// verifies runs the program and returns its exit code and what it printed as JSON.
func verifies(t *testing.T, args ...string) (int, map[string]any) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(append(args, "--json"), func(string) string { return "" }, &out, &errs)
	var v map[string]any
	if err := json.Unmarshal(out.Bytes(), &v); err != nil && code != exitUsage {
		t.Fatalf("%v: %s %s", err, out.String(), errs.String())
	}
	return code, v
}

// A package that was released once verifies for ever.
func TestReleasedPackageVerifies(t *testing.T) {
	ca, err := os.ReadFile("../../verify/testdata/packages/v1.ca")
	if err != nil {
		t.Fatal(err)
	}
	if code, v := verifies(t, vector); code != exitConsistent || v["format"] != "hozen-package-verification/1" || v["exit_code"] != float64(exitConsistent) {
		t.Errorf("exit %d: %v", code, v["problems"])
	}
	if code, v := verifies(t, "--ca-fingerprint", strings.TrimSpace(string(ca)), vector); code != exitVerified {
		t.Errorf("with the CA: exit %d: %v", code, v["problems"])
	}
	if code, _ := verifies(t, "--ca-fingerprint", strings.Repeat("00", 32), vector); code != exitNotVerified {
		t.Errorf("with another CA: exit %d", code)
	}
	if code, _ := verifies(t, "--receipt-code", "00000-00000-00000-00000-00000", vector); code != exitUsage {
		t.Errorf("with a receipt code: exit %d", code)
	}
	if code, _ := verifies(t, "--package-sha256", strings.Repeat("0", 64), t.TempDir()); code != exitUsage {
		t.Errorf("a folder with the SHA-256 of a package: exit %d", code)
	}
}

// Pieces that lie beside each other are one package.
func TestPieces(t *testing.T) {
	b, err := os.ReadFile(vector)
	if err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(t.TempDir(), "p.zip.001")
	for i, piece := range [][]byte{b[:20000], b[20000:20001], b[20001:]} {
		if err := os.WriteFile(first[:len(first)-1]+string(rune('1'+i)), piece, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, v := verifies(t, first); code != exitConsistent {
		t.Errorf("exit %d: %v", code, v["problems"])
	}
	if err := os.Remove(first[:len(first)-1] + "3"); err != nil {
		t.Fatal(err)
	}
	code, v := verifies(t, first)
	if text, _ := json.Marshal(v["problems"]); code != exitNotVerified || !strings.Contains(string(text), `"code":"zip"`) {
		t.Errorf("without its last piece: exit %d: %s", code, text)
	}
}

// Every tampered vector is named as its list says, by the program as people start it.
func TestTamperedVectorsAreNamed(t *testing.T) {
	const dir = "../../verify/testdata/packages/tampered"
	b, err := os.ReadFile(filepath.Join(dir, "VERDICTS.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")[1:]
	if len(rows) < 100 {
		t.Errorf("%d vectors", len(rows))
	}
	for _, row := range rows {
		t.Run(row[:strings.Index(row, ".zip")], func(t *testing.T) {
			t.Parallel()
			f := strings.Split(row, "\t") // file, CA, verdict, code, item, what was done
			code, v := verifies(t, "--ca-fingerprint", f[1], filepath.Join(dir, f[0]))
			want := map[string]int{"verified": exitVerified, "not_verified": exitNotVerified}[f[2]]
			named := f[3] == ""
			problems, _ := v["problems"].([]any)
			for _, p := range problems {
				x, _ := p.(map[string]any)
				file, _ := x["file"].(string)
				named = named || x["code"] == f[3] && strings.Contains(file, f[4])
			}
			if code != want || v["verdict"] != f[2] || !named {
				t.Errorf("exit %d, %v, problems %v; want %q", code, v["verdict"], problems, f)
			}
		})
	}
}

// Every detail is said in Japanese too: each sentence in the verifier's source, and what it says of
// each tampered vector.
func TestDetailsAreSaidInJapanese(t *testing.T) {
	d, err := i18n.LoadDetails(details, "details/ja.json")
	if err != nil {
		t.Fatal(err)
	}
	// Parts of a sentence that stands in the catalogue whole, and what is no sentence.
	parts := []string{"without the CA in ", " nobody can tell who signed it", "it is for another key than ", "sign checkpoint: origin %.80q, size %d", "cosignature/v1\ntime %d\n"}
	i18ntest.Details(t, d, parts, nil, "../../verify", "../../custody/checkpoint")
	const dir = "../../verify/testdata/packages/tampered"
	list, err := filepath.Glob(filepath.Join(dir, "*.zip"))
	if err != nil || len(list) < 100 {
		t.Fatalf("%d vectors: %v", len(list), err)
	}
	for _, path := range list {
		r, err := verify.Package(t.Context(), path, verify.PackageAnchor{})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r.Problems {
			if said := d.Text(x.Detail); strings.Contains(x.Detail, " ") && said == x.Detail {
				t.Errorf("%s: not in Japanese: %q", path, x.Detail)
			}
		}
	}
}

// What a newcomer gives in the place of a package is told as that, in both languages, and not
// as evidence that does not verify.
func TestMistakesOfNewcomers(t *testing.T) {
	dir := t.TempDir()
	encrypted := filepath.Join(dir, "p.zip.age")
	if err := os.WriteFile(encrypted, []byte("age-encryption.org/v1\n-> X25519 x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	unpacked := unpackedInASCII(t, "../../verify/testdata/packages/v4-one.zip")
	for _, c := range []struct {
		name, path string
		code       int
		ja, en     string
	}{
		{"encrypted", encrypted, exitUsage, "暗号化されています", "age -d -i KEYFILE"},
		{"not there", filepath.Join(dir, "none.zip"), exitUsage, "がありません", "is not there"},
		{"another folder", t.TempDir(), exitNotVerified, "フォルダーを間違えていないか", "may be the wrong folder"},
		{"names that were changed", unpacked, exitNotVerified, "LC_ALL=C.UTF-8 unzip", "Give the zip itself"},
	} {
		for lang, want := range map[string]string{"ja": c.ja, "en": c.en} {
			var out, errs bytes.Buffer
			if code := run([]string{"--lang", lang, c.path}, func(string) string { return "" }, &out, &errs); code != c.code || !strings.Contains(out.String()+errs.String(), want) {
				t.Errorf("%s, %s: exit %d\n%s%s", c.name, lang, code, out.String(), errs.String())
			}
		}
	}
}

// unpackedInASCII unpacks a package as unzip does where the locale knows ASCII alone.
func unpackedInASCII(t *testing.T, file string) string {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	dir := t.TempDir()
	for _, f := range z.File {
		var name strings.Builder
		for _, r := range f.Name {
			if r < 0x80 {
				name.WriteRune(r)
			} else {
				fmt.Fprintf(&name, "#U%04x", r)
			}
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		path := filepath.Join(dir, filepath.FromSlash(name.String()))
		if err = errors.Join(err, r.Close(), os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
