package console

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hozen/internal/verify"
)

func TestIncidentIsExported(t *testing.T) {
	x := newOffice(t, 20)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID + "/export"
	b.get("/incidents/"+x.incidentID).want(t, 200, `href="`+page+`"`, "証拠パッケージを書き出す")
	b.get(page).want(t, 200, "渡す相手", "目的", "まだありません。")
	b.post(page, url.Values{"purpose": {"p"}}).want(t, 422, "渡す相手")
	b.post(page, url.Values{"recipient": {"r"}, "purpose": {"p"}, "host": {"end_none"}}).want(t, 422)
	to := b.post(page, url.Values{"recipient": {"<b>県警</b>"}, "purpose": {"被害届"}}).want(t, 303).header.Get("Location")
	r := b.get(to).want(t, 200, "&lt;b&gt;県警&lt;/b&gt;", "ダウンロード", "is-ready")
	path := regexp.MustCompile(`/exports/exp_[0-9a-z]+/download`).FindString(r.body)
	got := b.get(path).want(t, 200)
	if d := got.header.Get("Content-Disposition"); !strings.Contains(d, `-P01.zip"`) || got.header.Get("Content-Type") != "application/zip" {
		t.Errorf("headers: %v", got.header)
	}
	file := filepath.Join(t.TempDir(), "p.zip")
	must(t, os.WriteFile(file, []byte(got.body), 0o600))
	report, err := verify.Package(t.Context(), file, verify.PackageAnchor{})
	must(t, err)
	if report.Verdict != verify.Consistent || len(report.Acquisitions) == 0 {
		t.Errorf("%s %+v", report.Verdict, report.Problems)
	}
	sum := sha256.Sum256([]byte(got.body))
	b.get(page).want(t, 200, hex.EncodeToString(sum[:]), "もう一度ダウンロード")
	b.get("/incidents/"+x.incidentID).want(t, 200, "を「&lt;b&gt;県警&lt;/b&gt;」に渡すために作成しました。")
	if n := len(x.acts("export.order")) + len(x.acts("export.written")); n != 2 {
		t.Errorf("%d entries", n)
	}
	x.as("owner", "en").get(page).want(t, 200, "Recipient", "Download again")
	x.person("reader", "閲覧のみ", "viewer")
	view := x.as("reader", "ja")
	if r := view.get("/incidents/"+x.incidentID).want(t, 200); strings.Contains(r.body, page) {
		t.Error("the button is offered to one who may not")
	}
	view.get(page).want(t, 403)
	view.post(page, url.Values{"recipient": {"r"}, "purpose": {"p"}}).want(t, 403)
	view.get(path).want(t, 403)
	b.get("/exports/exp_none/download").want(t, 404)
	if list, err := x.Exports(t.Context(), x.owner, x.incidentID); err != nil || len(list) != 1 {
		t.Errorf("%d packages, %v", len(list), err)
	}
}
