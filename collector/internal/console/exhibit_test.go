package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/sqldb"
	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
)

// handled has people do everything with the exhibits of the incident that they do.
func (x *office) handled() {
	x.t.Helper()
	ctx := x.t.Context()
	first := x.exhibitNumber()
	police := exhibit.Party{Person: "山田 花子", Organisation: "サンプル県警 サイバー犯罪対策課"}
	for _, e := range []exhibit.Event{
		{Type: exhibit.HandOver, To: police, Purpose: "被害届の提出に伴い、写しを渡した。", Place: "本社 3階 応接室", Medium: exhibit.Medium{Type: "USBメモリ 64GB", Serial: "4C530001", SealNo: "S-0077"}},
		{Type: exhibit.Return, From: police, To: exhibit.Party{Person: "田中 一郎", Organisation: "株式会社サンプル"}},
		{Type: exhibit.Note, Text: "封印に異常なし。\n" + evil},
	} {
		_, err := x.RecordCustody(ctx, x.owner, first, e)
		must(x.t, err)
	}
	_, err := x.VerifyExhibit(ctx, x.owner, first, "返却後の確認")
	must(x.t, err)
	must(x.t, x.DescribeExhibit(ctx, x.owner, first, map[exhibit.Field]string{exhibit.Witness: "総務 高橋", exhibit.Owner: "株式会社サンプル", exhibit.Description: "経理PCの揮発性情報"}))
	i, err := x.AddExhibit(ctx, x.owner, act.NewExhibit{IncidentID: x.incidentID, Kind: exhibit.Device, EndpointID: x.keiri.ID, Parent: first, Place: "経理部",
		Fields: map[exhibit.Field]string{exhibit.Description: "ノートPC本体。電源コード付き。", exhibit.Maker: "サンプル電機", exhibit.Model: "NX-100", exhibit.Serial: "PF3ABCDE", exhibit.AssetNo: "K-0012"}})
	must(x.t, err)
	x.device = "/incidents/" + x.incidentID + "/custody/" + i.Short()
	_, err = x.RecordCustody(ctx, x.owner, i.ID, exhibit.Event{Type: exhibit.HandOver, From: exhibit.Party{Person: "見知らぬ人"}, To: police})
	must(x.t, err)
	_, err = x.RecordCustody(ctx, x.owner, i.ID, exhibit.Event{Type: exhibit.Ship, From: police, To: exhibit.Party{Person: "鑑定 太郎", Organisation: "フォレンジック調査会社"}, Carrier: "サンプル運輸", TrackingNo: "1234-5678-9012"})
	must(x.t, err)
	must(x.t, x.HoldIncident(ctx, x.owner, x.incidentID, "損害賠償の訴訟が見込まれるため"))
}

func TestEveryWordOfCustody(t *testing.T) {
	p := i18ntest.Parity(t, sub("translations")).Printer(i18n.English)
	var keys []string
	for _, k := range exhibit.Kinds() {
		keys = append(keys, "exhibit.kind."+string(k))
	}
	for _, f := range exhibit.Fields() {
		keys = append(keys, "exhibit.field."+string(f))
	}
	for _, e := range exhibit.EventTypes() {
		keys = append(keys, "custody.event."+string(e), "ledger.act."+e.Act())
	}
	keys = append(keys, "ledger.act."+exhibit.ActAdd, "ledger.act."+exhibit.ActDescribe, "ledger.act."+exhibit.ActRetention, "ledger.act."+evidence.ActDisposed, "ledger.act.export.form", "ledger.act.custody.form")
	for _, e := range append(exhibit.Recordable(), exhibit.Collect, exhibit.Dispose, exhibit.Hold, exhibit.ReleaseHold) {
		keys = append(keys, "timeline.custody."+string(e))
	}
	for _, g := range []exhibit.GapCode{exhibit.GapTransit, exhibit.GapNotHolder, exhibit.GapOtherReceiver, exhibit.GapOrder, exhibit.GapNoStart, exhibit.GapNobody, exhibit.GapDisposed} {
		keys = append(keys, "custody.gap."+string(g))
	}
	keys = append(keys, "custody.result."+exhibit.ResultMatch, "custody.result."+exhibit.ResultMismatch, "timeline.custody",
		"custody.recorded", "custody.verified", "custody.differs", "custody.described", "custody.added", "custody.hold.begun", "custody.hold.ended")
	for _, k := range keys {
		if !p.Has(k) {
			t.Errorf("%s has no text", k)
		}
	}
}

func TestCustodyInTheConsole(t *testing.T) {
	x := newOffice(t, 20)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID + "/custody/E01"
	r := b.get("/incidents/"+x.incidentID).want(t, 200, "証拠物件", page, x.device, "保存期限を停止中", "損害賠償の訴訟が見込まれるため", "途切れ 2件", "フォレンジック調査会社", "田中 一郎")
	if !strings.Contains(r.body, `action="/incidents/`+x.incidentID+`/hold#custody"`) {
		t.Error("an owner cannot end the hold")
	}
	b.get(page).want(t, 200, "山田 花子", "S-0077", "総務 高橋", "以前:", "一致", "⟨U+202E⟩")
	b.get(x.device).want(t, 200, "発送したまま、受領の記録がない", "記録上の保管者でない人が渡した", "見知らぬ人", "1234-5678-9012", "PF3ABCDE")

	at := x.now().In(jst()).Format(localInput)
	send := func(path string, v url.Values, code int) reply {
		t.Helper()
		return b.post(path, v).want(t, code)
	}
	good := url.Values{"type": {"hand_over"}, "at": {at}, "to": {"佐々木"}, "to_organisation": {"弁護士事務所"}, "purpose": {"相談"}}
	send(page+"/record", good, http.StatusSeeOther)
	b.get(page).want(t, 200, "佐々木", "弁護士事務所", "相談")
	for field, v := range map[string]url.Values{
		"to":         {"type": {"hand_over"}, "at": {at}},
		"at":         {"type": {"note"}, "at": {"2040-01-01T00:00"}, "text": {"x"}},
		"text":       {"type": {"note"}, "at": {at}},
		"hash_after": {"type": {"verify"}, "at": {at}, "hash_after": {"abc"}},
	} {
		if r := send(page+"/record", v, http.StatusUnprocessableEntity); !strings.Contains(r.body, `class="wrong"`) {
			t.Errorf("%s: nothing is said beside the field", field)
		}
	}
	// The page was made before a colleague said who owns it, and what the serial number is.
	old := url.Values{"was-witness": {"総務 高橋"}, "witness": {""}, "was-description": {"経理PCの揮発性情報"}, "description": {"経理PCの揮発性情報"},
		"was-reason": {""}, "reason": {"1行目\r\n2行目"}, "was-serial": {""}, "serial": {""}, "was-owner": {""}, "owner": {""}}
	must(t, x.DescribeExhibit(t.Context(), x.owner, x.exhibitNumber(), map[exhibit.Field]string{exhibit.Serial: "X-1"}))
	b.get(page).want(t, 200, `name="was-serial" value="X-1"`, `name="was-witness" value="総務 高橋"`)
	send(page+"/describe", old, http.StatusSeeOther)
	e, _, err := x.Exhibit(t.Context(), x.owner, x.exhibitNumber())
	must(t, err)
	if e.Get(exhibit.Serial) != "X-1" || e.Get(exhibit.Owner) != "株式会社サンプル" || e.Get(exhibit.Witness) != "" || e.Get(exhibit.Reason) != "1行目\n2行目" {
		t.Errorf("%+v", e.Changes)
	}
	b.get(page).want(t, 200, "X-1", "（取り下げ）", "マニフェストの SHA-256") // the witness
	// Shown again with a fault beside it, the page is still the old one.
	old.Set("model", strings.Repeat("x", exhibit.MaxName+1))
	if r := send(page+"/describe", old, http.StatusUnprocessableEntity); !strings.Contains(r.body, `name="was-serial" value=""`) {
		t.Error("the page forgets what it said")
	}
	send(page+"/verify", nil, http.StatusSeeOther)
	send("/incidents/"+x.incidentID+"/custody/new", url.Values{"kind": {"paper"}, "at": {at}}, http.StatusUnprocessableEntity)
	made := send("/incidents/"+x.incidentID+"/custody/new", url.Values{"kind": {"paper"}, "at": {at}, "description": {"印刷した警告画面"}, "acquired_by": {"鈴木"}}, http.StatusSeeOther)
	b.get(made.header.Get("Location")).want(t, 200, "印刷した警告画面", "鈴木", "書類")
	send("/incidents/"+x.incidentID+"/hold", url.Values{"deed": {"release"}}, http.StatusUnprocessableEntity)
	send("/incidents/"+x.incidentID+"/hold", url.Values{"deed": {"release"}, "reason": {"和解"}}, http.StatusSeeOther)
	send("/incidents/"+x.incidentID+"/hold", url.Values{"deed": {"release"}, "reason": {"和解"}}, http.StatusConflict)
	for _, path := range []string{"/incidents/" + x.incidentID + "/custody/E99", "/incidents/" + x.incidentID + "/custody/e01", "/incidents/inc_x/custody/E01"} {
		b.get(path).want(t, http.StatusNotFound)
	}

	v := x.as("view", "ja")
	if r := v.get(page).want(t, 200, "山田 花子"); strings.Contains(r.body, "/record") || strings.Contains(r.body, "/describe") || strings.Contains(r.body, "/verify") {
		t.Error("a viewer is offered what the acts refuse")
	}
	v.post(page+"/record", good).want(t, http.StatusForbidden)
	v.get("/incidents/"+x.incidentID+"/custody/new").want(t, http.StatusForbidden)
	v.post("/incidents/"+x.incidentID+"/hold", url.Values{"deed": {"hold"}, "reason": {"x"}}).want(t, http.StatusForbidden)

	must(t, x.CloseIncident(t.Context(), x.owner, x.incidentID, "終息"))
	must(t, x.SetRetention(t.Context(), x.owner, 30))
	b.get(page).want(t, 200, clock(x.now().AddDate(0, 0, 30))[:10])
	must(t, x.SetRetention(t.Context(), x.owner, 0))
	b.get(page).want(t, 200, "期限なし（責任者の判断で廃棄可）")
	g, err := x.DisposalOf(t.Context(), x.owner, x.exhibitNumber())
	must(t, err)
	_, err = x.DisposeExhibit(t.Context(), x.owner, g.Exhibit.ID, "保存期間の終了", g.Fingerprint())
	must(t, err)
	b.get(page).want(t, 200, "廃棄済み", "内容をコレクターから完全に消去しました", "保存期間の終了")
	if r := b.get("/incidents/"+x.incidentID).want(t, 200, "廃棄済み"); strings.Contains(r.body, x.processes+"/download") {
		t.Error("what was disposed of is offered")
	}
	b.get("/evidence/"+x.processes).want(t, http.StatusGone, "廃棄")
	// As if the disk had failed between the order and the removal.
	reopen := func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE evidence_disposal SET finished_at = ''`)
		return err
	}
	must(t, x.db.Tx(t.Context(), reopen))
	if r := b.get(page).want(t, 200, "内容の消去がまだ終わっていません"); strings.Contains(r.body, "完全に消去しました") {
		t.Error("it is said to be gone")
	}
	must(t, x.HoldIncident(t.Context(), x.owner, x.incidentID, "訴訟"))
	b.get(page).want(t, 200, "残っている内容は停止中は消去しません")
	b.get("/incidents/"+x.incidentID).want(t, 200, "残っている内容は停止中は消去しません", x.exhibitNumber())
	b.get("/evidence/"+x.processes+"/download").want(t, http.StatusGone, "廃棄")
	if x.log.Len() > 0 {
		t.Errorf("the console logged:\n%s", x.log)
	}
}

// exhibitNumber is the number of the first exhibit of the incident.
func (x *office) exhibitNumber() string {
	x.t.Helper()
	c, err := x.Custody(x.t.Context(), x.owner, x.incidentID)
	must(x.t, err)
	return c.Items[0].Number
}
