package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	lines "hozen/internal/artifact/record"
	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
)

// written has people write down what they write about the office's incident.
func (x *office) written() {
	x.t.Helper()
	ctx := x.t.Context()
	set := func(n act.NewAnswer) {
		x.t.Helper()
		n.After = act.AnyVersion
		_, err := x.SetAnswer(ctx, x.owner, x.incidentID, n)
		must(x.t, err)
	}
	set(act.NewAnswer{Item: record.Type, State: record.Estimated, Value: record.Value{Types: []string{"malware", "leak"}}})
	set(act.NewAnswer{Item: record.People, State: record.Known, Value: record.Value{Fields: map[record.Field]string{record.Responsible: "総務部 田中 一郎", record.ResponsiblePhone: "090-0000-0000", record.Handlers: "佐藤 花子\n" + evil}}})
	set(act.NewAnswer{Item: record.OccurredAt, State: record.Estimated, Value: record.Value{At: x.now().Add(-48 * time.Hour), Until: x.now().Add(-time.Hour), Confidence: record.Middle, Fields: map[record.Field]string{record.How: "添付ファイルの受信日時"}}, Basis: record.Basis{Evidence: []string{x.exhibitNumber()}}})
	set(act.NewAnswer{Item: record.Symptoms, State: record.Known, Value: record.Value{Fields: map[record.Field]string{record.What: "見たことのない警告画面が出た。𠮷野家 👩‍💻", record.Where: "経理部", record.Impact: evil}}})
	set(act.NewAnswer{Item: record.Cause, State: record.Unknown})
	set(act.NewAnswer{Item: record.Cause, State: record.Estimated, Value: record.Value{Fields: map[record.Field]string{record.Category: "mail", record.Text: "請求書に見せかけた添付ファイル"}}, Reason: "利用者への聞き取り"})
	set(act.NewAnswer{Item: record.Assets, State: record.Known, Value: record.Value{Fields: map[record.Field]string{record.Services: "レンタルサーバー"}, Facts: []record.Fact{{Kind: record.FactDevice, EndpointID: x.keiri.ID, Host: evil, Name: "debian 12.11", Detail: "6.1.0, x86_64", Evidence: x.exhibitNumber(), At: x.now()}}}})
	_, err := x.RecordDecision(ctx, x.owner, x.incidentID, record.Decision{Kind: record.DecideStop, Options: "全社のメールを止める\n経理部だけ止める", Facts: "同じ添付ファイルが3人に届いている\n" + evil, Decision: "経理部だけ止める", Reason: "受注の業務を続けるため", Decider: "社長 " + evil})
	must(x.t, err)
	_, err = x.RecordEnquiry(ctx, x.owner, x.incidentID, record.Enquiry{Who: "株式会社取引先 山本", Contact: "03-0000-0000", Channel: record.ByPhone, Question: "不審なメールが届いた\n" + evil})
	must(x.t, err)
	_, err = x.RecordEnquiry(ctx, x.owner, x.incidentID, record.Enquiry{Follows: 1, Who: "株式会社取引先 山本", Channel: record.ByPhone, Answer: "開かずに削除するようお願いした"})
	must(x.t, err)
	_, err = x.RecordEnquiry(ctx, x.owner, x.incidentID, record.Enquiry{Who: evil, Contact: evil, Channel: record.ByLetter, Question: "?", Answer: evil})
	must(x.t, err)
	u, err := x.BeginUpload(ctx, x.owner, act.NewUpload{IncidentID: x.incidentID, Size: -1, File: record.File{Source: record.UTM, Name: "utm_𠮷.log", Device: "本社UTM", Person: "佐藤 花子", ClockKnown: true, ClockOffset: -90 * time.Second, ClockNote: "時報と比較 " + evil}})
	must(x.t, err)
	_, err = x.AppendUpload(ctx, x.owner, u.ID, 0, strings.NewReader("UTMのログ"))
	must(x.t, err)
	u, err = x.FinishUpload(ctx, x.owner, u.ID)
	must(x.t, err)
	x.sent = "/incidents/" + x.incidentID + "/custody/" + u.Exhibit[strings.LastIndex(u.Exhibit, "-")+1:]
	_, err = x.BeginUpload(ctx, x.owner, act.NewUpload{IncidentID: x.incidentID, Size: 5 << 30, File: record.File{Source: record.DiskImage, Name: "disk.img", Person: "佐藤 花子"}})
	must(x.t, err)
}

func TestEveryWordOfTheRecord(t *testing.T) {
	p := i18ntest.Parity(t, sub("translations")).Printer(i18n.English)
	want := func(prefix string, values ...string) {
		for _, v := range values {
			if !p.Has(prefix + v) {
				t.Errorf("%s%s has no text", prefix, v)
			}
		}
	}
	for _, i := range append(record.Items(), record.KnownAt) {
		want("record.item.", string(i))
		if i.Answerable() {
			want("record.hint.", string(i))
		}
		for _, f := range i.Fields() {
			want("record.field.", string(f))
		}
	}
	for _, s := range record.States() {
		want("record.state.", string(s), "what."+string(s))
	}
	want("record.cause.", record.Causes()...)
	want("record.confidence.", record.Confidences()...)
	want("record.tool.", lines.SecurityRunning, lines.SecurityInstalled, lines.SecurityDisabled, lines.SecurityAbsent, lines.SecurityUnknown)
	want("record.source.", string(act.FromReport), string(act.FromOrganisation), string(act.FromFirstSeen), string(act.FromInventory))
	for _, k := range record.DecisionKinds() {
		want("decision.kind.", string(k))
	}
	for _, c := range record.Channels() {
		want("enquiry.channel.", string(c))
	}
	for _, s := range record.Sources() {
		want("upload.source.", string(s))
	}
	for _, c := range append(incident.CloseCodes(), incident.Merged) {
		want("incident.close_code.", string(c))
	}
	want("ledger.act.", record.ActAnswer, record.ActDecide, record.ActEnquire, "incident.reopen", "incident.merge", "incident.split", incident.ActLine, incident.ActSeal, incident.ActExpect, record.ActBegin, record.ActUpload, record.ActForget)
	want("", "record.answered", "record.changed", "record.decided", "record.enquired", "lifecycle.reopened", "lifecycle.merged", "lifecycle.split", "upload.received", "upload.dropped", "error.upload_pieces.title", "error.upload_pieces.next")
}

func TestRecordInTheConsole(t *testing.T) {
	x := newOffice(t, 20)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID + "/record"
	b.get("/incidents/"+x.incidentID).want(t, 200, `href="`+page+`"`, "6 / 9 項目に回答", "記録「想定される原因」に回答しました（第2版・推定）", "判断を記録しました: 業務やサービスを止めるか", "問い合わせがありました（電話）")
	r := b.get(page).want(t, 200, "10. セキュリティ対策ツール", "総務部 田中 一郎", "𠮷野家", "添付ファイルの受信日時", "利用者への聞き取り", "請求書に見せかけた添付ファイル", "以前の回答 1件", "未回答", "debian 12.11", "⟨U+202E⟩",
		"このインシデントを開いた報告から", page+"/discovered_at/accept", "この内容で記録する")
	for _, wrong := range []string{`action="` + page + `/type/accept"`, `action="` + page + `/timeline`, `class="badge ok"><svg class="icon icon-question"`} {
		if strings.Contains(r.body, wrong) {
			t.Errorf("the record has %s", wrong)
		}
	}

	// One click takes the suggestion; the page of before then suggests nothing any more.
	g, err := x.Suggestions(t.Context(), x.owner, x.incidentID)
	must(t, err)
	for _, s := range g {
		if s.Item == record.DiscoveredAt {
			yes := url.Values{"fingerprint": {s.Fingerprint()}}
			b.post(page+"/discovered_at/accept", yes).want(t, http.StatusSeeOther)
			b.post(page+"/discovered_at/accept", yes).want(t, http.StatusSeeOther)
			b.get(page).want(t, 200, "表示後に内容が変わりました")
		}
	}

	// Item 4 is corrected only with a reason, and what it said before stays.
	edit := b.get(page+"/discovered_at").want(t, 200, `name="after" value="1"`, "理由が必要です")
	_ = edit
	was := x.now().Add(-5 * time.Hour).In(jst()).Format(localInput)
	again := url.Values{"state": {"known"}, "after": {"1"}, "at": {was}, "facts": {"keep"}}
	b.post(page+"/discovered_at", again).want(t, http.StatusUnprocessableEntity, "入力してください", was)
	again.Set("reason", "監視カメラの時刻")
	b.post(page+"/discovered_at", again).want(t, http.StatusSeeOther)
	b.post(page+"/discovered_at", again).want(t, http.StatusSeeOther) // the same answer again
	b.get(page).want(t, 200, "監視カメラの時刻", "第2版")
	again.Set("at", x.now().Add(-6*time.Hour).In(jst()).Format(localInput))
	b.post(page+"/discovered_at", again).want(t, http.StatusConflict) // the page was made before

	// Unknown is an answer, whatever is still filled in.
	b.post(page+"/known_at", url.Values{"state": {"unknown"}, "after": {"0"}, "at": {was}}).want(t, http.StatusSeeOther)
	b.post(page+"/tools", url.Values{"state": {"unknown"}, "after": {"0"}}).want(t, http.StatusSeeOther)
	b.post(page+"/type", url.Values{"state": {"known"}, "after": {"1"}, "primary": {"ransomware"}, "types": {"leak", "malware"}}).want(t, http.StatusSeeOther)
	b.get("/incidents/"+x.incidentID).want(t, 200, "<dd>ランサムウェア感染</dd>")
	for name, v := range map[string]url.Values{
		"state":    {"state": {"sure"}, "after": {"2"}, "primary": {"leak"}},
		"primary":  {"state": {"known"}, "after": {"2"}},
		"evidence": {"state": {"known"}, "after": {"2"}, "primary": {"leak"}, "evidence": {"INC-1"}},
	} {
		if r := b.post(page+"/type", v).want(t, http.StatusUnprocessableEntity); !strings.Contains(r.body, `class="wrong"`) {
			t.Errorf("%s: nothing is said beside the field", name)
		}
	}
	// In a form words stand as they were written, so that sending them changes none.
	for _, item := range []string{"/people", "/symptoms"} {
		if r := b.get(page+item).want(t, 200, "&lt;script&gt;alert(1)"); strings.Contains(r.body, "<script>alert") || strings.Contains(r.body, "<img src=x") {
			t.Errorf("%s: words became markup", item)
		}
	}
	// Facts are kept or given up as they are; nobody writes others.
	b.get(page+"/assets").want(t, 200, `name="facts" value="keep" checked`)
	b.post(page+"/assets", url.Values{"state": {"known"}, "after": {"1"}, "facts": {"keep"}, "devices": {"ルーター"}}).want(t, http.StatusSeeOther)
	sheet, err := x.Record(t.Context(), x.owner, x.incidentID)
	must(t, err)
	if v, _ := sheet.Get(record.Assets); len(v.Value.Facts) != 1 || v.Value.Get(record.Devices) != "ルーター" {
		t.Errorf("%+v", v.Value)
	}
	if v, _ := sheet.Get(record.KnownAt); v.State != record.Unknown || !v.Value.At.IsZero() {
		t.Errorf("%+v", v)
	}
	b.post(page+"/symptoms", url.Values{"state": {"known"}, "after": {"1"}, "what": {strings.Repeat("あ", 1300)}, "where": {strings.Repeat("い", 1300)}, "why": {strings.Repeat("う", 1300)}, "how": {strings.Repeat("え", 1300)}}).want(t, http.StatusSeeOther)
	for _, path := range []string{page + "/timeline", page + "/none", "/incidents/inc_x/record"} {
		b.get(path).want(t, http.StatusNotFound)
	}
	b.get(page+"/occurred_at").want(t, 200, `name="confidence"`, x.exhibitNumber(), "添付ファイルの受信日時")

	v := x.as("view", "ja")
	if r := v.get(page).want(t, 200, "総務部 田中 一郎"); strings.Contains(r.body, "/accept") || strings.Contains(r.body, page+"/type") {
		t.Error("a viewer is offered what the acts refuse")
	}
	v.get(page+"/type").want(t, http.StatusForbidden)
	v.post(page+"/type", url.Values{"state": {"unknown"}, "after": {"2"}}).want(t, http.StatusForbidden)
	if x.log.Len() > 0 {
		t.Errorf("the console logged:\n%s", x.log)
	}
}

func TestDecisionsAndEnquiriesInTheConsole(t *testing.T) {
	x := newOffice(t, 20)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID
	at := x.now().In(jst()).Format(localInput)
	b.get(page+"/decisions?kind=pay").want(t, 200, "経理部だけ止める", "受注の業務を続けるため", "助言はしません", `value="pay" selected`, "⟨U+202E⟩")
	whole := url.Values{"kind": {"pay"}, "decided_at": {at}, "options": {"払う"}, "facts": {"複号できる保証がない"}, "decision": {"払わない"}, "reason": {"警察に相談した"}, "decider": {"社長"}}
	for name := range whole {
		v := url.Values{}
		for k, w := range whole {
			if k != name {
				v[k] = w
			}
		}
		b.post(page+"/decisions", v).want(t, http.StatusUnprocessableEntity, `class="wrong"`)
	}
	b.post(page+"/decisions", whole).want(t, http.StatusSeeOther)
	b.get(page+"/decisions").want(t, 200, "複号できる保証がない", "2. 要求された金銭を支払うか")
	b.get(page).want(t, 200, "決めた人: 社長")

	b.get(page+"/enquiries").want(t, 200, "株式会社取引先 山本", "開かずに削除するようお願いした", "問い合わせ1の続き")
	ask := url.Values{"who": {"顧客"}, "channel": {"mail"}, "asked_at": {at}, "question": {"うちの情報は無事か"}}
	b.post(page+"/enquiries", ask).want(t, http.StatusSeeOther)
	b.get(page+"/enquiries").want(t, 200, "うちの情報は無事か", "未回答 1件")
	b.get(page+"/enquiries?follows=4").want(t, 200, `name="follows" value="4"`, `value="mail" selected`)
	b.post(page+"/enquiries", url.Values{"follows": {"4"}, "who": {"顧客"}, "channel": {"mail"}, "asked_at": {at}, "answer": {"調査中と返信"}}).want(t, http.StatusSeeOther)
	if r := b.get(page+"/enquiries").want(t, 200, "調査中と返信"); strings.Contains(r.body, "未回答 1件") {
		t.Error("it is answered")
	}
	for name, v := range map[string]url.Values{
		"channel": {"who": {"顧客"}, "channel": {"smoke"}, "asked_at": {at}, "question": {"?"}}, "follows": {"who": {"顧客"}, "channel": {"mail"}, "asked_at": {at}, "question": {"?"}, "follows": {"99"}},
		"asked_at": {"who": {"顧客"}, "channel": {"mail"}, "asked_at": {"2090-01-01T00:00"}, "question": {"?"}}, "question": {"who": {"顧客"}, "channel": {"mail"}, "asked_at": {at}},
	} {
		if r := b.post(page+"/enquiries", v).want(t, http.StatusUnprocessableEntity); !strings.Contains(r.body, `class="wrong"`) {
			t.Errorf("%s: nothing is said beside the field", name)
		}
	}
	v := x.as("view", "ja")
	// Who only looks reads neither, and is shown no link to them.
	for _, path := range []string{"/decisions", "/enquiries"} {
		v.get(page+path).want(t, http.StatusForbidden)
		if r := v.get(page).want(t, 200); strings.Contains(r.body, `href="`+page+path+`"`) {
			t.Errorf("whoever only looks gets a link to %s", path)
		}
	}
	v.post(page+"/decisions", whole).want(t, http.StatusForbidden)
	v.post(page+"/enquiries", ask).want(t, http.StatusForbidden)
	if x.log.Len() > 0 {
		t.Errorf("the console logged:\n%s", x.log)
	}
}

func TestLifeOfAnIncidentInTheConsole(t *testing.T) {
	x := newOffice(t, 20)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID
	made := b.post("/incidents/new", url.Values{"title": {"電話で報告"}, "discovered": {x.now().In(jst()).Format(localInput)}, "endpoint": {x.keiri.ID}}).want(t, http.StatusSeeOther)
	if to := made.header.Get("Location"); to != page {
		t.Errorf("a report of the same PC went to %s", to)
	}
	b.get(page).want(t, 200, "電話で報告")
	made = b.post("/incidents/new", url.Values{"title": {"別件"}, "discovered": {x.now().In(jst()).Format(localInput)}, "endpoint": {x.keiri.ID}, "separate": {"1"}}).want(t, http.StatusSeeOther)
	other := made.header.Get("Location")
	if other == page {
		t.Fatal("a separate incident was asked for")
	}
	b.get(page+"/lifecycle").want(t, 200, "別のインシデントにまとめる", "別件", "分ける端末")
	b.post(page+"/split", url.Values{"endpoint": {x.sales.ID}, "title": {"営業の件"}}).want(t, http.StatusUnprocessableEntity, `class="wrong"`, "営業の件", `value="`+x.sales.ID+`" checked`)
	b.post(page+"/split", url.Values{"title": {"営業の件"}, "reason": {"無関係"}}).want(t, http.StatusUnprocessableEntity, `class="wrong"`)
	split := b.post(page+"/split", url.Values{"endpoint": {x.sales.ID}, "title": {"営業の件"}, "reason": {"無関係"}}).want(t, http.StatusSeeOther)
	b.get(split.header.Get("Location")).want(t, 200, "営業の件", "元のインシデントを見る", "から分けて開きました")
	b.post(other+"/merge", url.Values{"into": {""}, "reason": {"x"}}).want(t, http.StatusUnprocessableEntity, `class="wrong"`)
	b.post(other+"/merge", url.Values{"into": {x.incidentID}, "reason": {"同じメール"}}).want(t, http.StatusSeeOther)
	b.get(other).want(t, 200, "まとめた先を見る", page)
	b.get(other+"/lifecycle").want(t, 200, "まとめた先を見る")
	b.get(page).want(t, 200, "をこのインシデントにまとめました")
	b.post(other+"/reopen", url.Values{"reason": {"x"}}).want(t, http.StatusConflict)

	b.get(page+"/close").want(t, 200, "誤報だった")
	b.post(page+"/close", url.Values{"code": {"merged"}, "reason": {"x"}}).want(t, http.StatusUnprocessableEntity, `class="wrong"`)
	b.post(page+"/close", url.Values{"code": {"false_alarm"}, "reason": {"訓練のメールだった"}}).want(t, http.StatusSeeOther)
	b.get(page).want(t, 200, "誤報と分かり、インシデントを終了しました", "誤報だった", page+"/lifecycle")
	b.post(page+"/reopen", nil).want(t, http.StatusUnprocessableEntity)
	b.post(page+"/reopen", url.Values{"reason": {"やはり本物"}}).want(t, http.StatusSeeOther)
	b.get(page).want(t, 200, "インシデントを再開しました", "やはり本物")
	v := x.as("view", "ja")
	v.get(page+"/lifecycle").want(t, http.StatusForbidden)
	v.post(page+"/merge", url.Values{"into": {"x"}, "reason": {"x"}}).want(t, http.StatusForbidden)
	if x.log.Len() > 0 {
		t.Errorf("the console logged:\n%s", x.log)
	}
}
