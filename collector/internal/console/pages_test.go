package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/operator"
	"hozen/internal/artifact"
	"hozen/internal/capability"
	"hozen/internal/pki"
)

// office is a site with a bit of everything, for tests that go over all pages.
type office struct {
	*site
	keiri, sales, away, odd, evilPC *pc
	incidentID                      string
	processes, sockets, flight      string // evidence identifiers
	others                          []string
	acquisition                     string
	token                           string
	measured                        *pc      // isolated, with all that can be measured
	groups                          []string // identifiers of orders to groups
	insurer                         string   // identifier of a contact
	sent                            string   // address of an exhibit that a person sent
	device                          string   // address of an exhibit that was registered by hand
	report                          string   // address of an issued document; see documented
	vendor                          act.Actor
	phones                          []string // pages of links and what they lead to
	channel                         string   // address of a channel
	asked                           string   // identifier of a group order that waits
	drill, drillOver                string   // identifiers of drills: one goes on
}

func newOffice(t testing.TB, n int) *office {
	t.Helper()
	x := &office{site: newSite(t)}
	ctx := t.Context()
	x.person("sato", "佐藤 花子", operator.Handler)
	x.person("audit", "監査 次郎", operator.Auditor)
	x.person("view", "閲覧 三郎", operator.Viewer)
	if _, _, err := x.AddOperator(ctx, x.owner, act.NewOperator{Name: "new", DisplayName: "新人 四郎", Role: operator.Handler}); err != nil {
		t.Fatal(err)
	}
	desc := func(host, platform string) endpoint.Description {
		return endpoint.Description{Hostname: host, OS: "linux", Arch: "amd64", Platform: platform, AgentVersion: "0.1.0", Capability: uint32(capability.Current), BootID: "5f1c2a4e-8d2f-4c9e-9b1e-0a1b2c3d4e5f"}
	}
	x.keiri = x.enrol(desc("keiri-pc01", "debian 12.11"))
	must(t, x.LabelEndpoint(ctx, x.owner, x.keiri.ID, "経理PC（佐藤さん）"))
	x.sales = x.enrol(desc("eigyo-note03", "ubuntu 24.04"))
	x.away = x.enrol(desc("soumu-pc02", "debian 12.11"))
	old := desc("file-server", "rocky 9.5")
	old.Capability = 1
	x.odd = x.enrol(old)
	x.evilPC = x.enrol(desc(evil[:60], "debian 12.11"))

	x.incidentID = x.keiri.alert("見たことのない警告画面が出て、動作が重いです。\n添付ファイルを開いた後からです。", "keiri")
	c, err := x.Isolate(ctx, x.owner, x.keiri.ID, act.Order{Reason: "不審な警告画面が出たため", IncidentID: x.incidentID})
	must(t, err)
	lines := captured(n, x.now())
	x.acquisition = x.keiri.send(func(m *artifact.Manifest) {
		m.Trigger, m.CommandID, m.IncidentID = artifact.TriggerIsolation, c.ID, x.incidentID
	}, lines)
	x.keiri.finish(c, endpoint.Isolated, x.acquisition)
	must(t, x.AddNote(ctx, x.owner, x.incidentID, "10:20 佐藤さんに電話。\nLANケーブルは抜いていないとのこと。<b>要確認</b>"))
	_, err = x.Acquire(ctx, x.owner, x.sales.ID, act.Order{Reason: "同じ添付ファイルを受信", IncidentID: x.incidentID})
	must(t, err)
	items, err := x.Evidence(ctx, x.owner, x.incidentID)
	must(t, err)
	for _, it := range items {
		switch it.Kind {
		case artifact.KindProcess:
			x.processes = it.ID
		case artifact.KindNetConn:
			x.sockets = it.ID
		default:
			x.others = append(x.others, it.ID)
		}
	}
	_, err = x.Isolate(ctx, x.owner, x.away.ID, act.Order{Reason: "念のため", IncidentID: x.incidentID})
	must(t, err)
	x.away.disconnect()
	st := x.odd.status(endpoint.Failed, "")
	st.Desired, st.Detail, st.WayHome = endpoint.Isolated, "read back: chain hozen output has 2 rules, want 9", false
	must(t, x.EndpointSeen(ctx, x.odd.ID, st))

	x.goneDown(n)
	x.handled()
	x.written()
	x.planned()
	x.drilled()
	done, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "メール誤送信の疑い", Classification: "leak", Reporter: "営業 鈴木", DiscoveredAt: x.now().Add(-72 * time.Hour)})
	must(t, err)
	must(t, x.CloseIncident(ctx, x.owner, done.ID, "宛先の確認により誤送信なしと判断"))

	x.peopled()
	m, err := x.MintToken(ctx, x.owner, act.NewToken{Note: "営業部のノートPC", MaxUses: 3})
	must(t, err)
	x.token = m.Token.ID
	x.grouped()
	tok, err := pki.ParseToken(m.Text)
	must(t, err)
	key, err := pki.NewKey()
	must(t, err)
	_, err = x.Enroll(ctx, act.EnrollCall{Secret: tok.Secret, CSR: csr(t, key), Host: desc("eigyo-note07", "ubuntu 24.04"), RemoteAddr: "192.168.10.87"})
	must(t, err)
	return x
}

// paths are all pages that can be looked at.
func (x *office) paths() []string {
	p := []string{"/", "/about", "/password", "/endpoints/add", "/incidents", "/incidents/new", "/incidents/" + x.incidentID, "/incidents/" + x.incidentID + "/close", "/incidents/" + x.incidentID + "/export",
		"/evidence/" + x.processes, "/evidence/" + x.processes + "?q=42&sort=name&dir=desc&show=flagged", "/evidence/" + x.processes + "/tree", "/evidence/" + x.processes + "/processes/42-4200",
		"/evidence/" + x.processes + "/records", "/evidence/" + x.sockets, "/evidence/" + x.sockets + "?show=all&page=2", "/ledger", "/ledger?subject=" + x.incidentID, "/operators", "/no/such/page", "/settings/triage", "/settings/steps", x.step()}
	p = append(p, "/evidence/"+x.processes+"/findings")
	for _, id := range x.others {
		p = append(p, "/evidence/"+id)
	}
	for _, e := range []*pc{x.keiri, x.sales, x.away, x.odd, x.evilPC} {
		p = append(p, "/endpoints/"+e.ID)
	}
	for _, verb := range []string{"isolate", "release", "acquire", "preserve"} {
		p = append(p, "/endpoints/"+x.keiri.ID+"/order/"+verb)
	}
	for _, e := range []*pc{x.sales, x.away, x.odd} {
		p = append(p, "/endpoints/"+e.ID+"/order/preserve")
	}
	p = append(p, "/watch", "/groups", "/groups/new/isolate?incident="+x.incidentID, "/groups/new/release", "/groups/new/drill", "/settings/isolation", "/endpoints/"+x.measured.ID,
		"/endpoints/"+x.measured.ID+"/order/isolate?change=1", "/endpoints/"+x.measured.ID+"/order/release", "/endpoints/"+x.measured.ID+"/release-code", "/endpoints/"+x.sales.ID+"/order/isolate")
	for _, id := range x.groups {
		p = append(p, "/groups/"+id)
	}
	if x.report == "" {
		x.documented()
	}
	reports := "/incidents/" + x.incidentID + "/reports"
	p = append(p, reports, reports+"/workbook", x.report, reports+"/new/owner", reports+"/new/full", reports+"/new/ppc", reports+"/new/calls")
	p = append(p, "/incidents/"+x.incidentID+"/custody/E01", x.device, "/incidents/"+x.incidentID+"/custody/new")
	for _, page := range []string{"record", "record/type", "record/discovered_at", "record/occurred_at", "record/cause", "record/assets", "record/tools", "record/known_at", "record/business_operator", "decisions", "enquiries", "enquiries?follows=1", "upload?source=cloud_log", "lifecycle"} {
		p = append(p, "/incidents/"+x.incidentID+"/"+page)
	}
	p = append(p, "/incidents/"+x.incidentID+"/playbook", "/incidents/"+x.incidentID+"/deadlines", "/contacts", "/contacts?playbook=ransomware&region=tokyo&open=1", "/contacts/new", "/contacts/"+x.insurer)
	p = append(p, "/search", "/search?q=pc", "/search?q=%E8%AD%A6%E5%91%8A+%E7%94%BB%E9%9D%A2", "/search?q=%3Cscript%3E&in=timeline", "/settings/tokens", "/account", "/account/factor", "/settings/people", "/settings/notifications", "/settings/new-notification/mail", "/settings/new-notification/webhook", "/settings/new-notification/chatwork",
		x.channel, "/operators/new", "/operators/"+x.vendor.ID, "/groups/asked/"+x.asked)
	p = append(p, "/incidents/"+x.incidentID+"/timeline", "/incidents/"+x.incidentID+"/timeline?page=2", "/evidence/"+x.sockets+"/map")
	p = append(append(p, "/links", "/incidents/"+x.incidentID+"/links"), x.phones...)
	p = append(p, "/ledger/outside", "/kits/import?incident="+x.incidentID, x.stick(), "/incidents/"+x.incidentID+"/custody/E01/dispose")
	p = append(p, x.drillPaths()...)
	p = append(p, "/search/evidence", "/search/evidence?q=%3Cscript%3E", x.scanned("/usr"))
	p = append(p, x.sent, "/help", "/help?q=解除+コード", "/help/isolation", "/help/glossary")
	p = append(p, "/evidence/"+x.flight, "/evidence/"+x.flight+"?show=all&q=curl&sort=process", "/evidence/"+x.flight+"/records")
	return p
}

var (
	tags     = regexp.MustCompile(`(?i)<script[^>]*>|<img[^>]*>|<style|<iframe|<object|<embed|<base|javascript:`)
	handlers = regexp.MustCompile(`(?i)<[a-z][^>]*\s(on[a-z]+|style)\s*=`)
	values   = regexp.MustCompile(`="[^"]*"`) // of attributes, in which a quotation mark is written otherwise
	visible  = regexp.MustCompile("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\ue000\ue001\u0000-\u0008\u000b-\u001f\u007f]")
	holes    = regexp.MustCompile(`⟦|\{[a-z_]+\}|%!|&lt;nil|ZgotmplZ`)
)

// inertPage fails the test when something on a page could run, hide or deceive.
func inertPage(t *testing.T, path string, r reply) {
	t.Helper()
	for _, tag := range tags.FindAllString(r.body, -1) {
		if !strings.HasPrefix(tag, `<script type="module" src="/static/`) && !strings.HasPrefix(tag, `<img src="/static/`) {
			t.Errorf("%s: %s", path, tag)
		}
	}
	if m := handlers.FindString(values.ReplaceAllString(r.body, `=""`)); m != "" {
		t.Errorf("%s: attribute that runs or styles: %s", path, m)
	}
	if m := visible.FindString(r.body); m != "" {
		t.Errorf("%s: hidden character %q as it is", path, m)
	}
	if m := holes.FindString(r.body); m != "" && !strings.Contains(m, "{{") {
		t.Errorf("%s: a text or value is missing: %q in …%s…", path, m, around(r.body, m))
	}
	csp := r.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("%s: policy %q", path, csp)
	}
	if r.header.Get("X-Content-Type-Options") != "nosniff" || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: headers %v", path, r.header)
	}
}

func around(s, part string) string {
	i := strings.Index(s, part)
	return s[max(i-80, 0):min(i+80, len(s))]
}

func TestStrangersTextIsInertAndVisible(t *testing.T) {
	x := newOffice(t, 60)
	b := x.as("owner", "ja")
	r := b.get("/evidence/"+x.processes+"/processes/42-4200").want(t, 200,
		`⟨U+202E⟩`, `&lt;script&gt;alert(1)&lt;/script&gt;`, `\x00`, `\x1b`, `⟨U+200B⟩`, `{{.}}`)
	inertPage(t, "process", r)
	b.get("/incidents/"+x.incidentID+"/timeline").want(t, 200, "&lt;b&gt;要確認&lt;/b&gt;")
	// In an attribute (the options of a form) and in the title.
	inertPage(t, "endpoint", b.get("/endpoints/"+x.evilPC.ID).want(t, 200, "<title>⟨U&#43;202E⟩gpj.exe"))
}

func TestLanguageIsTheCookieThenTheBrowsers(t *testing.T) {
	x := newSite(t)
	b := x.browser("en")
	b.get("/sign-in").want(t, 200, `lang="en"`, "Sign in")
	r := b.post("/language", url.Values{"language": {"ja"}, "back": {"/sign-in?next=%2Fledger"}})
	if r.code != http.StatusSeeOther || r.header.Get("Location") != "/sign-in?next=%2Fledger" {
		t.Fatalf("%d to %q", r.code, r.header.Get("Location"))
	}
	b.get("/sign-in").want(t, 200, `<html lang="ja">`, "サインイン")
	for _, back := range []string{"//evil.example/", "https://evil.example/", `/\evil.example`, "/a\nb", "", strings.Repeat("/x", 2000)} {
		r := b.post("/language", url.Values{"language": {"en"}, "back": {back}})
		if got := r.header.Get("Location"); r.code == http.StatusSeeOther && got != "/" {
			t.Errorf("back %q leads to %q", back, got)
		}
	}
	b.post("/language", url.Values{"language": {"fr"}}).want(t, http.StatusUnprocessableEntity)
}
