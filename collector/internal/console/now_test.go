package console

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/internal/artifact"
)

// between is what stands on a page from one mark to the next after it.
func between(t *testing.T, body, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(body, from)
	part, _, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("nothing from %q to %q in\n%.4000s", from, to, body)
	}
	return part
}

// TestFirstPageAnswersThreeQuestions walks from an empty office over a calm one to one that
// burns: each time the page says what burns, offers one thing to press and somebody to call.
func TestFirstPageAnswersThreeQuestions(t *testing.T) {
	x := newSite(t)
	ctx := t.Context()
	b := x.as("owner", "ja")
	primary := regexp.MustCompile(`class="[^"]*\bprimary\b[^"]*"(?: href="([^"]*)")?`)
	look := func(what, press string, fires ...string) string {
		t.Helper()
		r := b.get("/").want(t, http.StatusOK)
		burns := between(t, r.body, `id="h-fire"`, "</section>")
		for _, f := range fires {
			if !strings.Contains(burns, f) {
				t.Errorf("%s: %q does not stand under what burns: %s", what, f, burns)
			}
		}
		if calm := strings.Contains(burns, "いまは落ち着いています"); calm != (len(fires) == 0) {
			t.Errorf("%s: calm is %t: %s", what, calm, burns)
		}
		found := primary.FindAllStringSubmatch(r.body, -1)
		if len(found) != 1 || found[0][1] != press {
			t.Errorf("%s: to be pressed are %q, want %s alone", what, found, press)
		}
		if order := regexp.MustCompile(`(?s)id="h-fire".*id="h-press".*id="h-call"`); !order.MatchString(r.body) {
			t.Errorf("%s: the questions do not come in their order", what)
		}
		return between(t, r.body, `id="h-call"`, "</section>")
	}
	desk := look("empty", "/endpoints/add")
	if !strings.Contains(desk, `href="tel:`) {
		t.Errorf("nobody can be called: %s", desk)
	}
	p := x.enrol(endpoint.Description{Hostname: "keiri-pc01", OS: "linux", Arch: "amd64", Platform: "debian 12"})
	look("calm", "/incidents/new")
	_, err := x.SaveContact(ctx, x.owner, contact.Own{Kind: contact.Vendor, Name: "保守の会社", Tel: "03-1234-5678"})
	must(t, err)
	inc := p.alert("変な画面", "keiri")
	if call := look("an alert", "/incidents/"+inc, "対応中のインシデント: 1 件"); !strings.Contains(call, `href="tel:0312345678"`) || !strings.Contains(call, "保守の会社") {
		t.Errorf("whom to call: %s", call)
	}
	p.disconnect()
	c, err := x.Isolate(ctx, x.owner, p.ID, act.Order{Reason: "r", IncidentID: inc})
	must(t, err)
	look("an order that waits", "/endpoints/"+p.ID, "隔離すべきなのに隔離を確かめられない端末: 1 台")
	b.get("/incidents/"+inc).want(t, 200, "隔離すべき端末 1 台を確認できません", "1 台のうち 0 台を測定で確認")
	p.connect()
	p.finish(c, endpoint.Isolated, "")
	look("isolated", "/incidents/"+inc, "対応中のインシデント: 1 件")
	x.advance(endpoint.StaleAfter + time.Second) // what was measured then says nothing about now
	look("measured long ago", "/endpoints/"+p.ID, "隔離すべきなのに隔離を確かめられない端末: 1 台")
	p.measured(endpoint.Isolated, c.ID)
	x.advance(5 * time.Hour)
	p.measured(endpoint.Isolated, c.ID)
	b = x.as("owner", "ja") // that was longer than a session lasts
	x.person("view", "閲覧", operator.Viewer)
	look("behind", "/incidents/"+inc, "過ぎた期限: 1 件")
	if r := x.as("view", "ja").get("/").want(t, 200); strings.Contains(r.body, "/incidents/new") || strings.Contains(r.body, `"/endpoints/add" class="button primary`) {
		t.Error("a viewer is offered what only others may do")
	}
	rel, err := x.Release(ctx, x.owner, p.ID, act.Order{Reason: "r", IncidentID: inc})
	must(t, err)
	p.finish(rel, endpoint.Released, "")
	must(t, x.CloseIncident(ctx, x.owner, inc, "誤報"))
	look("calm again", "/incidents/new")
}

// TestStatusOfAnIncident: the strip counts what was measured and what arrived, and says what
// is on its way.
func TestStatusOfAnIncident(t *testing.T) {
	x := newSite(t)
	ctx := t.Context()
	p := x.enrol(endpoint.Description{Hostname: "pc-1", OS: "linux", Arch: "amd64", Platform: "debian 12"})
	q := x.enrol(endpoint.Description{Hostname: "pc-2", OS: "linux", Arch: "amd64", Platform: "debian 12"})
	inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Classification: incident.Malware, EndpointIDs: []string{p.ID, q.ID}})
	must(t, err)
	b := x.as("owner", "ja")
	strip := func() string {
		t.Helper()
		return between(t, b.get("/incidents/"+inc.ID).want(t, 200).body, `id="region-status"`, "</nav>")
	}
	has := func(what string, texts ...string) {
		t.Helper()
		s := strip()
		for _, w := range texts {
			if !strings.Contains(s, w) {
				t.Errorf("%s: %q is not in the strip: %s", what, w, s)
			}
		}
	}
	has("at first", "2 台のうち 0 台を測定で確認", "証拠はまだありません", `href="#region-endpoints"`, `href="#evidence"`, `href="/incidents/`+inc.ID+`/deadlines"`, "報告の要否が未回答です")
	c, err := x.Isolate(ctx, x.owner, p.ID, act.Order{Reason: "r", IncidentID: inc.ID})
	must(t, err)
	_, err = x.Acquire(ctx, x.owner, q.ID, act.Order{Reason: "r", IncidentID: inc.ID})
	must(t, err)
	has("ordered", "2 件のうち 0 件を受領・検証", "2 件が届く途中です", "is-bad")
	acq := p.send(func(m *artifact.Manifest) {
		m.Trigger, m.CommandID, m.IncidentID = artifact.TriggerIsolation, c.ID, inc.ID
	}, captured(3, x.now()))
	p.finish(c, endpoint.Isolated, acq)
	has("one of two", "2 台のうち 1 台を測定で確認", "最も古い測定", "2 件のうち 1 件を受領・検証", "1 件が届く途中です")
	x.advance(endpoint.StaleAfter + time.Second)
	has("long ago", "2 台のうち 0 台を測定で確認", "不明 2 台")
	if s := strip(); strings.Contains(s, "is-ok") {
		t.Errorf("what is not known looks good: %s", s)
	}
}
