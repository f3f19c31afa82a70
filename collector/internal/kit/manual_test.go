package kit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/kit"
	"hozen/internal/digest"
	"hozen/internal/id"
	"hozen/internal/usbkit"
)

// TestManualIsOnePage: what the person at the PC gets fits one side of A4 as a browser prints it, in
// both languages, also with long names.
func TestManualIsOnePage(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium (apt-get install chromium fonts-noto-cjk)")
	}
	if _, err := exec.LookPath("pdfinfo"); err != nil {
		t.Skip("needs pdfinfo (apt-get install poppler-utils)")
	}
	m := newMaker(t)
	k := m.made.Kit
	k.Organisation.Name, k.MadeBy, k.Language = strings.Repeat("株式会社保全サンプル", 4), "情報システム部 山田 太郎", "ja"
	k.IncidentID, k.Incident, k.MadeAt = id.New(id.Incident), "INC-2026-0007", time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	made, err := kit.Make(m.order(k, usbkit.File{Name: usbkit.LinuxAgent, SHA256: digest.Of([]byte("agent")).String(), Size: 5}))
	must(t, err)
	dir := t.TempDir()
	for _, language := range []string{"ja", "en"} {
		name := "MANUAL-" + language
		must(t, os.WriteFile(filepath.Join(dir, name+".html"), made.Files[name+".html"], 0o600))
		cmd := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--user-data-dir="+filepath.Join(dir, "browser"),
			"--no-pdf-header-footer", "--print-to-pdf="+filepath.Join(dir, name+".pdf"), "file://"+filepath.Join(dir, name+".html"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("print: %v\n%s", err, out)
		}
		out, err := exec.CommandContext(t.Context(), "pdfinfo", filepath.Join(dir, name+".pdf")).CombinedOutput()
		must(t, err)
		if !regexp.MustCompile(`(?m)^Pages: +1$`).Match(out) || !regexp.MustCompile(`(?m)^Page size: .*\(A4\)$`).Match(out) {
			t.Errorf("%s is not one page of A4:\n%s", name, out)
		}
	}
}
