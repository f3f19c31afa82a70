package console

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/deadline"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/playbook"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
)

// planned has people do what they do with the playbook, the contacts and the deadlines.
func (x *office) planned() {
	x.t.Helper()
	ctx := x.t.Context()
	mark := func(item string, m act.ItemMark) {
		x.t.Helper()
		must(x.t, x.MarkItem(ctx, x.owner, x.incidentID, item, m))
	}
	mark("malware.detect.1", act.ItemMark{State: playbook.Done})
	mark("base.detect.2", act.ItemMark{State: playbook.NotApplicable, Note: "社内で気づいた\n" + evil})
	mark("malware.organize.1", act.ItemMark{State: playbook.Done, Note: "責任者: 田中、担当: 佐藤"})
	mark("malware.organize.1", act.ItemMark{State: playbook.Open})
	mark("malware.recover.1", act.ItemMark{State: playbook.Done, Note: "更新を適用", GateReason: "予備機のため"})
	o, err := x.SaveContact(ctx, x.owner, contact.Own{Kind: contact.Insurer, Name: "サンプル損害保険 サイバー受付", Person: "事故受付", Tel: "0120-000-000", Mail: "claim@ins.example.jp", URL: "https://ins.example.jp/claim?a=1&b=2",
		Hours: "24時間", Reference: "CY-2026-0099", WithinHours: 72, Note: "夜間は自動応答"})
	must(x.t, err)
	x.insurer = o.ID
	_, err = x.AnswerReportable(ctx, x.owner, x.incidentID, deadline.Answers{"personal_data": "unknown", "my_number": "no", "happened": "unknown"}, "名簿の有無を確認中")
	must(x.t, err)
	_, err = x.AnswerReportable(ctx, x.owner, x.incidentID, deadline.Answers{"personal_data": "yes", "my_number": "no", "happened": "possible", "improper_purpose": "yes"}, "経理PCに取引先の名簿")
	must(x.t, err)
	must(x.t, x.MeetDeadline(ctx, x.owner, x.incidentID, "ppc.preliminary", act.DeadlineMet{ReceiptNo: "受-0042", Note: evil}))
	must(x.t, x.LookAtDeadlines(ctx))
}

func TestEveryWordOfTheWorkbench(t *testing.T) {
	p := i18ntest.Parity(t, sub("translations")).Printer(i18n.English)
	var keys []string
	for _, a := range playbook.Acts() {
		keys = append(keys, "playbook.act."+a)
	}
	for _, m := range playbook.Modes() {
		keys = append(keys, "playbook.mode."+string(m))
	}
	for _, w := range playbook.Whos() {
		keys = append(keys, "playbook.who."+w)
	}
	for _, s := range []playbook.State{playbook.Open, playbook.Done, playbook.NotApplicable} {
		keys = append(keys, "playbook.state."+string(s), "playbook.marked."+string(s), "timeline.playbook."+string(s))
	}
	for _, s := range []deadline.State{deadline.Running, deadline.Provisional, deadline.Met, deadline.Unset, deadline.Off, deadline.Soft, deadline.Ended} {
		keys = append(keys, "deadline.state."+string(s))
	}
	for _, k := range deadline.Kinds() {
		keys = append(keys, "deadline.kind."+string(k))
	}
	for _, k := range deadline.ReminderKinds() {
		keys = append(keys, "timeline.deadline.reminder."+string(k), "timeline.deadline.reminder."+string(k)+".provisional")
	}
	for _, r := range []string{deadline.FirstSet, deadline.StartChanged, deadline.CountingChanged} {
		keys = append(keys, "deadline.reason."+r)
	}
	for _, s := range []string{deadline.KnownAt, deadline.DiscoveredAt} {
		keys = append(keys, "deadline.start."+s)
	}
	for _, k := range contact.Kinds() {
		keys = append(keys, "contact.kind."+string(k))
	}
	for _, c := range contact.Checks() {
		keys = append(keys, "contact.check."+c)
	}
	for _, s := range []contact.ReachState{contact.Open, contact.Closed, contact.Web, contact.Unknown} {
		keys = append(keys, "contact.reach."+string(s))
	}
	for _, a := range []string{"set", "answer", "done", "withdraw", "remind"} {
		keys = append(keys, "ledger.act.deadline."+a)
	}
	for _, a := range []string{"add", "change", "remove"} {
		keys = append(keys, "ledger.act.contact."+a)
	}
	keys = append(keys, "ledger.act.playbook.mark", "timeline.playbook", "timeline.deadline", "timeline.deadline.set", "timeline.deadline.changed", "timeline.deadline.answered", "timeline.deadline.done", "timeline.deadline.withdrawn", "deadline.withdrawn.done",
		"contact.saved", "contact.removed", "deadline.answered", "deadline.done")
	for _, k := range keys {
		if !p.Has(k) {
			t.Errorf("%s has no text", k)
		}
	}
	x := newSite(t)
	for _, q := range x.Guides().Deadlines.Questions() {
		for _, a := range q.Answers {
			if !p.Has("deadline.answer." + a) {
				t.Errorf("the answer %s has no text", a)
			}
		}
	}
}

func TestPlaybookInTheConsole(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID + "/playbook"
	r := b.get(page).want(t, 200, "ウイルス感染の場合", "社内で気づいた", "⟨U+202E⟩", "予備機のため", "以前の記録 1件", "手引き「ウイルス感染の場合」")
	if strings.Count(r.body, `class="task is-`) < 20 {
		t.Error("items are missing")
	}
	b.get("/incidents/"+x.incidentID).want(t, 200, "次にすること", "責任者・担当者と役割を決め", page, "それでも行った理由: 予備機のため", "対応手順「外部からの通報は")
	x.as("owner", "en").get("/incidents/"+x.incidentID).want(t, 200, "What to do next", "Name who is responsible, handlers and roles", "Why it was done all the same: 予備機のため")

	send := func(item string, v url.Values, code int) reply {
		t.Helper()
		return b.post(page+"/"+item, v).want(t, code)
	}
	// A decision without a reason, a closed gate without one, nothing at all.
	if r := send("malware.organize.1", url.Values{"state": {"done"}}, http.StatusUnprocessableEntity); !strings.Contains(r.body, `class="wrong"`) || strings.Count(r.body, "<details class=\"more\" open>") != 1 {
		t.Error("what is wrong does not stand beside the item")
	}
	if r := send("malware.recover.3", url.Values{"state": {"done"}, "note": {"決定"}}, http.StatusUnprocessableEntity); !strings.Contains(r.body, "それでも行う場合は、理由を書いてください") {
		t.Error("the warning is missing")
	}
	send("malware.contain.1", url.Values{}, http.StatusUnprocessableEntity)
	send("nothing", url.Values{"state": {"done"}}, http.StatusNotFound)
	send("malware.recover.3", url.Values{"state": {"done"}, "note": {"決定"}, "gate_reason": {"社長の指示"}}, http.StatusSeeOther)
	b.get(page).want(t, 200, "それでも行った理由: 社長の指示")
	if r := send("malware.organize.1", url.Values{"state": {"done"}, "note": {"止めてよい"}, "back": {"incident"}}, http.StatusSeeOther); r.header.Get("Location") != "/incidents/"+x.incidentID+"#playbook" {
		t.Error(r.header.Get("Location"))
	}
	v := x.as("view", "ja")
	if r := v.get(page).want(t, 200, "社長の指示"); strings.Contains(r.body, `method="post" action="`+page) {
		t.Error("a viewer is offered what the acts refuse")
	}
	v.post(page+"/malware.contain.1", url.Values{"state": {"done"}}).want(t, http.StatusForbidden)
	if x.log.Len() > 0 {
		t.Errorf("the console logged:\n%s", x.log)
	}
}

func TestContactsInTheConsole(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "ja")
	r := b.get("/contacts").want(t, 200, `href="tel:0120000000"`, `href="tel:0359787509"`, `href="mailto:cs-support@ipa.go.jp"`, "手引きの印刷では @ の前に余分な点がある", "CY-2026-0099", `href="https://ins.example.jp/claim?a=1&amp;b=2"`)
	for _, d := range x.Guides().Contacts.Desks() {
		for _, m := range append(d.Mails, append(d.Tels, d.URLs...)...) {
			if m.GuideValue != "" && regexp.MustCompile(`href="[^"]*`+regexp.QuoteMeta(m.GuideValue)+`"`).MatchString(r.body) {
				t.Errorf("%s is linked", m.GuideValue)
			}
		}
	}
	if r := b.get("/contacts?playbook=outage&region=osaka").want(t, 200, "JPCERT"); strings.Contains(r.body, "Tcyss") || strings.Contains(r.body, "法テラス") {
		t.Error("the filter lets others through")
	}
	b.get("/contacts?playbook=cake&region=mars&open=maybe").want(t, 200, "Tcyss")
	badges := func() int { t.Helper(); return strings.Count(b.get("/contacts").want(t, 200).body, "確認が必要") }
	before := badges()
	if book := x.Guides().Contacts; (before == 1) != book.Stale(book.ReviewedOn(), x.now()) || before > 1 {
		t.Errorf("%d badges", before)
	}
	must(t, x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error { // as if nobody had looked at it for long
		_, err := tx.ExecContext(ctx, `UPDATE contact_version SET at = $1`, sqldb.FormatTime(x.now().Add(-181*24*time.Hour)))
		return err
	}))
	if n := badges(); n != before+1 {
		t.Errorf("%d badges, one more than %d was wanted", n, before)
	}
	made := b.post("/contacts/new", url.Values{"kind": {"police"}, "name": {"中央警察署"}, "tel": {"#9110"}}).want(t, http.StatusSeeOther)
	b.get(made.header.Get("Location")).want(t, 200, "中央警察署", `href="tel:#9110"`)
	for field, v := range map[string]url.Values{
		"name":         {"kind": {"police"}},
		"tel":          {"kind": {"police"}, "name": {"n"}, "tel": {"call"}},
		"within_hours": {"kind": {"police"}, "name": {"n"}, "within_hours": {"x"}},
		"kind":         {"kind": {"friend"}, "name": {"n"}},
	} {
		if r := b.post("/contacts/new", v).want(t, http.StatusUnprocessableEntity); !strings.Contains(r.body, `class="wrong"`) {
			t.Errorf("%s: nothing is said beside the field", field)
		}
	}
	b.get("/contacts/"+x.insurer).want(t, 200, `value="72"`, `value="CY-2026-0099"`)
	b.post("/contacts/"+x.insurer, url.Values{"kind": {"insurer"}, "name": {"新しい保険"}, "within_hours": {"24"}}).want(t, http.StatusSeeOther)
	b.get("/contacts/"+x.insurer).want(t, 200, "新しい保険", "サンプル損害保険", "第1版")
	b.post("/contacts/"+x.insurer+"/remove", nil).want(t, http.StatusSeeOther)
	b.get("/contacts/"+x.insurer).want(t, http.StatusNotFound)
	v := x.as("view", "ja")
	v.get("/contacts").want(t, 200, "中央警察署")
	v.get("/contacts/new").want(t, http.StatusForbidden)
	v.post("/contacts/new", url.Values{"kind": {"police"}, "name": {"n"}}).want(t, http.StatusForbidden)
}

func TestDeadlinesInTheConsole(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID + "/deadlines"
	b.get(page).want(t, 200, "報告の対象と考えられます", "不正の目的によるおそれがあるから", "受付番号 受-0042", "施行規則 第8条2項", "知った日を1日目として", "以前の答え 1件", "名簿の有無を確認中", "法律の助言ではありません", "サイバー保険の事故連絡", "委託元への通知")
	x.as("owner", "en").get(page).want(t, 200, "Probably to be reported", "receipt no. 受-0042", "The day of knowing is day 1")
	b.get("/").want(t, 200, "次の期限", page)
	b.get("/incidents/"+x.incidentID).want(t, 200, "次の期限", page, "期限を計算しました。", "報告の要否に答えました: 報告の対象と考えられます")

	b.post(page+"/answers", url.Values{"q-personal_data": {"no"}, "q-my_number": {"no"}, "note": {"名簿はなかった"}}).want(t, http.StatusSeeOther)
	r := b.get(page).want(t, 200, "報告の対象でない可能性が高い", "断定はできません", "名簿はなかった")
	if strings.Contains(r.body, `badge ok">`+"\n") || regexp.MustCompile(`verdict"><span class="badge ok`).MatchString(r.body) {
		t.Error("not to be reported is shown in green")
	}
	b.post(page+"/answers", url.Values{"q-personal_data": {"perhaps"}}).want(t, http.StatusUnprocessableEntity)
	at := x.now().In(jst()).Format(localInput)
	b.post(page+"/owner_update/done", url.Values{"at": {at}, "note": {"社長に電話"}}).want(t, http.StatusSeeOther)
	b.get(page).want(t, 200, "社長に電話")
	for _, v := range []url.Values{{"at": {"2040-01-01T00:00"}}, {"at": {"soon"}}, {}} {
		if r := b.post(page+"/owner_update/done", v).want(t, http.StatusUnprocessableEntity); !strings.Contains(r.body, `class="wrong"`) {
			t.Errorf("%v: nothing is said beside the field", v)
		}
	}
	b.post(page+"/none/done", url.Values{"at": {at}}).want(t, http.StatusNotFound)
	v := x.as("view", "ja")
	if r := v.get(page).want(t, 200); strings.Contains(r.body, `action="`+page) {
		t.Error("a viewer is offered what the acts refuse")
	}
	v.post(page+"/answers", url.Values{}).want(t, http.StatusForbidden)
	x.advance(5 * time.Hour)
	b = x.as("owner", "ja")
	b.get("/").want(t, 200, "超過 1件")
	b.get("/incidents/"+x.incidentID).want(t, 200, "超過 1件")
	if x.log.Len() > 0 {
		t.Errorf("the console logged:\n%s", x.log)
	}
}

// Who is who stands on the page of an incident: by the record, else by the accounts; who was
// told; whom to call; and the steps of the playbook.
func TestIncidentShowsPeopleAndPlaybook(t *testing.T) {
	x := newSite(t)
	x.person("sato", "佐藤 花子", operator.Handler)
	gone := x.person("gone", "退職 太郎", operator.Handler)
	must(t, x.DisableOperator(t.Context(), x.owner, gone.ID))
	i, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "画面", Classification: incident.Ransomware})
	must(t, err)
	b := x.as("owner", "ja")
	page := b.get("/incidents/"+i.ID).want(t, 200, "関係者と連絡", "社長 田中", "佐藤 花子", "決まっていません", "このインシデントの担当を書く", "まだ記録がありません", "次に電話するところ", `href="tel:`, "対応手順をすべて表示",
		`/incidents/`+i.ID+`/playbook#`)
	if strings.Contains(page.body, "退職 太郎") {
		t.Error("whoever left is still in charge")
	}
	_, err = x.SetAnswer(t.Context(), x.owner, i.ID, act.NewAnswer{Item: record.People, State: record.Known, Value: record.Value{Fields: map[record.Field]string{
		record.Responsible: "総務 鈴木", record.ResponsiblePhone: "090-1111-2222", record.Handlers: "高橋\n伊藤"}}})
	must(t, err)
	page = b.get("/incidents/"+i.ID).want(t, 200, "総務 鈴木", `href="tel:09011112222"`, "高橋、伊藤")
	if strings.Contains(page.body, "このインシデントの担当を書く") || strings.Contains(page.body, "佐藤 花子") {
		t.Error("the record says who it is, and the accounts are shown")
	}
}
