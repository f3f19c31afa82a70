package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/drill"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/internal/capability"
	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
)

// drilled has people drill: one drill goes on, one is over.
func (x *office) drilled() {
	x.t.Helper()
	ctx := x.t.Context()
	d, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "秋の対応訓練（経理部）", Classification: incident.Ransomware, EndpointIDs: []string{x.sales.ID}, Drill: true})
	must(x.t, err)
	x.drill = d.ID
	must(x.t, x.StepDrill(ctx, x.owner, d.ID, act.DrillStep{What: drill.Acquire}))
	must(x.t, x.StepDrill(ctx, x.owner, d.ID, act.DrillStep{What: drill.Isolate, EndpointID: x.sales.ID, Note: "手順書の3ページ\n" + evil}))
	over, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "春の訓練", Classification: incident.Leak, Drill: true})
	must(x.t, err)
	must(x.t, x.CloseIncident(ctx, x.owner, over.ID, "連絡先の更新が必要"))
	x.drillOver = over.ID
}

// drillPaths are the pages of drills.
func (x *office) drillPaths() []string {
	d := "/incidents/" + x.drill
	return []string{"/drills/new", d, d + "/drill", d + "/drill/real", d + "/close", d + "/deadlines", d + "/reports", "/incidents/" + x.drillOver + "/drill", "/contacts?incident=" + x.drill,
		"/endpoints/" + x.sales.ID + "/order/isolate?incident=" + x.drill, "/endpoints/" + x.sales.ID + "/order/acquire?incident=" + x.drill}
}

func TestEveryWordOfDrills(t *testing.T) {
	p := i18ntest.Parity(t, sub("translations")).Printer(i18n.English)
	var keys []string
	for _, w := range drill.Simulated() {
		keys = append(keys, "drill.how.simulate."+string(w), "drill.order.do."+string(w), "drill.step."+string(w), "timeline.drill."+string(w))
	}
	for _, w := range []string{"acquire", "isolate"} {
		keys = append(keys, "drill.how.real."+w, "drill.how.real.what."+w)
	}
	for _, m := range drill.Moments()[2:] {
		keys = append(keys, "drill.next."+string(m))
	}
	for _, s := range []drill.State{drill.InTime, drill.Late, drill.Running, drill.Overdue, drill.NotDone} {
		keys = append(keys, "drill.state."+string(s))
	}
	for _, e := range []string{"told", "real", "found_in", "result"} {
		keys = append(keys, "timeline.drill."+e)
	}
	for _, a := range []string{"simulate", "told", "real", "result"} {
		keys = append(keys, "ledger.act.drill."+a)
	}
	keys = append(keys, "drill.step.told", "incident.close_code."+string(incident.Drilled), "timeline.closed."+string(incident.Drilled), "error.in_drill.title", "error.in_drill.next")
	for _, k := range keys {
		if !p.Has(k) {
			t.Errorf("%s has no text", k)
		}
	}
}

// TestDrillIsMarkedOnEveryPage goes over the pages of a drill in both languages, and over those
// of a real incident, which must not carry the mark.
func TestDrillIsMarkedOnEveryPage(t *testing.T) {
	x := newOffice(t, 20)
	for lang, words := range map[string]string{"ja": "これは訓練です。", "en": "This is a drill."} {
		mark := "<b>" + words + "</b>"
		b := x.as("owner", lang)
		for _, path := range x.drillPaths()[1:] {
			if r := b.get(path); r.code != http.StatusOK || !strings.Contains(r.body, mark) {
				t.Errorf("%s in %s is not marked: %d", path, lang, r.code)
			}
		}
		for _, path := range []string{"/incidents/" + x.incidentID, "/incidents/" + x.incidentID + "/reports", "/contacts", "/evidence/" + x.processes, "/endpoints/" + x.sales.ID + "/order/isolate"} {
			if r := b.get(path); r.code != http.StatusOK || strings.Contains(r.body, mark) {
				t.Errorf("%s in %s is marked: %d", path, lang, r.code)
			}
		}
		// The first page and the list have drills apart, with the mark.
		for _, path := range []string{"/", "/incidents"} {
			body := b.get(path).body
			before, after, ok := strings.Cut(body, `id="h-drills"`)
			if !ok || strings.Contains(before, x.drill) || !strings.Contains(after, x.drill) || !strings.Contains(after, "DRILL-") {
				t.Errorf("%s in %s mixes drills with what is real", path, lang)
			}
		}
	}
	if r := x.as("owner", "ja").get("/contacts?incident=" + x.drill); strings.Contains(r.body, "tel:") || strings.Contains(r.body, "mailto:") {
		t.Error("a call is one click away in a drill")
	}
}

func TestDrillFromBeginningToEnd(t *testing.T) {
	x := newSite(t)
	p := x.enrol(endpoint.Description{Hostname: "keiri-pc01", OS: "linux", Arch: "amd64", Platform: "debian 12", Capability: uint32(capability.Current)})
	b := x.as("owner", "ja")
	field := func(body, name string) string {
		m := regexp.MustCompile(`name="` + name + `"[^>]*value="([^"]*)"`).FindStringSubmatch(body)
		if m == nil {
			t.Fatalf("no field %s in\n%s", name, body)
		}
		return m[1]
	}
	at := field(b.get("/drills/new").body, "discovered")
	if r := b.post("/drills/new", url.Values{"discovered": {at}}); r.code != http.StatusUnprocessableEntity {
		t.Errorf("a drill of nothing: %d", r.code)
	}
	r := b.post("/drills/new", url.Values{"discovered": {at}, "classification": {"malware"}, "endpoint": {p.ID}})
	d := r.header.Get("Location")
	if r.code != http.StatusSeeOther || !strings.HasPrefix(d, "/incidents/inc_") {
		t.Fatalf("%d %s", r.code, d)
	}
	id := strings.TrimPrefix(d, "/incidents/")
	b.get(d).want(t, http.StatusOK, "ウイルス", "DRILL-2026-0001", "【訓練】")
	order := "/endpoints/" + p.ID + "/order/isolate"
	// A form that was not the one of the drill does nothing.
	b.post(order, url.Values{"incident": {id}, "reason": {"r"}}).want(t, http.StatusOK, "隔離したことにする")
	b.post(order, url.Values{"incident": {id}, "reason": {"r"}, "how": {"quickly"}}).want(t, http.StatusUnprocessableEntity)
	if r := b.post(order, url.Values{"incident": {id}, "reason": {"手順どおり"}, "how": {"simulate"}}); r.code != http.StatusSeeOther || r.header.Get("Location") != d+"/drill" {
		t.Errorf("%d %s", r.code, r.header.Get("Location"))
	}
	if list, err := x.Commands(t.Context(), x.owner, act.CommandFilter{}); err != nil || len(list) != 0 {
		t.Errorf("%d commands, %v", len(list), err)
	}
	if r := b.post(order, url.Values{"incident": {id}, "reason": {"r"}, "how": {"real"}}); r.code != http.StatusSeeOther {
		t.Errorf("%d\n%s", r.code, r.body)
	}
	list, err := x.Commands(t.Context(), x.owner, act.CommandFilter{})
	if err != nil || len(list) != 1 || !list[0].Isolation.Drill || list[0].IncidentID != id {
		t.Errorf("%+v, %v", list, err)
	}
	b.post("/groups/new/isolate", url.Values{"in": {id}, "reason": {"r"}}).want(t, http.StatusConflict, "訓練")
	b.post(d+"/drill/step", url.Values{"what": {"told"}, "note": {"社長に電話"}})
	b.post(d+"/drill/step", url.Values{"what": {"explode"}}).want(t, http.StatusUnprocessableEntity)
	b.get(d+"/drill").want(t, http.StatusOK, "社長に電話", "すべての端末の証拠を保全します")
	b.post(d+"/drill/real", url.Values{"seen": {""}}).want(t, http.StatusUnprocessableEntity)
	found := b.post(d+"/drill/real", url.Values{"seen": {"知らない通信"}, "endpoint": {p.ID}}).header.Get("Location")
	b.get(found).want(t, http.StatusOK, "INC-2026-0001", "訓練の最中に見つかりました")
	if r := b.get(found); strings.Contains(r.body, "drill-bar") {
		t.Error("the real incident has the bar of a drill")
	}
	if r := b.post(d+"/close", url.Values{"reason": {"おわり"}}); r.header.Get("Location") != d+"/drill" {
		t.Errorf("%d %s", r.code, r.header.Get("Location"))
	}
	b.get(d+"/drill").want(t, http.StatusOK, "訓練の結果", "行わなかった", "確定しました")
	x.person("view", "閲覧", operator.Viewer)
	v := x.as("view", "ja")
	v.get(d+"/drill").want(t, http.StatusOK, "訓練の結果")
	v.get("/drills/new").want(t, http.StatusForbidden)
	v.get(d+"/drill/real").want(t, http.StatusForbidden)
}
