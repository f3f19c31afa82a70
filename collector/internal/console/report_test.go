package console

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/report"
	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
)

// documented has people issue documents of the office's incident.
func (x *office) documented() {
	x.t.Helper()
	ctx := x.t.Context()
	n := act.NewReport{IncidentID: x.incidentID, Kind: report.Owner, Language: i18n.Japanese, Added: map[string]string{"works": "会計システムは使えません。" + evil}}
	r, _, err := x.IssueReport(ctx, x.owner, n)
	must(x.t, err)
	n.Added["decide"] = "取引先に知らせるか（今日の18時まで）"
	_, _, err = x.IssueReport(ctx, x.owner, n)
	must(x.t, err)
	must(x.t, x.RecordSending(ctx, x.owner, r.ID, act.SentReport{Version: 2, Recipient: "社長 田中 " + evil, Channel: report.ByHand, Note: "口頭でも説明した。"}))
	x.report = reportPath(r)
	_, _, err = x.IssueReport(ctx, x.owner, act.NewReport{IncidentID: x.incidentID, Kind: report.PPC, Language: i18n.Japanese})
	must(x.t, err)
}

func TestEveryWordOfReports(t *testing.T) {
	p := i18ntest.Parity(t, sub("translations")).Printer(i18n.English)
	var keys []string
	for _, k := range report.Kinds() {
		keys = append(keys, "report.kind."+string(k), "report.what."+string(k))
		for _, s := range report.Stages(k) {
			if k == report.PPC {
				keys = append(keys, "report.stage.ppc."+string(s))
			} else {
				keys = append(keys, "report.stage."+string(s))
			}
		}
	}
	for _, c := range report.Channels() {
		keys = append(keys, "report.channel."+string(c))
	}
	for _, l := range i18n.Languages() {
		keys = append(keys, "language."+string(l))
	}
	keys = append(keys, "timeline."+string(incident.EntryReport), "timeline.report.issued", "timeline.report.sent", "ledger.act."+report.ActIssue, "ledger.act."+report.ActSend, "ledger.act."+report.ActFill, "timeline.report.filled", "report.issued", "report.sent")
	for _, k := range keys {
		if !p.Has(k) {
			t.Errorf("%s has no text", k)
		}
	}
}

var (
	seenField = regexp.MustCompile(`name="seen" value="([0-9a-f]{64})"`)
	placeOf   = regexp.MustCompile(`/incidents/inc_[0-9a-z]+/reports/R\d+`)
)

func TestReportsInTheConsole(t *testing.T) {
	x := newOffice(t, 20)
	x.documented()
	b := x.as("owner", "ja")
	list := "/incidents/" + x.incidentID + "/reports"
	b.get("/incidents/"+x.incidentID).want(t, 200, `href="`+list+`"`)
	b.get(list).want(t, 200, "経営者向け1枚を作る", list+"/new/owner", list+"/new/ppc", "INC-", "-R01", "送付 1件")
	for _, k := range report.Kinds() {
		r := b.get(list+"/new/"+string(k)).want(t, 200, "この内容で発行する")
		inertPage(t, string(k), r)
	}
	b.get(list+"/new/poem").want(t, http.StatusNotFound)
	b.get(x.report).want(t, 200, "v2", "v1 からの変更", "取引先に知らせるか", "社長 田中", "口頭でも説明した。", "⟨U+202E⟩")
	b.get(x.report+"?version=1").want(t, 200, "会計システムは使えません。")
	for _, path := range []string{x.report + "?version=9", x.report + "?version=x", list + "/R99", list + "/X01", x.report + "/1/exe", x.report + "/9/pdf", x.report + "/x/pdf"} {
		b.get(path).want(t, http.StatusNotFound)
	}
	for format, want := range map[string]string{"pdf": "%PDF", "docx": "PK", "txt": "経営者向け報告", "json": `"kind": "owner"`} {
		r := b.get(x.report+"/2/"+format).want(t, 200)
		if !strings.Contains(r.body, want) || !strings.HasPrefix(r.header.Get("Content-Disposition"), "attachment") || !strings.Contains(r.header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s: %v", format, r.header)
		}
	}
	// The words of the newest version come back; the draft is looked at, changed and issued.
	page := b.get(list+"/new/owner").want(t, 200, "会計システムは使えません。", "次の文字は PDF では番号で示されます", "[U+202E]")
	seen := seenField.FindStringSubmatch(page.body)
	if seen == nil {
		t.Fatal("the draft has no digest")
	}
	v := url.Values{"language": {"ja"}, "added-next": {"19時に電話します。"}, "deed": {"preview"}}
	r := b.post(list+"/new/owner", v).want(t, 200, "19時に電話します。")
	seen = seenField.FindStringSubmatch(r.body)
	must(t, x.AddNote(t.Context(), x.owner, x.incidentID, "メモ"))
	v.Set("deed", "issue")
	v.Set("seen", strings.Repeat("0", 64))
	b.post(list+"/new/owner", v).want(t, http.StatusConflict, "記録が変わったか、言葉や設定を変えました", "19時に電話します。")
	v.Set("seen", seen[1])
	r = b.post(list+"/new/owner", v).want(t, http.StatusSeeOther)
	if got := r.header.Get("Location"); got != x.report || !placeOf.MatchString(got) {
		t.Errorf("issued at %s", got)
	}
	b.get(x.report).want(t, 200, "v3", "19時に電話します。", "v2 からの変更")
	// Forms that are refused come back with what was typed.
	b.post(list+"/new/owner", url.Values{"language": {"ja"}, "stage": {"final"}, "deed": {"issue"}}).want(t, http.StatusUnprocessableEntity)
	at := x.now().In(jst()).Format(localInput)
	for field, v := range map[string]url.Values{
		"recipient": {"version": {"1"}, "channel": {"hand"}, "sent_at": {at}},
		"channel":   {"version": {"1"}, "channel": {"pigeon"}, "sent_at": {at}, "recipient": {"x"}},
		"sent_at":   {"version": {"1"}, "channel": {"hand"}, "sent_at": {"2040-01-01T00:00"}, "recipient": {"x"}},
		"version":   {"version": {"77"}, "channel": {"hand"}, "sent_at": {at}, "recipient": {"x"}},
	} {
		if r := b.post(x.report+"/sent/new", v).want(t, http.StatusUnprocessableEntity); !strings.Contains(r.body, `class="wrong"`) {
			t.Errorf("%s: nothing is said beside the field", field)
		}
	}
	b.post(x.report+"/sent/new", url.Values{"version": {"3"}, "channel": {"mail"}, "sent_at": {at}, "recipient": {"顧問弁護士"}}).want(t, http.StatusSeeOther)
	b.get(x.report).want(t, 200, "顧問弁護士")
	if r := b.post(list+"/custody-form", nil).want(t, 200); !strings.HasPrefix(r.body, "%PDF") {
		t.Error("no custody form")
	}
	// Who only looks can read, and gets no buttons.
	viewer := x.as("view", "en")
	// Documents print the decisions, which not everybody reads.
	for _, path := range []string{list, list + "/new/owner", x.report, list + "/workbook"} {
		viewer.get(path).want(t, http.StatusForbidden)
	}
	if r := viewer.get("/incidents/"+x.incidentID).want(t, 200); strings.Contains(r.body, list) {
		t.Error("a viewer is led to documents")
	}
	x.person("auditor2", "監査", operator.Auditor)
	auditor := x.as("auditor2", "en")
	auditor.get(x.report).want(t, 200)
	if r := auditor.get(list).want(t, 200); strings.Contains(r.body, "/new/owner") {
		t.Error("an auditor is offered to issue")
	}
	viewer.post(list+"/new/owner", url.Values{"language": {"en"}, "deed": {"issue"}}).want(t, http.StatusForbidden)
	viewer.post(x.report+"/sent/new", url.Values{"version": {"1"}, "channel": {"hand"}, "sent_at": {at}, "recipient": {"x"}}).want(t, http.StatusForbidden)
	viewer.post(list+"/custody-form", nil).want(t, http.StatusForbidden)
}

// workbookForm is a form with a file in it, as browsers send it.
func workbookForm(t *testing.T, workbook []byte, cells string) (body *bytes.Buffer, kind string) {
	t.Helper()
	body = &bytes.Buffer{}
	m := multipart.NewWriter(body)
	p, err := m.CreateFormFile("workbook", "様式2.xlsx")
	must(t, err)
	_, err = p.Write(workbook)
	must(t, err)
	must(t, m.WriteField("cells", cells))
	must(t, m.Close())
	return body, m.FormDataContentType()
}

func TestOfficialFormIsFilled(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "ja")
	path := "/incidents/" + x.incidentID + "/reports/workbook"
	b.get(path).want(t, 200, "discovered_at", "セルの対応")
	send := func(b *browser, workbook []byte, cells string) reply {
		body, kind := workbookForm(t, workbook, cells)
		return b.do(http.MethodPost, path, body, http.Header{"Content-Type": {kind}, "Sec-Fetch-Site": {"same-origin"}})
	}
	f := excelize.NewFile()
	var blank bytes.Buffer
	must(t, f.Write(&blank))
	must(t, f.Close())
	r := send(b, blank.Bytes(), "Sheet1!B4 = case_number\r\nSheet1!B5 = title").want(t, 200)
	if !strings.HasPrefix(r.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%v", r.header)
	}
	got, err := excelize.OpenReader(strings.NewReader(r.body))
	must(t, err)
	if v, _ := got.GetCellValue("Sheet1", "B4"); !strings.HasPrefix(v, "INC-") {
		t.Errorf("B4 says %q", v)
	}
	must(t, got.Close())
	b.get("/incidents/"+x.incidentID).want(t, 200, "公式の様式（Excel）に記入しました。")
	for name, c := range map[string]struct {
		workbook []byte
		cells    string
	}{"no file": {nil, "Sheet1!B4 = title"}, "no workbook": {[]byte("PK"), "Sheet1!B4 = title"}, "no list": {blank.Bytes(), ""}, "no sheet": {blank.Bytes(), "Sheet9!B4 = title"}} {
		if r := send(b, c.workbook, c.cells).want(t, http.StatusUnprocessableEntity); !strings.Contains(r.body, `class="wrong"`) {
			t.Errorf("%s: nothing is said beside the field", name)
		}
	}
	send(b, make([]byte, 6<<20), "Sheet1!B4 = title").want(t, http.StatusRequestEntityTooLarge)
	send(x.as("view", "ja"), blank.Bytes(), "Sheet1!B4 = title").want(t, http.StatusForbidden)
	b.post(path, nil).want(t, http.StatusUnsupportedMediaType)
}
