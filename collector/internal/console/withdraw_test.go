package console

import (
	"net/url"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/organisation"
	"hozen/internal/capability"
	"hozen/internal/id"
)

// down orders a PC to be switched off, with what the gate says now.
func (p *pc) down(then dispatch.Then) dispatch.Command {
	p.x.t.Helper()
	gate, err := p.x.PowerOffGate(p.x.t.Context(), p.x.owner, p.ID)
	must(p.x.t, err)
	c, err := p.x.Preserve(p.x.t.Context(), p.x.owner, p.ID, act.Order{Then: then, Reason: "感染を確認", Confirmed: gate.Fingerprint()})
	must(p.x.t, err)
	return c
}

func onePC(t *testing.T) (*site, *pc) {
	x := newSite(t)
	p := x.enrol(endpoint.Description{Hostname: "keiri-pc01", OS: "linux", Arch: "amd64", Platform: "debian 12", Capability: uint32(capability.Current)})
	return x, p
}

func TestAnOrderToGoDownIsShownAndWithdrawn(t *testing.T) {
	x, p := onePC(t)
	b := x.as("owner", "ja")
	path := "/endpoints/" + p.ID + "/order/preserve"
	b.get(path).want(t, 200, "この端末の登録（", "以降、実行中のプログラム・通信・サインインの証拠は受領していません", "最後の測定: 20")
	p.disconnect()
	b.get(path).want(t, 200, "端末が受け取るまでは取り消せます", "24時間以内に受け取らなければ")
	c := p.down(dispatch.ThenPowerOff)
	withdraw := "/commands/" + c.ID + "/withdraw"
	r := b.get(path).want(t, 200, "この端末では、「保全してシャットダウン」の指示が待っています", "社長 田中", c.ID, "感染を確認", `action="`+withdraw+`"`)
	if strings.Contains(r.body, `name="confirmed"`) {
		t.Error("another can be ordered")
	}
	b.post(path, url.Values{"then": {"power_off"}, "reason": {"r"}, "confirmed": {"x"}}).want(t, 409, "の指示が待っています")
	b.get("/endpoints/"+p.ID).want(t, 200, `action="`+withdraw+`"`, "までに端末が受け取らなければ、この指示は無効になります。")
	b.get("/incidents/"+c.IncidentID).want(t, 200, `action="`+withdraw+`"`)
	b.get("/incidents/"+c.IncidentID+"/close").want(t, 200, "終了と同時に取り消します", "keiri-pc01")
	x.person("view", "閲覧", "viewer")
	view := x.as("view", "ja")
	if r := view.get("/endpoints/"+p.ID).want(t, 200); strings.Contains(r.body, "/withdraw") {
		t.Error("the button is offered to one who may not")
	}
	view.post(withdraw, nil).want(t, 403)

	r = b.post(withdraw, nil).want(t, 303)
	r = b.get(r.header.Get("Location")).want(t, 200, "指示を取り消しました。", "cmd-withdrawn", "行いません")
	if strings.Contains(r.body, "できませんでした") || strings.Contains(r.body, withdraw) {
		t.Error("a withdrawn order looks like a failed one, or can be withdrawn again")
	}
	b.get("/incidents/"+c.IncidentID).want(t, 200, "keiri-pc01 への「保全してシャットダウン」の指示を取り消しました。")
	b.get("/ledger").want(t, 200, "指示の取り消し")
	b.get("/incidents/"+c.IncidentID+"/close").want(t, 200)

	// What the endpoint has received cannot be taken back.
	c = p.down(dispatch.ThenReboot)
	must(t, x.CommandAcked(t.Context(), p.ID, c.ID))
	r = b.get(path).want(t, 200, "端末が受け取り、実行しています。")
	if strings.Contains(r.body, "/withdraw") {
		t.Error("it is offered all the same")
	}
	b.post("/commands/"+c.ID+"/withdraw", nil).want(t, 409, "端末がすでに指示を受け取っています")
	x.as("owner", "en").get(path).want(t, 200, "“Preserve and restart” waits for this endpoint already", "社長 田中")
}

func TestAPCThatCouldNotBeSwitchedOffIsShownAsSuch(t *testing.T) {
	x, p := onePC(t)
	b := x.as("owner", "ja")
	for then, want := range map[dispatch.Then]string{dispatch.ThenPowerOff: "電源を切れませんでした。証拠は端末に保存済みですが、PCは動いたままです。", dispatch.ThenReboot: "再起動できませんでした。証拠は端末に保存済みですが、PCは動いたままです。"} {
		c := p.down(then)
		p.finish(c, endpoint.Released, id.New(id.Acquisition))
		page := b.get("/endpoints/"+p.ID+"?command="+c.ID).want(t, 200)
		if strings.Contains(page.body, want) {
			t.Error("said before it was known")
		}
		must(t, x.CommandFinished(t.Context(), p.ID, dispatch.Result{CommandID: c.ID, Status: dispatch.Failed, Detail: "logind: Interactive authentication required", FinishedAt: x.now()}, nil))
		b.get("/endpoints/"+p.ID+"?command="+c.ID).want(t, 200, want, "もう一度指示するか", "cmd-not_down", "Interactive authentication required", `<li class="is-failed"`)
		b.get("/incidents/"+c.IncidentID).want(t, 200, want)
		b.get("/incidents/"+c.IncidentID).want(t, 200, map[dispatch.Then]string{dispatch.ThenPowerOff: "keiri-pc01 の電源を切れませんでした。", dispatch.ThenReboot: "keiri-pc01 を再起動できませんでした。"}[then])
	}
	c := p.down(dispatch.ThenPowerOff)
	must(t, x.CommandFinished(t.Context(), p.ID, dispatch.Result{CommandID: c.ID, Status: dispatch.Failed, Detail: "disk full", FinishedAt: x.now()}, nil))
	b.get("/endpoints/"+p.ID+"?command="+c.ID).want(t, 200, "この指示では電源を切っていません。", "disk full")
}

// An isolation that waits for a PC that is away is taken back with a reason where its
// progress is shown.
func TestAnIsolationThatWaitsIsShownAndWithdrawn(t *testing.T) {
	x, p := onePC(t)
	p.disconnect()
	c, err := x.Isolate(t.Context(), x.owner, p.ID, act.Order{Reason: "不審な画面"})
	must(t, err)
	b := x.as("owner", "ja")
	withdraw := "/commands/" + c.ID + "/withdraw"
	b.get("/endpoints/"+p.ID).want(t, 200, `action="`+withdraw+`"`, "取り消すと、端末がつながっても隔離しません。")
	r := b.post(withdraw, url.Values{"reason": {"別のPCでした"}}).want(t, 303)
	r = b.get(r.header.Get("Location")).want(t, 200, "指示を取り消しました。", "別のPCでした")
	if strings.Contains(r.body, withdraw) {
		t.Error("it can be withdrawn again")
	}
	b.get("/incidents/"+c.IncidentID).want(t, 200, "keiri-pc01 への「隔離して保全」の指示を取り消しました。")
	x.as("owner", "en").get("/incidents/"+c.IncidentID).want(t, 200, "The order “Isolate and preserve” for keiri-pc01 was withdrawn.")

	c, err = x.Isolate(t.Context(), x.owner, p.ID, act.Order{})
	must(t, err)
	must(t, x.CommandAcked(t.Context(), p.ID, c.ID))
	b.post("/commands/"+c.ID+"/withdraw", nil).want(t, 409, "端末がすでに指示を受け取っています")
	x.person("tetsudai", "二人目", "handler")
	must(t, x.SetIsolationSettings(t.Context(), x.owner, organisation.Isolation{TwoPersons: true}))
	c, err = x.Isolate(t.Context(), x.owner, p.ID, act.Order{})
	must(t, err)
	r = b.post("/commands/"+c.ID+"/withdraw", nil).want(t, 303)
	b.get(r.header.Get("Location")).want(t, 200, "依頼しました。別の担当者が承認すると解除されます。", "/commands/"+c.ID+"/withdraw")
}
