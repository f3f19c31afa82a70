package console

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// crowd is an office of n PCs and what the group pages need.
func (x *site) crowd(n int) []*pc {
	var all []*pc
	for i := range n {
		all = append(all, x.modern(fmt.Sprintf("pc-%02d", i+1), fmt.Sprintf("192.0.2.%d", 100+i)))
	}
	return all
}

// contextWith is a context of the test that can end before it.
func contextWith(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// until waits until something is so.
func until(t *testing.T, so func() bool) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	late := time.After(30 * time.Second)
	for !so() {
		select {
		case <-again.C:
		case <-late:
			t.Fatal("waited in vain")
		}
	}
}

func TestGroupIsPreviewedOrderedAndWatched(t *testing.T) {
	x := newSite(t)
	pcs := x.crowd(4)
	own := x.modern("collector-host", collectorAddr.String())
	must(t, x.PlaceEndpoint(t.Context(), x.owner, pcs[3].ID, act.Place{Site: "本社2階", Purpose: endpoint.Server, Tags: []string{"基幹"}}))
	// A file server with two clients, as its connections say.
	var lines []string
	sock := func(s record.Socket) { s.Proto = "tcp"; lines = append(lines, line(&s)) }
	sock(record.Socket{State: "LISTEN", LocalAddr: "0.0.0.0", LocalPort: 445})
	sock(record.Socket{State: "ESTABLISHED", LocalAddr: "192.0.2.100", LocalPort: 445, RemoteAddr: "192.0.2.200", RemotePort: 4000})
	sock(record.Socket{State: "ESTABLISHED", LocalAddr: "192.0.2.100", LocalPort: 445, RemoteAddr: "192.0.2.201", RemotePort: 4000})
	pcs[0].send(nil, map[artifact.Kind][]string{artifact.KindNetConn: lines})
	pcs[2].disconnect()

	b := x.as("owner", "ja")
	b.get("/").want(t, 200, `href="/groups"`)
	b.get("/groups").want(t, 200, "まだありません", "まとめて隔離", "隔離の訓練")
	b.get("/groups/new/isolate").want(t, 200, "すべての端末（5台）", "本社2階", "基幹")
	b.get("/groups/new/nonsense").want(t, http.StatusNotFound)
	b.post("/groups/new/isolate", url.Values{"reason": {"r"}}).want(t, http.StatusUnprocessableEntity, "少なくとも1つの方法")
	choice := url.Values{"all": {"1"}, "names": {"pc-01\nghost-pc\n192.0.2.101"}, "reason": {"ランサムウェア"}}
	r := b.post("/groups/new/isolate", choice).want(t, 200, "ghost-pc", "ファイル共有", "（2台が接続中）", "コレクターの端末", "サーバー（「サーバーも含める」を選んでいません）", "登録端末の80%を一度に", "つながったときに実行", "4台を隔離して保全する")
	inertPage(t, "preview", r)
	order := r.fields()
	b.post("/groups/order/isolate", order).want(t, http.StatusUnprocessableEntity, "注意を承知で進める理由", "入力してください")
	order.Set("break_glass", "全社に感染が広がっている")
	stale := url.Values{}
	for k, v := range order {
		stale[k] = v
	}
	stale.Set("confirmed", "somethingelse")
	b.post("/groups/order/isolate", stale).want(t, http.StatusUnprocessableEntity, "確認した後に、対象または状態が変わりました", "4台を隔離")
	r = b.post("/groups/order/isolate", order).want(t, http.StatusSeeOther)
	where := r.header.Get("Location")
	r = b.get(where).want(t, 200, "まとめて隔離を指示しました。", "証拠を取得中", "接続待ち", "全社に感染が広がっている", `aria-current="step"`)
	inertPage(t, "group", r)

	// The evidence of all is there; all are cut.
	cut := func() {
		done := make(chan struct{})
		ctx, stop := contextWith(t)
		go func() { defer close(done); x.RunGroups(ctx) }()
		until(t, func() bool {
			g, _, err := x.Group(t.Context(), x.owner, strings.TrimPrefix(where, "/groups/"))
			return err == nil && !g.CutAt.IsZero()
		})
		stop()
		<-done
	}
	there := []*pc{pcs[0], pcs[1], own}
	for _, p := range there {
		p.finish(p.newest(dispatch.Acquire), endpoint.Released, "")
	}
	cut()
	at := x.now()
	pcs[0].carryOut(trial("tcp4", endpoint.AsOrdered, "", "", at))
	pcs[1].carryOut(trial("tcp4", endpoint.Contrary, "answered", "", at))
	bad := own.newest(dispatch.Isolate)
	must(t, x.CommandFinished(t.Context(), own.ID, dispatch.Result{CommandID: bad.ID, Status: dispatch.Failed, Detail: "no nf_tables <here>", FinishedAt: at}, nil))
	r = b.get(where).want(t, 200, "遮断したはずの通信が、通ってしまいました", "no nf_tables &lt;here&gt;", "サーバー（「サーバーも含める」")
	for key, want := range map[string]string{"隔離済み（測定）": "1<small> / 4</small>", "接続待ち</span></li>": "1", "要確認": "2"} {
		i := strings.Index(r.body, "<span>"+key)
		if i < 0 || !strings.Contains(r.body[max(i-60, 0):i], "<b>"+want) {
			t.Errorf("%s is not %s: %s", key, want, around(r.body, key))
		}
	}
	if strings.Index(r.body, ">pc-02<") > strings.Index(r.body, ">pc-01<") {
		t.Error("what needs eyes does not come first")
	}
	b.get("/groups").want(t, 200, "まとめて隔離", "指示済み", "ランサムウェア")
	b.get("/ledger").want(t, 200, "まとめて隔離を指示")

	// And back.
	r = b.post("/groups/new/release", url.Values{"names": {"pc-01, pc-02"}, "reason": {"駆除が完了"}}).want(t, 200, "2台の隔離を解除する")
	r = b.post("/groups/order/release", r.fields()).want(t, http.StatusSeeOther)
	for _, p := range pcs[:2] {
		p.finish(p.newest(dispatch.Release), endpoint.Released, "")
	}
	b.get(r.header.Get("Location")).want(t, 200, "まとめて解除", "2<small> / 2</small>", "解除済み（測定）")

	x.person("view", "閲覧 三郎", operator.Viewer)
	view := x.as("view", "ja")
	view.get(where).want(t, 200, "まとめて隔離")
	view.get("/groups/new/isolate").want(t, http.StatusForbidden)
	view.post("/groups/order/isolate", order).want(t, http.StatusForbidden)
}

func TestGroupTakesALongHitListAndWarnsOfTheOperatorsOwnPC(t *testing.T) {
	x := newSite(t)
	x.crowd(3)
	x.modern("here", "127.0.0.1") // where the browser is
	b := x.as("owner", "ja")
	var hits strings.Builder
	for i := range 9_000 {
		fmt.Fprintf(&hits, "ghost-%05d\n", i)
	}
	choice := url.Values{"names": {hits.String() + "here"}, "reason": {"不審な通信"}, "mode": {"selective"}, "rows": {"1"}, permitField("target", 1): {"192.0.2.9"},
		permitField("ports", 1): {"443"}, permitField("reason", 1): {"業務"}, permitField("end", 1): {x.now().Add(time.Hour).In(jst()).Format(localInput)}}
	r := b.post("/groups/new/isolate", choice).want(t, 200, "見つからない名前（9,000件）", "あなたが使用中のPC", "あなたがいま使っているPCです", "1台を隔離して保全する")
	if strings.Contains(r.body, "登録端末の") {
		t.Error("one PC is told to be too large a share")
	}
	again := r.fields()
	again.Set("back", "1")
	b.post("/groups/new/isolate", again).want(t, 200, "ghost-08999", `value="selective" checked`, `value="192.0.2.9"`)
	again.Del("back")
	again.Set("break_glass", "ほかに手段がない")
	r = b.post("/groups/order/isolate", again).want(t, http.StatusSeeOther)
	b.get(r.header.Get("Location")).want(t, 200, "選んだ通信も残す")
	// Other forms take no more than before.
	b.post("/endpoints/x/order/isolate", choice).want(t, http.StatusRequestEntityTooLarge)
	choice.Set("names", strings.Repeat("x\n", maxHits))
	b.post("/groups/new/isolate", choice).want(t, http.StatusRequestEntityTooLarge)
}

// fields are the hidden fields of a page, to be sent again.
func (r reply) fields() url.Values {
	f := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`).FindAllStringSubmatch(r.body, -1) {
		f.Set(m[1], html.UnescapeString(m[2]))
	}
	return f
}

func TestGroupReleaseByTwoPersons(t *testing.T) {
	x := newSite(t)
	x.person("sato", "佐藤 花子", operator.Handler)
	must(t, x.SetIsolationSettings(t.Context(), x.owner, organisation.Isolation{TwoPersons: true}))
	p := x.modern("keiri-pc01", "192.0.2.77")
	_, err := x.Isolate(t.Context(), x.owner, p.ID, act.Order{Reason: "不審な画面"})
	must(t, err)
	p.carryOut()
	choice := url.Values{"all": {"1"}, "reason": {"駆除が完了"}}
	first, second := x.as("owner", "ja"), x.as("sato", "ja")
	r := first.post("/groups/new/release", choice).want(t, 200, "2人の承認が必要です")
	r = first.post("/groups/order/release", r.fields()).want(t, http.StatusSeeOther)
	asked := r.header.Get("Location")
	first.get(asked).want(t, 200, "ほかの人が承認すると実行されます", "依頼を取り消す")
	first.post(asked+"/agree", nil).want(t, http.StatusConflict, "あなたの依頼です")
	second.get("/groups").want(t, 200, asked, "社長 田中")
	inertPage(t, asked, second.get(asked).want(t, 200, "承認して実行する（1 台）", "keiri-pc01", "駆除が完了"))
	second.get("/endpoints/"+p.ID).want(t, 200, "承認を待っています")
	r = second.post("/groups/new/release", choice).want(t, 200)
	r = second.post("/groups/order/release", r.fields()).want(t, http.StatusSeeOther)
	if !strings.HasPrefix(r.header.Get("Location"), "/groups/grp_") {
		t.Errorf("to %q", r.header.Get("Location"))
	}
	p.newest(dispatch.Release)
	second.get(asked).want(t, http.StatusConflict)
}

// TestGroupIsolationByTwoPersons: from the settings to the second person's one click.
func TestGroupIsolationByTwoPersons(t *testing.T) {
	x := newSite(t)
	x.person("sato", "佐藤 花子", operator.Handler)
	x.crowd(3)
	first, second := x.as("owner", "ja"), x.as("sato", "ja")
	first.post("/settings/isolation", url.Values{"lease": {"24"}, "max_share": {"100"}, "two_share": {"50"}, "drill_days": {"0"}, "drill_hour": {"10"}}).want(t, http.StatusSeeOther)
	r := first.post("/groups/new/isolate", url.Values{"all": {"1"}, "reason": {"ランサムウェア"}}).want(t, 200, "2人の承認が必要です")
	r = first.post("/groups/order/isolate", r.fields()).want(t, http.StatusSeeOther)
	asked := r.header.Get("Location")
	r = second.post(asked+"/agree", nil).want(t, http.StatusSeeOther)
	if !strings.HasPrefix(r.header.Get("Location"), "/groups/grp_") {
		t.Errorf("to %q", r.header.Get("Location"))
	}
	first.post("/settings/isolation", url.Values{"lease": {"24"}, "max_share": {"100"}, "two_share": {"0"}, "drill_days": {"0"}, "drill_hour": {"10"}}).want(t, http.StatusSeeOther)
	first.get("/settings/isolation").want(t, 200, "50％ を超えると2人の承認が必要です")
}

func TestDrillIsScored(t *testing.T) {
	x := newSite(t)
	pcs := x.crowd(3)
	b := x.as("owner", "ja")
	r := b.post("/groups/new/drill", url.Values{"all": {"1"}, "reason": {"下期の訓練"}}).want(t, 200, "3台で訓練を始める")
	r = b.post("/groups/order/drill", r.fields()).want(t, http.StatusSeeOther)
	where := r.header.Get("Location")
	for _, p := range pcs {
		p.finish(p.newest(dispatch.Acquire), endpoint.Released, "")
	}
	done := make(chan struct{})
	ctx, stop := contextWith(t)
	go func() { defer close(done); x.RunGroups(ctx) }()
	until(t, func() bool {
		g, _, err := x.Group(t.Context(), x.owner, strings.TrimPrefix(where, "/groups/"))
		return err == nil && !g.CutAt.IsZero()
	})
	stop()
	<-done
	c := pcs[0].carryOut(trial("tcp4", endpoint.AsOrdered, "", "", x.now()))
	if !c.Isolation.Drill || c.Isolation.Until.IsZero() || c.Isolation.ConfirmWithin != 20*time.Second || c.Isolation.Fallback != dispatch.RollBack {
		t.Errorf("%+v", c.Isolation)
	}
	b.get("/endpoints/"+pcs[0].ID).want(t, 200, "訓練</span>")
	b.get(where).want(t, 200, "訓練</span>", "なし（実測）", "確認済み", "これから")
	c2 := pcs[1].carryOut()
	x.advance(61 * time.Second)
	pcs[0].happened(endpoint.IsolationEvent{Kind: endpoint.EventReleasedByTime, CommandID: c.ID})
	pcs[1].happened(endpoint.IsolationEvent{Kind: endpoint.EventLeak, CommandID: c2.ID, Differences: []string{"udp4 answered"}})
	pcs[1].happened(endpoint.IsolationEvent{Kind: endpoint.EventRolledBack, CommandID: c2.ID})
	pcs[0].measured(endpoint.Released, "")
	pcs[1].measured(endpoint.Released, "")
	r = b.get(where).want(t, 200, "自動で解除", "漏れあり", "届かず", "時間より前に解除", "<b>1<small> / 3</small>")
	inertPage(t, "drill", r)
	if row := r.body[strings.Index(r.body, ">pc-03<"):]; !strings.Contains(row, "不明") {
		t.Error("a PC that never answered has a score")
	}
	b.get("/incidents/"+c.IncidentID).want(t, 200, "これは訓練です。", "【訓練】下期の訓練")
}

// TestBrowserIsolatesAGroup goes from the dashboard to the live page of a group.
func TestBrowserIsolatesAGroup(t *testing.T) {
	chromium(t)
	x := newSite(t)
	pcs := x.crowd(2)
	ctx, stop := contextWith(t)
	done := make(chan struct{})
	go func() { defer close(done); x.RunGroups(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	b := x.tab(false)
	b.signIn("owner")
	b.follow(`a[href="/groups"]`, `a[href='/groups/new/isolate']`)
	b.follow(`a[href="/groups/new/isolate"]`, "#all")
	b.do(chromedp.Click("#all"), chromedp.SendKeys("#reason", "ランサムウェア\r"))
	b.until(`document.readyState === "complete" && document.querySelector("#break_glass")`)
	b.do(chromedp.SendKeys("#break_glass", "全社に感染"), chromedp.Click("button.danger"))
	b.until(`location.pathname.startsWith("/groups/grp_") && document.querySelectorAll(".mem-capturing").length === 2`)
	for _, p := range pcs {
		p.finish(p.newest(dispatch.Acquire), endpoint.Released, "")
	}
	b.until(`document.querySelectorAll(".mem-sent").length === 2`)
	for _, p := range pcs {
		p.carryOut()
	}
	b.until(`document.querySelectorAll(".mem-done").length === 2 && document.querySelector(".tiles .iso b").textContent.startsWith("2")`)
	b.calm()
}
