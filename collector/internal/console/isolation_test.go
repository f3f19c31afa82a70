package console

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/internal/capability"
	"hozen/internal/id"
)

// modern is a PC whose agent knows all of isolation.
func (x *site) modern(host, addr string) *pc {
	x.t.Helper()
	p := x.enrol(endpoint.Description{Hostname: host, OS: "linux", Arch: "amd64", Platform: "debian 13", Capability: uint32(capability.Current)})
	p.disconnect()
	p.addr = addr
	p.connect()
	p.measured(endpoint.Released, "")
	return p
}

// isolated is what a PC measures that carries out an order to isolate.
func (p *pc) isolated(c dispatch.Command, trials ...endpoint.Trial) endpoint.IsolationStatus {
	s := p.status(endpoint.Isolated, c.ID)
	s.More = endpoint.Measured{Mode: string(c.Isolation.Mode), Until: c.Isolation.Until, LeaseUntil: p.x.now().Add(20 * time.Hour), Held: "here", Persisted: true, Drill: c.Isolation.Drill,
		Severed: &endpoint.Severed{Destroyed: 12, Took: 420 * time.Microsecond}, Trials: trials}
	if c.Isolation.ConfirmWithin > 0 {
		s.More.Confirmation = &endpoint.Confirmation{By: p.x.now().Add(time.Minute), At: p.x.now(), RollBack: c.Isolation.Fallback == dispatch.RollBack}
	}
	return s
}

// carryOut ends the newest order to isolate of a PC as done and measured.
func (p *pc) carryOut(trials ...endpoint.Trial) dispatch.Command {
	p.x.t.Helper()
	c := p.newest(dispatch.Isolate)
	st := p.isolated(c, trials...)
	must(p.x.t, p.x.CommandAcked(p.x.t.Context(), p.ID, c.ID))
	must(p.x.t, p.x.CommandFinished(p.x.t.Context(), p.ID, dispatch.Result{CommandID: c.ID, Status: dispatch.Done, FinishedAt: p.x.now()}, &st))
	return c
}

func (p *pc) newest(verb dispatch.Verb) dispatch.Command {
	p.x.t.Helper()
	all, err := p.x.Commands(p.x.t.Context(), p.x.owner, act.CommandFilter{EndpointID: p.ID})
	must(p.x.t, err)
	for _, c := range all {
		if c.Verb == verb {
			return c
		}
	}
	p.x.t.Fatalf("no order to %s among %+v", verb, all)
	return dispatch.Command{}
}

func (p *pc) happened(e endpoint.IsolationEvent) {
	p.x.t.Helper()
	e.ID, e.At = id.New(id.IsolationEvent), p.x.now()
	must(p.x.t, p.x.IsolationHappened(p.x.t.Context(), p.ID, e, nil))
}

func trial(name string, outcome endpoint.TrialOutcome, reason, target string, at time.Time) endpoint.Trial {
	return endpoint.Trial{Name: name, Outcome: outcome, Reason: reason, Target: target, At: at}
}

// card is the part of a page that says the state in one word.
func card(r reply) string {
	_, rest, _ := strings.Cut(r.body, `<section class="card state`)
	part, _, _ := strings.Cut(rest, "</h2>")
	return part
}

func TestIsolatedIsSaidOnlyOfWhatHoldsAgainstTraffic(t *testing.T) {
	x := newSite(t)
	p := x.modern("keiri-pc01", "192.0.2.77")
	_, err := x.Isolate(t.Context(), x.owner, p.ID, act.Order{Reason: "不審な画面", Isolation: dispatch.Isolation{ConfirmWithin: time.Minute, Until: x.now().Add(4*time.Hour + time.Minute)}})
	must(t, err)
	at := x.now().Add(-5 * time.Second)
	good := []endpoint.Trial{trial("tcp4", endpoint.AsOrdered, "", "192.0.2.1:53", at), trial("raw6_bypass", endpoint.NotShown, "no_control", "", at), trial("collector", endpoint.AsOrdered, "", "", at)}
	c := p.carryOut(good...)
	b := x.as("owner", "ja")
	r := b.get("/endpoints/"+p.ID).want(t, 200, "標準（コレクターとの通信だけ）", "残り4時間", "新しい TCP 接続（IPv4）", "192.0.2.1:53", "遮断</span>", "通る（指示どおり）",
		"生パケットの直接送信（送信待ちを通らない方法）（IPv6）", "遮断の前に通ったことがないため、判定できません", "エージェントだけ（PCの管理者でも変更できません）", "12件", "5秒前", "確認しました", "指示していない変化は報告されていません")
	if !strings.Contains(card(r), "隔離済み") {
		t.Errorf("not said to be isolated: %s", card(r))
	}

	// One thing that passed weighs more than rules that were read back.
	leak := append(good, trial("udp6", endpoint.Contrary, "left", "[2001:db8::1]:123", at))
	st := p.isolated(c, leak...)
	st.More.Limits = []string{"this kernel cannot lock tables: an administrator of this endpoint can remove the rules, which is seen and undone", "from <b>tomorrow</b>"}
	st.More.Held = ""
	st.More.Tunnels = []endpoint.Tunnel{{Address: "203.0.113.77", Protocol: 17, Port: 51820, Link: "wg0", Why: "WireGuard <i>peer</i>", Since: at}, {Address: "2001:db8::9", Protocol: 47, Link: "gre6"}}
	must(t, x.EndpointSeen(t.Context(), p.ID, st))
	r = b.get("/endpoints/"+p.ID).want(t, 200, "通ってしまう", "パケットが外へ出ました", "遮断したはずの通信が、通ってしまいました", "203.0.113.77", "UDP 51820", "WireGuard &lt;i&gt;peer&lt;/i&gt;", "GRE（プロトコル 47）", "コレクターへのトンネルを運ぶ通信", "規則を固定できません", "from &lt;b&gt;tomorrow&lt;/b&gt;", "PCの管理者も変更できます（変更はすぐに検知して元に戻します）")
	if strings.Contains(card(r), "隔離済み") {
		t.Errorf("said to be isolated while something passes: %s", card(r))
	}
	if strings.Index(r.body, "通ってしまう") > strings.Index(r.body, "通る（指示どおり）") {
		t.Error("what is wrong does not come first")
	}
	b.get("/").want(t, 200, "iso-failed")

	// What should pass and does not leaves the PC cut off, and is told.
	must(t, x.EndpointSeen(t.Context(), p.ID, p.isolated(c, trial("permit4", endpoint.Contrary, "no_answer", "203.0.113.5:443", at))))
	r = b.get("/endpoints/"+p.ID).want(t, 200, "通らない（通るはず）", "通るはずの通信が、通っていません")
	if !strings.Contains(card(r), "隔離済み") {
		t.Errorf("cut off, but not said so: %s", card(r))
	}
	x.advance(2 * endpoint.StaleAfter)
	if r := b.get("/endpoints/" + p.ID); strings.Contains(card(r), "隔離済み") || !strings.Contains(card(r), "不明") {
		t.Errorf("an old measurement is shown as the state: %s", card(r))
	}
}

func TestWhatHappenedToAnIsolationIsTold(t *testing.T) {
	x := newSite(t)
	p := x.modern("keiri-pc01", "192.0.2.77")
	_, err := x.Isolate(t.Context(), x.owner, p.ID, act.Order{Reason: "不審な画面"})
	must(t, err)
	c := p.carryOut()
	p.happened(endpoint.IsolationEvent{Kind: endpoint.EventDrift, CommandID: c.ID, By: "nft (pid 4242, uid 0)", Differences: []string{"table inet hozen is missing"}, Seen: []string{"deleted table <inet> hozen"}, Count: 3})
	p.happened(endpoint.IsolationEvent{Kind: "from_the_future", Detail: evil})
	b := x.as("owner", "ja")
	r := b.get("/endpoints/"+p.ID).want(t, 200, "規則が変更され、元に戻しました（改ざんのおそれ）", "3回", "nft (pid 4242, uid 0)", "table inet hozen is missing", "deleted table &lt;inet&gt; hozen", "from_the_future")
	inertPage(t, "endpoint", r)
	b.get("/incidents/"+c.IncidentID).want(t, 200, "keiri-pc01 の遮断の規則が変更されたため、元に戻しました。改ざんのおそれがあります。", "PC上の操作元: nft (pid 4242, uid 0)", "隔離について、端末から知らせがありました", "tone-bad")
	b.get("/ledger").want(t, 200, "隔離についてのできごと")
}

func TestIsolationIsOrderedInDetail(t *testing.T) {
	x := newSite(t)
	p := x.modern("keiri-pc01", "127.0.0.1") // where the browser is
	b := x.as("owner", "ja")
	path := "/endpoints/" + p.ID + "/order/isolate"
	r := b.get(path).want(t, 200, "くわしく指定", "あなたがいま使っているPCです", "標準（コレクターとの通信だけ）")
	if strings.Contains(r.body, `<details class="fold" open`) {
		t.Error("what is seldom needed is unfolded")
	}
	// One click and a reason are enough.
	b.post(path, url.Values{"reason": {"不審な画面"}}).want(t, http.StatusSeeOther)
	if c := p.newest(dispatch.Isolate); c.Isolation.Mode != dispatch.Standard || !c.Isolation.Until.IsZero() || c.Isolation.Code == nil {
		t.Fatalf("%+v", c.Isolation)
	}

	end := x.now().Add(3 * time.Hour).In(jst()).Format(localInput)
	form := url.Values{"reason": {"給与の締め"}, "mode": {"selective"}, "rows": {"4"}, "lasts": {"4h"}, "confirm": {"1m"}, "fallback": {"roll_back"}, "notice": {"調査中です"}, "phone": {"03-1234-5678"}}
	row := func(n int, target, ports, reason string) {
		for name, value := range map[string]string{"target": target, "ports": ports, "reason": reason, "end": end, "protocol": "tcp"} {
			form.Set(permitField(name, n), value)
		}
	}
	row(2, "bank.example.jp", "443", "給与振込")
	row(4, "no.such.name.example", "443", "会計")
	r = b.post(path, form).want(t, http.StatusUnprocessableEntity, `<details class="fold" open`, "相手が正しくありません", `value="bank.example.jp"`, `value="給与振込"`, "調査中です")
	if n := strings.Count(r.body, "相手が正しくありません"); n != 1 || !strings.Contains(r.body[strings.Index(r.body, "permit_target_2"):], "相手が正しくありません") {
		t.Errorf("%d rows are told to be wrong, or the wrong one", n)
	}
	row(4, "10.0.0.0/7", "80", "広すぎる")
	r = b.post(path, form).want(t, http.StatusUnprocessableEntity, "範囲が広すぎます")
	if !strings.Contains(r.body[strings.Index(r.body, `value="10.0.0.0/7"`):], "範囲が広すぎます") || strings.Contains(r.body[:strings.Index(r.body, `value="10.0.0.0/7"`)], "範囲が広すぎます") {
		t.Error("a name of two addresses moves the error to another row")
	}
	for wrong, want := range map[string]string{"": "この許可の理由", "x": "ポートは 443"} {
		row(4, "192.0.2.9", map[string]string{"": "443", "x": "abc"}[wrong], wrong)
		b.post(path, form).want(t, http.StatusUnprocessableEntity, want)
	}
	row(4, "192.0.2.9", "8000-8010", "業務システム")
	form.Set("more", "1")
	if r := b.post(path, form).want(t, 200, `name="permit_target_5"`); strings.Contains(r.body, "form.mend") {
		t.Error("more rows are an error")
	}
	form.Del("more")
	b.post(path, form).want(t, http.StatusSeeOther)
	c := p.newest(dispatch.Isolate)
	i := c.Isolation
	if i.Mode != dispatch.Selective || len(i.Permits) != 3 || i.ConfirmWithin != time.Minute || i.Fallback != dispatch.RollBack || i.Notice.Phone != "03-1234-5678" || i.Until.Sub(c.IssuedAt).Round(time.Minute) != 4*time.Hour {
		t.Fatalf("%+v", i)
	}
	if i.Permits[0].Network != netip.MustParsePrefix("203.0.113.5/32") || i.Permits[0].Host != "bank.example.jp" || i.Permits[2].Last != 8010 {
		t.Errorf("%+v", i.Permits)
	}
	p.carryOut()
	b.get("/endpoints/"+p.ID).want(t, 200, "許可・期限を変更", "許可している通信", "給与振込", "2001:db8::5", "TCP 8000-8010")
	// It is changed by the same form, filled in.
	r = b.get(path+"?change=1").want(t, 200, "隔離の内容を変更しますか", "通信が通るすき間はできません", `value="bank.example.jp"`, `value="192.0.2.9"`, "調査中です", `value="selective" checked`)
	if strings.Count(r.body, `value="bank.example.jp"`) != 1 {
		t.Error("each address of a name is a row of its own")
	}
	b.get("/incidents/"+c.IncidentID).want(t, 200, "残す通信: 選んだ通信も残す", "自動解除: 2")

	for field, value := range map[string]string{"until": "2030-01-01T10:00", "mode": "wide", "lasts": "9h", "confirm": "9h"} {
		b.post(path, url.Values{"reason": {"r"}, field: {value}}).want(t, http.StatusUnprocessableEntity)
	}
	b.post(path, url.Values{"reason": {"r"}, "mode": {"selective"}}).want(t, http.StatusUnprocessableEntity, "許可する通信を1つ以上")
	b.post(path, url.Values{"reason": {"r"}, "lasts": {"at"}, "until": {"2020-01-01T10:00"}}).want(t, http.StatusUnprocessableEntity, "いまより後")
}

func TestReleaseByTwoPersons(t *testing.T) {
	x := newSite(t)
	x.person("sato", "佐藤 花子", operator.Handler)
	must(t, x.SetIsolationSettings(t.Context(), x.owner, organisation.Isolation{TwoPersons: true}))
	p := x.modern("keiri-pc01", "192.0.2.77")
	_, err := x.Isolate(t.Context(), x.owner, p.ID, act.Order{Reason: "不審な画面"})
	must(t, err)
	p.carryOut()
	first, second := x.as("owner", "ja"), x.as("sato", "ja")
	page, path, refuse := "/endpoints/"+p.ID, "/endpoints/"+p.ID+"/order/release", "/endpoints/"+p.ID+"/release/refuse"
	first.get(path).want(t, 200, "2人の承認が必要です", "解除を依頼する")
	ask := func() {
		r := first.post(path, url.Values{"reason": {"駆除が完了"}}).want(t, http.StatusSeeOther)
		first.get(r.header.Get("Location")).want(t, 200, "依頼しました。別の担当者が承認すると解除されます。", "あなたの依頼です", "依頼を取り消す")
	}
	ask()
	second.get(page).want(t, 200, "承認を待っています", "社長 田中", "駆除が完了", "承認して解除する", "断る")
	second.post(refuse, nil).want(t, http.StatusSeeOther)
	if r := second.get(page).want(t, 200); strings.Contains(r.body, "承認を待っています") {
		t.Error("refused, and still waiting")
	}
	ask()
	first.post(refuse, nil).want(t, http.StatusSeeOther)
	first.post(refuse, nil).want(t, http.StatusNotFound)
	ask()
	second.get(path).want(t, 200, "社長 田中 さんの依頼を承認して", "承認して解除する")
	second.post(path, url.Values{"reason": {"確認した"}}).want(t, http.StatusSeeOther)
	c := p.newest(dispatch.Release)
	second.get("/incidents/"+c.IncidentID).want(t, 200, "隔離解除を依頼しました。別の担当者の承認を待っています。", "解除を依頼した人: 社長 田中")
	second.get("/ledger").want(t, 200, "隔離解除を依頼", "隔離解除の依頼を断った")
}

func TestReleaseCodeIsShownOnce(t *testing.T) {
	x := newSite(t)
	x.person("view", "閲覧 三郎", operator.Viewer)
	p := x.modern("keiri-pc01", "192.0.2.77")
	b := x.as("owner", "ja")
	path := "/endpoints/" + p.ID + "/release-code"
	ticket := func(r reply) string {
		return regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(r.body)[1]
	}
	number := "1234-5678-9012"
	ask := func(reason, ticket string) reply {
		return b.post(path, url.Values{"number": {number}, "reason": {reason}, "ticket": {ticket}})
	}
	ask("支店の回線障害", ticket(b.get(path).want(t, 200))).want(t, http.StatusUnprocessableEntity)
	_, err := x.Isolate(t.Context(), x.owner, p.ID, act.Order{Reason: "不審な画面"})
	must(t, err)
	c := p.carryOut()
	x.as("view", "ja").get(path).want(t, http.StatusForbidden)
	b.get("/endpoints/"+p.ID).want(t, 200, "解除コードを表示")
	number = c.Isolation.Code.Number
	one := ticket(b.get(path).want(t, 200, "折り返し電話"))
	r := ask("", one).want(t, http.StatusUnprocessableEntity, "入力してください")
	one = ticket(r)
	r = ask("支店の回線障害", one).want(t, 200, "台帳に記録しました", "読み上げ方", "hozen-agent release", "一度だけ")
	groups := regexp.MustCompile(`<li class="num">(\d{5})</li>`).FindAllStringSubmatch(r.body, -1)
	if len(groups) != 4 {
		t.Fatalf("%d groups: %s", len(groups), r.body)
	}
	if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Location") != "" {
		t.Errorf("%v", r.header)
	}
	inertPage(t, "code", r)
	again := ask("支店の回線障害", one).want(t, http.StatusConflict, "もう一度表示するには")
	for _, page := range []string{again.body, b.get(path).body, b.get("/ledger").body, b.get("/incidents/" + c.IncidentID).body, x.log.String()} {
		if strings.Contains(page, groups[0][1]) && strings.Contains(page, groups[1][1]) {
			t.Error("the code stands elsewhere too")
		}
	}
	b.get("/incidents/"+c.IncidentID).want(t, 200, "keiri-pc01 の解除コードを表示しました。", "支店の回線障害")
	b.get("/ledger").want(t, 200, "解除コードを表示")

	x.person("sato", "佐藤 花子", operator.Handler) // who could agree
	must(t, x.SetIsolationSettings(t.Context(), x.owner, organisation.Isolation{TwoPersons: true}))
	one = ticket(b.get(path).want(t, 200, "2人の承認が必要です"))
	ask("r", one).want(t, http.StatusConflict, "別の担当者が解除を依頼する必要があります")
}

// TestTriageSettings: everybody sees what is read of people's own, owners and responsible persons
// set it.
func TestTriageSettings(t *testing.T) {
	x := newSite(t)
	x.person("sato", "佐藤 花子", operator.Handler)
	b, sato := x.as("owner", "ja"), x.as("sato", "ja")
	b.get("/settings/triage").want(t, 200, "まだ決めていません", `name="histories" type="checkbox" value="1" checked`, `name="private" type="checkbox" value="1">`)
	sato.get("/settings/triage").want(t, 200, "disabled", "経営者または責任者")
	sato.post("/settings/triage", url.Values{"private": {"1"}}).want(t, http.StatusForbidden)
	b.post("/settings/triage", url.Values{"private": {"1"}}).want(t, http.StatusSeeOther)
	r := b.get("/settings/triage").want(t, 200, `name="histories" type="checkbox" value="1">`, `name="private" type="checkbox" value="1" checked`)
	if strings.Contains(r.body, "まだ決めていません") {
		t.Error("it was decided")
	}
	b.get("/ledger").want(t, 200, "ファイルの取得範囲を変更")
}

func TestIsolationSettingsAndPlace(t *testing.T) {
	x := newSite(t)
	x.person("sato", "佐藤 花子", operator.Handler)
	p := x.modern("keiri-pc01", "192.0.2.77")
	b, sato := x.as("owner", "ja"), x.as("sato", "ja")
	b.get("/settings/isolation").want(t, 200, `value="24"`, `value="30"`)
	form := url.Values{"two_persons": {"1"}, "notice": {"調査のため\n止めています"}, "phone": {"03-1234-5678"}, "lease": {"8"}, "max_share": {"50"}, "drill_days": {"28"}, "drill_hour": {"10"}}
	sato.get("/settings/isolation").want(t, 200, "disabled", "経営者または責任者")
	sato.post("/settings/isolation", form).want(t, http.StatusForbidden)
	b.post("/settings/isolation", url.Values{"lease": {"0"}, "max_share": {"101"}, "drill_hour": {"24"}, "drill_days": {"x"}}).want(t, http.StatusUnprocessableEntity, "範囲外の値です。")
	b.post("/settings/isolation", form).want(t, http.StatusSeeOther)
	b.get("/settings/isolation").want(t, 200, "止めています", `value="8"`, `value="50"`, "checked")
	if i, err := x.IsolationSettings(t.Context(), x.owner); err != nil || !i.TwoPersons || i.Lease != 8*time.Hour || i.MaxShare != 50 || i.DrillDays != 28 || i.DrillHour != 10 {
		t.Errorf("%+v, %v", i, err)
	}
	form.Del("two_persons")
	b.post("/settings/isolation", form).want(t, http.StatusSeeOther)
	b.get("/settings/isolation").want(t, 200, "まで2人の承認が必要です")
	b.get("/endpoints/"+p.ID+"/order/release").want(t, 200, "2人の承認が必要です")
	sato.post("/endpoints/"+p.ID+"/place", url.Values{"site": {"本社2階"}, "purpose": {"server"}, "tags": {"経理、 ノートPC,夜勤"}}).want(t, http.StatusSeeOther)
	sato.get("/endpoints/"+p.ID).want(t, 200, `value="本社2階"`, `value="server" selected`, "ノートPC, 夜勤, 経理")
	sato.post("/endpoints/"+p.ID+"/place", url.Values{"purpose": {"toaster"}}).want(t, http.StatusUnprocessableEntity, "選択肢から選んでください")
	b.get("/ledger").want(t, 200, "隔離の設定を変更", "端末の場所・用途・タグを変更")
}

// grouped adds what the pages about isolation show: a PC with all that can be measured, a
// release that waits, a group and a drill.
func (x *office) grouped() {
	t, ctx := x.t, x.t.Context()
	must(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{TwoPersons: true, NoticeText: "安全確認のため、ネットワークを止めています。", NoticePhone: "03-1234-5678", MaxShare: 100}))
	p := x.modern("soumu-pc07", "192.0.2.107")
	x.measured = p
	must(t, x.PlaceEndpoint(ctx, x.owner, p.ID, act.Place{Site: "本社2階", Purpose: endpoint.PC, Tags: []string{"総務", "ノートPC"}}))
	permits, err := x.Permits(ctx, []act.PermitCall{{Target: "bank.example.jp", Ports: "443", Reason: "給与振込の締め切り", Expires: x.now().Add(3 * time.Hour)}, {Target: "192.0.2.0/28", Protocol: "udp", Ports: "5000-5010", Reason: "<b>電話</b>", Expires: x.now().Add(time.Hour)}})
	must(t, err)
	c, err := x.Isolate(ctx, x.owner, p.ID, act.Order{Reason: "不審な通信", Isolation: dispatch.Isolation{Mode: dispatch.Selective, Permits: permits, Until: x.now().Add(5 * time.Hour), ConfirmWithin: time.Minute, Fallback: dispatch.RollBack}})
	must(t, err)
	at := x.now().Add(-4 * time.Second)
	p.carryOut(trial("tcp4", endpoint.AsOrdered, "", "192.0.2.1:53", at), trial("tcp6", endpoint.NotShown, "no_address", "", at), trial("udp4", endpoint.AsOrdered, "", "192.0.2.1:123", at),
		trial("dns4", endpoint.AsOrdered, "", "192.0.2.53:53", at), trial("icmp4", endpoint.NotShown, "no_counter", "192.0.2.1", at), trial("raw4_bypass", endpoint.NotShown, "no_rights", "", at),
		trial("loopback4", endpoint.AsOrdered, "", "", at), trial("collector", endpoint.AsOrdered, "", "", at), trial("permit4", endpoint.Contrary, "no_answer", "203.0.113.5:443", at), trial("warp", endpoint.NotShown, "moon", evil[:40], at))
	st := p.isolated(c, x.endpoint(p.ID).Isolation.More.Trials...)
	st.More.Limits = []string{"this kernel has no egress hook: frames written straight to a device are not cut", evil}
	st.More.Severed.Failed = 2
	must(t, x.EndpointSeen(ctx, p.ID, st))
	p.happened(endpoint.IsolationEvent{Kind: endpoint.EventDrift, CommandID: c.ID, By: "nft (pid 4242, uid 0)", Detail: "put right", Differences: []string{"chain hozen output has 2 rules, want 9"}, Seen: []string{evil}, Count: 12})
	p.happened(endpoint.IsolationEvent{Kind: endpoint.EventCodeRefused, CommandID: c.ID, By: "uid 1000", Count: 2})
	_, _ = x.Release(ctx, act.Actor{Kind: act.ByOperator, ID: x.operator("sato")}, p.ID, act.Order{Reason: "駆除が完了"})

	order := func(sel act.Selection, o act.GroupOrder) {
		pv, err := x.PreviewGroup(ctx, x.owner, sel, o)
		must(t, err)
		o.Confirmed = pv.Fingerprint
		g, err := x.OrderGroup(ctx, x.owner, sel, o)
		must(t, err)
		x.groups = append(x.groups, g.ID)
	}
	order(act.Selection{Names: []string{x.evilPC.ID, x.away.ID, x.odd.ID, x.sales.ID}}, act.GroupOrder{Verb: dispatch.Isolate, Order: act.Order{Reason: "同じ添付ファイルを受信", IsolateFirst: true}})
	x.evilPC.carryOut(trial("tcp4", endpoint.Contrary, "answered", "192.0.2.1:53", at))
	x.modern("eigyo-pc09", "192.0.2.109").measured(endpoint.Released, "")
	order(act.Selection{All: true}, act.GroupOrder{Verb: dispatch.Isolate, Order: act.Order{Reason: "下期の隔離訓練", IsolateFirst: true, Isolation: x.Drill()}})
}

// measuredAgain repeats the last measurement of everybody who is there, as agents do.
func (x *site) measuredAgain() {
	x.t.Helper()
	all, err := x.Endpoints(x.t.Context(), x.owner)
	must(x.t, err)
	for _, e := range all {
		if e.Online && e.Isolation.Observed != endpoint.Unknown {
			e.Isolation.MeasuredAt = x.now()
			must(x.t, x.EndpointSeen(x.t.Context(), e.ID, e.Isolation))
		}
	}
}

func (x *site) endpoint(id string) endpoint.Endpoint {
	x.t.Helper()
	e, err := x.Endpoint(x.t.Context(), x.owner, id)
	must(x.t, err)
	return e
}

// operator finds a person's identifier by name.
func (x *site) operator(name string) string {
	x.t.Helper()
	all, err := x.Operators(x.t.Context(), x.owner)
	must(x.t, err)
	for _, o := range all {
		if o.Name == name {
			return o.ID
		}
	}
	x.t.Fatalf("no operator %q", name)
	return ""
}

// TestIsolationThatWaitsIsCalledOff looks at the button of a PC with an order that it did not get yet:
// nothing is released there, and it says so.
func TestIsolationThatWaitsIsCalledOff(t *testing.T) {
	x := newSite(t)
	p := x.modern("keiri-pc01", "192.0.2.77")
	p.measured(endpoint.Released, "")
	c, err := x.Isolate(t.Context(), x.owner, p.ID, act.Order{Reason: "不審な画面"})
	must(t, err)
	b := x.as("owner", "ja")
	release := func(path, words string) {
		t.Helper()
		_, rest, _ := strings.Cut(b.get(path).want(t, 200).body, "/order/release")
		if link, _, _ := strings.Cut(rest, "</a>"); !strings.HasSuffix(link, "</svg>"+words) {
			t.Errorf("%s offers %q, not %q", path, link, words)
		}
	}
	for _, path := range []string{"/incidents/" + c.IncidentID, "/endpoints/" + p.ID} {
		release(path, "隔離を取りやめる")
	}
	const early = "この端末が隔離中だとは測定されていません"
	b.get("/endpoints/"+p.ID+"/order/release").want(t, 200, early)
	p.finish(c, endpoint.Isolated, "")
	for _, path := range []string{"/incidents/" + c.IncidentID, "/endpoints/" + p.ID} {
		release(path, "解除")
	}
	if strings.Contains(b.get("/endpoints/"+p.ID+"/order/release").want(t, 200, "再びネットワークにつながります").body, early) {
		t.Error("an isolated PC is said to be none")
	}
}
