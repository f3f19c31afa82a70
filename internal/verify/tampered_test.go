package verify_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hozen/internal/verify"
)

// The tampered packages lie in testdata/packages/tampered, each made by one change of this
// package's tests to one of four packages in order, which lie there too. VERDICTS.tsv says what a
// checker must find in each, SHA256SUMS holds every vector to what it was: they are files for
// whoever writes another checker, and stay as they are for ever. A new change is written by
// "go test ./internal/verify -run TestTampered -update", which never writes a file again that is there.
var update = flag.Bool("update", false, "write the tampered packages that are not there yet")

const (
	packagesDir = "testdata/packages"
	tamperedDir = packagesDir + "/tampered"
	verdictFile = tamperedDir + "/VERDICTS.tsv"
	sumsFile    = packagesDir + "/SHA256SUMS"
	verdictHead = "file\tCA\tverdict\tcode\titem\twhat was done\n"
)

// made is a tampered package as the tests make it.
type made struct {
	file string // in tamperedDir
	ca   string // fingerprint of the CA that it is checked with
	want finding
	what string
	zip  []byte
	raw  bool // another program would not write it, so each byte counts
}

// finding is what a checker must say.
type finding struct {
	verdict    verify.Verdict
	code, item string
}

// reduced is a package in order but for what is derived in it, which no checker can hold
// against anything, and which would make every vector four times as large.
func reduced(t testing.TB, name string) (*bag, string) {
	t.Helper()
	b, err := os.ReadFile(packagesDir + "/" + name + ".zip")
	must(t, err)
	ca, err := os.ReadFile(packagesDir + "/" + name + ".ca")
	must(t, err)
	x := open(t, b)
	for _, n := range []string{"README-ja.txt", "README-en.txt", "data/incident.json", "data/iocs.csv", "data/iocs.stix.json", "data/custody/form.html", "data/custody/form.pdf"} {
		x.drop(n)
	}
	x.relist()
	return x, strings.TrimSpace(string(ca))
}

// clone is the package once more, to be changed.
func (x *bag) clone(t testing.TB) *bag {
	return &bag{t: t, base: x.base, names: slices.Clone(x.names), files: maps.Clone(x.files)}
}

// fileOf is the name of the file for a change.
func fileOf(prefix, what string) string {
	return prefix + strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(what), "-"), "-") + ".zip"
}

// tampered makes all of them.
func tampered(t testing.TB) []made {
	t.Helper()
	one, caOne := reduced(t, "v4-one")
	two, caTwo := reduced(t, "v4-two")
	sent, caSent := reduced(t, "v4-sent")
	held, caHeld := reduced(t, "v4-held")
	list := []made{
		{"untouched-one.zip", caOne, finding{verify.Verified, "", ""}, "nothing: one PC", one.zip(nil), false},
		{"untouched-two.zip", caTwo, finding{verify.Verified, "", ""}, "nothing: two PCs", two.zip(nil), false},
		{"untouched-held.zip", caHeld, finding{verify.Verified, "", ""}, "nothing: one PC, its evidence handed over before witnesses", held.zip(nil), false},
		{"untouched-sent.zip", caSent, finding{verify.Verified, "", ""}, "nothing: one PC, and files that people sent", sent.zip(nil), false},
	}
	add := func(prefix, ca string, of *bag, changes map[string]tampering) {
		for what, c := range changes {
			x := of.clone(t)
			c.change(x)
			if !c.lists {
				x.relist()
			}
			list = append(list, made{fileOf(prefix, what), ca, finding{verify.NotVerified, c.code, c.file}, what, x.zip(nil), false})
		}
	}
	add("", caOne, one, tamperings())
	add("two-", caTwo, two, tamperingsOfTwo())
	add("sent-", caSent, sent, tamperingsOfSent(t))
	add("held-", caHeld, held, tamperingsOfHeld())
	for what, z := range hostileZips(one.zip(nil)) {
		want := finding{verify.NotVerified, z.code, ""}
		if z.code == "zip_data" {
			want.item = "bagit.txt"
		}
		list = append(list, made{fileOf("zip-", what), caOne, want, what, z.zip, true})
	}
	slices.SortFunc(list, func(a, b made) int { return strings.Compare(a.file, b.file) })
	return list
}

// row is the line of a tampered package in VERDICTS.tsv.
func (m made) row() string {
	return strings.Join([]string{m.file, m.ca, string(m.want.verdict), m.want.code, m.want.item, m.what}, "\t") + "\n"
}

// same reports whether the file that lies there is what the test makes.
func (m made) same(t testing.TB, b []byte) bool {
	t.Helper()
	if m.raw {
		return bytes.Equal(m.zip, b)
	}
	want, got := open(t, m.zip), open(t, b) // another version of deflate makes other bytes of the same files
	return want.base == got.base && slices.Equal(want.names, got.names) && maps.Equal(want.files, got.files)
}

// TestTamperedPackages: each change is found under its right name, in the right file.
func TestTamperedPackages(t *testing.T) {
	all := tampered(t)
	if *update {
		writeVectors(t, all)
	}
	table, err := os.ReadFile(verdictFile)
	must(t, err)
	rows := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		rows[line] = true
	}
	if len(rows) != len(all)+1 || !rows[verdictHead] || len(all) < 100 {
		t.Errorf("VERDICTS.tsv has %d lines for %d packages", len(rows), len(all))
	}
	for _, m := range all {
		t.Run(strings.TrimSuffix(m.file, ".zip"), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(tamperedDir, m.file)
			b, err := os.ReadFile(path)
			must(t, err)
			if !rows[m.row()] || !m.same(t, b) {
				t.Fatalf("it is not what this test makes and says of it; it stays as it is for ever, so make a new one of another name")
			}
			r, err := verify.Package(t.Context(), path, verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: m.ca}})
			must(t, err)
			switch {
			case m.want.verdict == verify.Verified:
				if r.Verdict != verify.Verified || len(r.Problems) > 0 {
					t.Errorf("%s %+v", r.Verdict, r.Problems)
				}
			case !has(r, m.want.code, m.want.item):
				t.Errorf("want %s of %s, got %s %+v", m.want.code, m.want.item, r.Verdict, r.Problems)
			case m.raw && m.want.item == "" && len(r.Problems) != 1:
				t.Errorf("it was read on: %+v", r.Problems) // a hostile zip is refused before anything of it is read
			}
		})
	}
}

// TestVectorsStayAsTheyAre: no byte of a vector that was given out is ever changed.
func TestVectorsStayAsTheyAre(t *testing.T) {
	b, err := os.ReadFile(sumsFile)
	must(t, err)
	if want := sums(t); string(b) != want {
		t.Errorf("SHA256SUMS does not list the vectors as they are")
	}
}

// sums lists every vector as sha256sum does.
func sums(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(packagesDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == filepath.FromSlash(sumsFile) {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(packagesDir, path)
		h := sha256.Sum256(content)
		fmt.Fprintf(&b, "%s  %s\n", hex.EncodeToString(h[:]), filepath.ToSlash(name))
		return err
	}))
	return b.String()
}

// writeVectors writes those that are not there, and the lists anew.
func writeVectors(t *testing.T, all []made) {
	t.Helper()
	must(t, os.MkdirAll(tamperedDir, 0o755))
	table := verdictHead
	for _, m := range all {
		table += m.row()
		f, err := os.OpenFile(filepath.Join(tamperedDir, m.file), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		must(t, err)
		_, err = f.Write(m.zip)
		must(t, errors.Join(err, f.Close()))
	}
	must(t, os.WriteFile(verdictFile, []byte(table), 0o644))
	must(t, os.WriteFile(sumsFile, []byte(sums(t)), 0o644))
}
