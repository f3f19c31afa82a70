package report_test

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hozen/collector/internal/report"
	"hozen/internal/i18n"
)

// wordText are the texts of a Word file in their order, and proves that its parts are XML.
func wordText(t *testing.T, b []byte) string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	ok(t, err)
	var out strings.Builder
	for _, f := range z.File {
		r, err := f.Open()
		ok(t, err)
		part, err := io.ReadAll(r)
		ok(t, err)
		d := xml.NewDecoder(bytes.NewReader(part))
		in := false
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			switch tok := tok.(type) {
			case xml.StartElement:
				in = tok.Name.Local == "t" && f.Name == "word/document.xml"
			case xml.EndElement:
				in = false
			case xml.CharData:
				if in {
					out.Write(tok)
				}
			}
		}
	}
	return squeeze(out.String())
}

// plainMarks are texts as Word files have them: controls by their numbers, all else as it is.
func plainMarks(s string) string {
	return squeeze(strings.NewReplacer("\u202e", "[U+202E]", "\u202c", "[U+202C]").Replace(s))
}

func TestWordFileSaysEverything(t *testing.T) {
	for _, k := range report.Kinds() {
		d := build(t, k, facts(), report.Options{Language: i18n.Japanese, Added: map[string]string{"outline": "a & b < c \"d\" ]]> \x00\x1b 𠮷"}, By: "担当"}).Issue("INC-2026-0007-R01", 1, "担当 四郎")
		var b bytes.Buffer
		ok(t, d.DOCX(&b))
		got := wordText(t, b.Bytes())
		for _, blk := range d.Blocks {
			for _, s := range blk.Sentences {
				want := plainMarks(strings.NewReplacer("\x00", "[U+0000]", "\x1b", "[U+001B]").Replace(s.Text))
				if !strings.Contains(got, want) {
					t.Errorf("%s does not say %q", k, want)
				}
			}
			if blk.Table != nil {
				for _, row := range blk.Table.Rows {
					for _, cell := range row {
						if want := plainMarks(cell); !strings.Contains(got, want) {
							t.Errorf("%s does not say %q", k, want)
						}
					}
				}
			}
		}
		if bare := k.Draft(); strings.Contains(got, "出典") == bare && len(d.Sources) > 0 {
			t.Errorf("%s: its sources stand there: %t", k, !bare)
		}
	}
}

// TestWordFileOpens has LibreOffice open every Word file and print what it reads.
func TestWordFileOpens(t *testing.T) {
	office, err := exec.LookPath("soffice")
	if err != nil {
		t.Skip("no soffice (apt-get install libreoffice-writer-nogui)")
	}
	dir := t.TempDir()
	d := build(t, report.Full, facts(), report.Options{Language: i18n.Japanese, Era: true}).Issue("INC-2026-0007-R02", 3, "担当 四郎")
	var b bytes.Buffer
	ok(t, d.DOCX(&b))
	name := filepath.Join(dir, "full.docx")
	ok(t, os.WriteFile(name, b.Bytes(), 0o600))
	out, err := exec.CommandContext(t.Context(), office, "-env:UserInstallation=file://"+filepath.Join(dir, "profile"), "--headless", "--convert-to", "pdf", "--outdir", dir, name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pdf, err := os.ReadFile(filepath.Join(dir, "full.pdf"))
	ok(t, err)
	if keep := os.Getenv("HOZEN_KEEP_PDF"); keep != "" { // to be looked at
		ok(t, os.WriteFile(filepath.Join(keep, "word.pdf"), pdf, 0o600))
	}
	got := textOf(t, pdf)
	for _, want := range []string{"インシデント報告書", "INC-2026-0007-R02v3", "令和8年11月23日17:50", "想定される原因", "会計システムは使えない。メールと電話は使える。", "証拠管理台帳"} {
		if !strings.Contains(got, want) {
			t.Errorf("LibreOffice does not read %q", want)
		}
	}
}
