package console

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

func object(pairs ...any) string {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// flown makes the record of a flight recorder of n processes that ran curl and ended.
func flown(n int, now time.Time) []string {
	var lines []string
	at := func(i int) []any {
		return []any{"seq", i, "at", now.Add(time.Duration(i) * 7 * time.Millisecond).UTC().Format(time.RFC3339Nano), "boot_ns", i * 7_000_000}
	}
	add := func(pairs ...any) { lines = append(lines, object(append(at(len(lines)), pairs...)...)) }
	add("event", "snapshot", "processes", 2, "connections", 1)
	add("event", "process_listed", "pid", 1, "comm", "systemd", "uid", 0, "euid", 0)
	add("event", "connection_listed", "family", "inet", "proto", "tcp", "state", "LISTEN", "local_addr", "0.0.0.0", "local_port", 22, "pid", 700, "comm", "sshd", "uid", 0)
	for i := range n {
		pid := 4000 + i
		add("event", "process_started", "how", "exec", "pid", pid, "ppid", 1, "comm", "curl", "exe", "/usr/bin/curl", "args", []string{"curl", "-s", fmt.Sprintf("https://203.0.113.5/%d", i)}, "uid", 1000, "euid", 1000)
		add("event", "connection_opened", "family", "inet", "proto", "tcp", "state", "ESTABLISHED", "local_addr", "192.0.2.77", "local_port", 40000+i%20000, "remote_addr", "203.0.113.5", "remote_port", 443, "pid", pid, "comm", "curl", "uid", 1000)
		add("event", "process_ended", "pid", pid, "comm", "curl", "exit_code", 0, "uid", 1000, "euid", 1000)
	}
	add("event", "process_started", "how", "exec", "pid", 66, "comm", "\u202egpj.exe", "exe", "/memfd:x", "exe_memfd", true, "args", []string{"/memfd:x", evil}, "uid", 1000, "euid", 0)
	add("event", "gap", "lost", 12, "source", "proc_connector", "detail", "ENOBUFS")
	add("event", "from_the_future", "detail", evil)
	add("event", "heartbeat")
	return lines
}

func bootLine(b record.Boot) []string { return []string{line(&b)} }

// goneDown has the PCs of an office switched off in every way.
func (x *office) goneDown(n int) {
	t, ctx := x.t, x.t.Context()
	t.Helper()
	p := x.keiri
	gate, err := x.PowerOffGate(ctx, x.owner, p.ID)
	must(t, err)
	c, err := x.Preserve(ctx, x.owner, p.ID, act.Order{Then: dispatch.ThenPowerOff, Reason: "専門業者に渡すため", Confirmed: gate.Fingerprint(), IncidentID: x.incidentID})
	must(t, err)
	now := x.now()
	acq := p.send(func(m *artifact.Manifest) { m.Trigger, m.CommandID = artifact.TriggerPreserve, c.ID }, map[artifact.Kind][]string{
		artifact.KindFlight:   flown(n, now.Add(-time.Minute)),
		artifact.KindPreserve: {line(&record.Preserve{Then: "power_off", Via: "collector", DecidedBy: "社長", Reason: "専門業者に渡すため", Processes: 212, Connections: 31, Sessions: 1})},
		artifact.KindShutdown: {line(&record.Shutdown{Reason: record.ReasonDown, AllowedNS: 5e9, HoldNS: 2e9, Notices: []record.ShutdownNotice{{At: now, Event: "down", Source: "preserve", Type: "poweroff", ByUID: 0}}})},
	})
	p.finish(c, endpoint.Isolated, acq)
	items, err := x.AcquisitionItems(ctx, x.owner, acq)
	must(t, err)
	for _, it := range items {
		if x.others = append(x.others, it.ID); it.Kind == artifact.KindFlight {
			x.flight = it.ID
		}
	}
	boot := func(p *pc, b record.Boot) {
		p.send(func(m *artifact.Manifest) { m.Trigger = artifact.TriggerBoot }, map[artifact.Kind][]string{artifact.KindBoot: bootLine(b)})
	}
	b := record.Boot{
		Verdict: record.BootCleanWithCapture, Reason: record.BootReasonTwoSources, PreviousBootID: "11111111-8d2f-4c9e-9b1e-0a1b2c3d4e5f", BootID: "22222222-8d2f-4c9e-9b1e-0a1b2c3d4e5f",
		EndedAfter: now.Add(-time.Minute).UTC(), EndedBefore: now.UTC(), LastEvidenceAt: now.Add(-time.Minute).UTC(),
		AskedBy: record.BootAsked{By: "power_key", Type: "poweroff", Who: "PID 812 ('systemctl')"},
		Basis: []record.BootBasis{{Source: "boot_id", Witness: "kernel", Read: "ok"}, {Source: "wtmp", Witness: "wtmp", Read: "ok", Leans: "orderly"},
			{Source: "shutdown_record", Witness: "agent", Read: "ok", Leans: "orderly"}, {Source: "pstore", Witness: "kernel", Read: "absent"}},
		Shutdown: record.BootShutdown{NoticedAt: now.UTC(), ReleasedAt: now.UTC(), AddedDelayNS: 412_000_000},
	}
	boot(p, b)
	b.Verdict, b.Reason, b.AskedBy, b.Shutdown = record.BootUnknown, record.BootReasonDisagreement, record.BootAsked{}, record.BootShutdown{}
	boot(x.sales, b)
	b.Verdict, b.Reason = record.BootPowerLoss, record.BootReasonTwoSources
	boot(x.sales, b)
	b.Verdict = record.BootAgentRestarted
	boot(x.sales, b)
	b.Verdict, b.AskedBy = evil, record.BootAsked{By: evil, Type: evil, Who: evil}
	boot(x.evilPC, b)
}

func TestTheGateIsShownBeforeAPCIsSwitchedOff(t *testing.T) {
	x := newOffice(t, 30)
	b := x.as("sato", "ja")
	path := "/endpoints/" + x.sales.ID + "/order/preserve"
	b.get("/endpoints/"+x.sales.ID).want(t, 200, `href="`+path+`"`, "保全してシャットダウン")
	b.get("/incidents/"+x.incidentID).want(t, 200, `href="`+path+"?incident="+x.incidentID)
	page := b.get(path).want(t, 200, "電源を切ると失われるもの", "メモリーの内容は取得していません", "ディスクの暗号化の状態は不明", "先に「隔離して保全」を行う", `value="power_off" checked`)
	confirmed := regexp.MustCompile(`name="confirmed" value="([0-9a-f]{16})"`).FindStringSubmatch(page.body)
	if confirmed == nil {
		t.Fatal("nothing to confirm")
	}
	form := url.Values{"then": {"power_off"}, "reason": {"感染を確認"}, "confirmed": {confirmed[1]}}
	with := func(name, value string) url.Values {
		f := url.Values{}
		for k, v := range form {
			f[k] = v
		}
		f.Set(name, value)
		return f
	}
	b.post(path, with("reason", " ")).want(t, 422, "入力してください。", "電源を切ると失われるもの")
	b.post(path, with("then", "explode")).want(t, 422, "選択肢から選んでください。")
	b.post(path, with("confirmed", "0000000000000000")).want(t, 422, "指示はまだ出していません", "感染を確認")
	x.sales.measured(endpoint.Isolated, "")
	b.post(path, form).want(t, 422, "表示していた内容が変わりました")
	x.sales.measured(endpoint.Released, "")
	if list, err := x.Commands(t.Context(), x.owner, act.CommandFilter{EndpointID: x.sales.ID}); err != nil || list[0].Verb == dispatch.Preserve {
		t.Fatalf("%+v, %v", list, err)
	}
	r := b.post(path, form).want(t, 303)
	b.get(r.header.Get("Location")).want(t, 200, "「保全」を指示しました", "電源を切る（次の起動の記録で確認）")
	list, err := x.Commands(t.Context(), x.owner, act.CommandFilter{EndpointID: x.sales.ID})
	must(t, err)
	if c := list[0]; c.Then != dispatch.ThenPowerOff || c.Reason != "感染を確認" || c.Issuer != "佐藤 花子" {
		t.Errorf("%+v", c)
	}
	x.as("owner", "ja").get("/ledger").want(t, 200, "保全（シャットダウンを含む）を指示", "gate_memory")
	x.as("view", "ja").get(path).want(t, 403)
	x.as("audit", "ja").post(path, form).want(t, 403)
}

func TestTheGateCountsWhatTheNewestEvidenceCounted(t *testing.T) {
	x := newOffice(t, 30)
	gate, err := x.PowerOffGate(t.Context(), x.owner, x.keiri.ID)
	must(t, err)
	if gate.Processes != 30 || gate.Connections < 1 || gate.Sessions != 2 || gate.AcquisitionID != x.acquisition || gate.Pending != nil {
		t.Errorf("%+v", gate)
	}
	x.as("owner", "en").get("/endpoints/"+x.keiri.ID+"/order/preserve").want(t, 200, "30 processes", "2 sign-ins")
}

func TestOldAgentsAreNotAskedToPreserve(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "en")
	r := b.get("/endpoints/"+x.odd.ID).want(t, 200)
	if strings.Contains(r.body, "/order/preserve") {
		t.Error("the button is there")
	}
	path := "/endpoints/" + x.odd.ID + "/order/preserve"
	r = b.get(path).want(t, 200, "too old to understand this order")
	if strings.Contains(r.body, "<form method=\"post\" action=\"/endpoints/") {
		t.Error("it can be ordered")
	}
	b.post(path, url.Values{"then": {"nothing"}, "reason": {"r"}, "confirmed": {"x"}}).want(t, 409, "too old to understand this order")
}

func TestHowBootsEndedIsShownAndUnknownIsNotGreen(t *testing.T) {
	x := newOffice(t, 20)
	b := x.as("owner", "ja")
	b.get("/endpoints/"+x.keiri.ID).want(t, 200, `boot-good`, "正常終了（直前の証拠あり）", "指示元: 電源ボタン（電源オフ） PID 812", "証拠の取得による停止の遅れ: 0.5秒", "クラッシュの記録（pstore）", "記録なし")
	r := b.get("/endpoints/"+x.sales.ID).want(t, 200, "電源断", "情報源が食い違っています。", "boot-unknown", "最後の証拠から停止までの時間: 不明")
	if strings.Contains(r.body, "boot-good") || strings.Contains(r.body, "エージェントの再起動") {
		t.Error("an unknown end looks like a good one, or a restart of the agent like an end")
	}
	r = b.get("/endpoints/"+x.evilPC.ID).want(t, 200, "端末が伝えた判定: ⟨U&#43;202E⟩gpj.exe", "boot-unknown")
	inertPage(t, "evil boot", r)
	inertPage(t, "incident", b.get("/incidents/"+x.incidentID))
	r = b.get("/incidents/"+x.incidentID+"/timeline").want(t, 200, "前回の終了のしかたは「正常終了（直前の証拠あり）」です。", "の保全で取った証拠を3件受領し", "に「保全してシャットダウン」を指示しました", "メモリーの内容は取得していません",
		"知らせの元: 保全の指示（電源オフ）", "uid 0", "停止を待たせてよい時間: 2.0秒まで（OS の上限 5.0秒）")
	inertPage(t, "timeline", r)
}

func TestThatAPCWentDownIsShownOnlyWhenItsNextBootSaysSo(t *testing.T) {
	now := time.Now()
	c := dispatch.Command{ID: "cmd_1", Verb: dispatch.Preserve, Then: dispatch.ThenPowerOff, Status: dispatch.Done, FinishedAt: now, ReceivedAt: now}
	last := func(c dispatch.Command, e endpointView) string {
		steps := viewProgress(c, e, nil).Steps
		s := steps[len(steps)-1]
		return s.Key + " " + s.State
	}
	e := viewEndpoint(endpoint.Endpoint{ID: "end_x", LastSeenAt: now}, now) // offline now, which says nothing
	if got := last(c, e); got != "down.power_off waiting" {
		t.Error(got)
	}
	end := endpoint.Boot{Verdict: record.BootCleanWithCapture, Asked: endpoint.BootAsked{Type: "poweroff"}, EndedAfter: now.Add(time.Second), EndedBefore: now.Add(time.Minute), ReceivedAt: now.Add(time.Minute)}
	for name, change := range map[string]func(b *endpoint.Boot){
		"an earlier end, received later": func(b *endpoint.Boot) { b.EndedAfter = now.Add(-time.Second) },
		"an end at nobody knows when":    func(b *endpoint.Boot) { b.EndedAfter = time.Time{} },
		"a power loss":                   func(b *endpoint.Boot) { b.Verdict = record.BootPowerLoss },
		"a contradiction":                func(b *endpoint.Boot) { b.Verdict = record.BootUnknown },
		"a restart":                      func(b *endpoint.Boot) { b.Asked.Type = "reboot" },
		"an end that nobody asked for":   func(b *endpoint.Boot) { b.Asked = endpoint.BootAsked{} },
		"a restart of the agent":         func(b *endpoint.Boot) { b.Verdict = record.BootAgentRestarted },
		"clocks that contradict":         func(b *endpoint.Boot) { b.ClockContradicts = true },
	} {
		b := end
		change(&b)
		if e.Ends = []endpoint.Boot{b}; last(c, e) != "down.power_off waiting" {
			t.Errorf("%s is taken for the end that was ordered", name)
		}
	}
	other := end
	other.Verdict, other.EndedAfter = record.BootPowerLoss, now.Add(500*time.Millisecond)
	if e.Ends = []endpoint.Boot{end, other}; last(c, e) != "down.power_off waiting" {
		t.Error("a later end is taken for the one that was ordered")
	}
	e.Ends = []endpoint.Boot{end}
	if got := last(c, e); got != "down.power_off done" {
		t.Error(got)
	}
	c.Status = dispatch.Failed
	if got := last(c, e); got != "down.power_off unknown" {
		t.Error(got)
	}
	c.Status, c.Then = dispatch.Done, dispatch.ThenNothing
	if got := last(c, e); got != "received unknown" {
		t.Error(got)
	}
}

func TestFlightTable(t *testing.T) {
	x := newOffice(t, 1500)
	b := x.as("owner", "ja")
	path := "/evidence/" + x.flight
	r := b.get(path).want(t, 200, "記録の欠けが1か所あります（わかっている数: 12件）", "プロセスの開始", "変化 <small>4,503</small>", "すべて <small>4,507</small>", "curl -s https://203.0.113.5/0", "→ 203.0.113.5:443")
	if n := strings.Count(r.body, "<tr"); n != rowsPerPage+1 {
		t.Errorf("%d rows", n)
	}
	b.get(path+"?q=203.0.113.5%2F777").want(t, 200, "変化 <small>1</small>", "4777")
	r = b.get(path+"?show=recorder").want(t, 200, "記録の欠け", "lost=12", "from_the_future")
	inertPage(t, "recorder", r)
	inertPage(t, "memfd", b.get(path+"?q=memfd").want(t, 200, "メモリー上のみ", "⟨U+202E⟩"))
	b.get(path+"?sort=time&dir=desc&show=all").want(t, 200, "フライトレコーダーの稼働")
	b.get(path+"/records?q=curl").want(t, 200)
}

func TestSecondsAreNeverShownShorterThanTheyAre(t *testing.T) {
	c, err := Texts()
	must(t, err)
	p := c.Printer("ja")
	for d, want := range map[time.Duration]string{0: "0.0秒", 1: "0.1秒", 3200 * time.Millisecond: "3.2秒", 3201 * time.Millisecond: "3.3秒", 119950 * time.Millisecond: "120.0秒", 2 * time.Minute: "2分", 2*time.Minute + 1: "3分",
		125 * time.Second: "3分", 2 * time.Hour: "2時間", 2*time.Hour + time.Second: "2時間1分", 47*time.Hour + 59*time.Minute + 1: "2日", 48*time.Hour + 1: "2日1時間", math.MaxInt64: "106752日"} {
		if got := seconds(p, d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
