package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"hozen/collector/internal/act"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/phone"
	"hozen/internal/id"
)

// peopled adds somebody from outside, a channel with a result, and a group order that waits.
func (x *office) peopled() {
	t, ctx := x.t, x.t.Context()
	x.vendor = x.person("vendor", "調査会社 五郎", operator.Vendor)
	must(t, x.GrantIncident(ctx, x.owner, x.vendor.ID, x.incidentID, x.now().Add(14*24*time.Hour)))
	c, _, err := x.SaveChannel(ctx, x.owner, act.NewChannel{Kind: notify.Mail, Name: "情報システム係", Language: "ja", Enabled: true, Kinds: notify.Kinds(),
		Settings: notify.Settings{Host: "mail.example.jp", Security: notify.StartTLS, From: "hozen@example.jp", To: []string{"it@example.jp"}}})
	must(t, err)
	x.channel = "/settings/notifications/" + c.ID
	must(t, x.TestChannel(ctx, x.owner, c.ID))
	was, err := x.IsolationSettings(ctx, x.owner)
	must(t, err)
	two := was
	two.TwoPersons = true
	must(t, x.SetIsolationSettings(ctx, x.owner, two))
	o := act.GroupOrder{Verb: "release", Order: act.Order{Reason: "駆除が完了"}}
	pv, err := x.PreviewGroup(ctx, x.owner, act.Selection{All: true}, o)
	must(t, err)
	o.Confirmed = pv.Fingerprint
	_, err = x.OrderGroup(ctx, x.owner, act.Selection{All: true}, o)
	for _, n := range []act.NewLink{{Kind: phone.Reports, Note: "1階 総務の掲示板", Life: phone.Reports.Lives()[0]}, {Kind: phone.Photos, IncidentID: x.incidentID, Note: "工場 鈴木さん", Life: phone.Photos.Lives()[0]}} {
		l, lerr := x.MakeLink(ctx, x.owner, n)
		must(t, lerr)
		shown, lerr := x.ShowLink(ctx, x.owner, l.ID)
		must(t, lerr)
		x.phones = append(x.phones, "/links/"+l.ID, "/r/"+shown.Token)
	}
	if w, ok := err.(*act.SecondPerson); ok && w.Group != nil {
		x.asked = w.Group.ID
	} else {
		t.Fatalf("the release waits for nobody: %v", err)
	}
}

// factor sets up the second factor in a browser and returns its key and the recovery codes.
func (b *browser) factor(now time.Time) (key string, recovery []string) {
	b.t.Helper()
	b.post("/account/factor/begin", url.Values{"password": {"wrong"}}).want(b.t, http.StatusUnprocessableEntity, "いまのパスワードが違います")
	b.post("/account/factor/begin", url.Values{"password": {password}}).want(b.t, http.StatusSeeOther)
	r := b.get("/account/factor").want(b.t, 200, "<svg", `class="qr-dark"`)
	if t, ok := b.t.(*testing.T); ok {
		inertPage(t, "/account/factor", r)
	}
	m := regexp.MustCompile(`<code>([A-Z2-7 ]{30,})</code>`).FindStringSubmatch(r.body)
	if m == nil {
		b.t.Fatalf("no key on the page\n%s", r.body)
	}
	key = strings.ReplaceAll(m[1], " ", "")
	b.post("/account/factor/confirm", url.Values{"code": {"000000"}}).want(b.t, http.StatusUnprocessableEntity, "コードが違う")
	code, err := totp.GenerateCode(key, now)
	must(b.t, err)
	r = b.post("/account/factor/confirm", url.Values{"code": {code}}).want(b.t, http.StatusSeeOther)
	r = b.get(r.header.Get("Location")).want(b.t, 200, "予備コードを印刷して")
	recovery = regexp.MustCompile(`\d-[2-9a-z]{4}-[2-9a-z]{4}-[2-9a-z]{4}`).FindAllString(r.body, -1)
	if len(recovery) != operator.RecoveryCodes {
		b.t.Fatalf("%d recovery codes", len(recovery))
	}
	return key, recovery
}

func (b *browser) session() string {
	u, _ := url.Parse(b.base)
	for _, c := range b.client.Jar.Cookies(u) {
		if strings.HasSuffix(c.Name, "hozen-session") {
			return c.Value
		}
	}
	return ""
}

func TestSecondFactor(t *testing.T) {
	x := newSite(t)
	b := x.as("owner", "ja")
	before := b.session()
	at := x.now() // a code counts for 30 s, and a little longer
	key, recovery := b.factor(at)
	if b.session() == before {
		t.Error("the session's token stays when the second factor is set up")
	}
	if strings.Contains(b.get("/account/factor").body, recovery[0]) {
		t.Error("recovery codes are shown twice")
	}

	c := x.browser("ja")
	r := c.post("/sign-in", url.Values{"name": {"owner"}, "password": {password}, "next": {"/incidents"}}).want(t, http.StatusSeeOther)
	if r.header.Get("Location") != "/sign-in/code" {
		t.Fatalf("to %q", r.header.Get("Location"))
	}
	half := c.session()
	for _, path := range []string{"/", "/account", "/password", "/live", "/incidents"} { // the password alone opens nothing
		if got := c.get(path); got.code != http.StatusSeeOther || !strings.HasPrefix(got.header.Get("Location"), "/sign-in") {
			t.Errorf("%s with the password alone: %d", path, got.code)
		}
	}
	c.get("/sign-in/code").want(t, 200, "one-time-code")
	used, err := totp.GenerateCode(key, at)
	must(t, err)
	c.post("/sign-in/code", url.Values{"code": {used}}).want(t, http.StatusUnprocessableEntity, "すでに使われています") // it confirmed the factor
	x.advance(31 * time.Second)
	code, err := totp.GenerateCode(key, x.now())
	must(t, err)
	r = c.post("/sign-in/code", url.Values{"code": {code}}).want(t, http.StatusSeeOther)
	if r.header.Get("Location") != "/incidents" || c.session() == half {
		t.Errorf("to %q, token changed: %t", r.header.Get("Location"), c.session() != half)
	}
	c.get("/incidents").want(t, 200)

	// The same code in another browser, then a recovery code, twice.
	d := x.browser("ja")
	d.post("/sign-in", url.Values{"name": {"owner"}, "password": {password}})
	d.post("/sign-in/code", url.Values{"code": {code}}).want(t, http.StatusUnprocessableEntity)
	d.post("/sign-in/code", url.Values{"code": {strings.ToUpper(recovery[3])}}).want(t, http.StatusSeeOther)
	d.get("/account").want(t, 200, "9 個")
	e := x.browser("ja")
	e.post("/sign-in", url.Values{"name": {"owner"}, "password": {password}})
	e.post("/sign-in/code", url.Values{"code": {recovery[3]}}).want(t, http.StatusUnprocessableEntity)
	x.advance(codeTime + time.Second)
	if r := e.post("/sign-in/code", url.Values{"code": {recovery[4]}}).want(t, http.StatusSeeOther); r.header.Get("Location") != "/sign-in" {
		t.Error("the code came too late and was taken")
	}
}

func TestRoleThatNeedsASecondFactor(t *testing.T) {
	x := newSite(t)
	x.person("sato", "佐藤 花子", operator.Handler)
	o := x.as("owner", "ja")
	o.post("/settings/people", url.Values{"factor_handler": {"1"}, "console_url": {"https://hozen.example:8443/"}}).want(t, http.StatusSeeOther)
	o.get("/settings/people").want(t, 200, `name="factor_handler" type="checkbox" value="1" checked`, "https://hozen.example:8443")
	b := x.as("sato", "ja")
	for _, path := range []string{"/", "/incidents", "/groups"} {
		if r := b.get(path); r.code != http.StatusSeeOther || r.header.Get("Location") != "/account/factor" {
			t.Errorf("%s: %d to %q", path, r.code, r.header.Get("Location"))
		}
	}
	b.get("/account/factor").want(t, 200, "あなたの役割では二段階認証が必要です")
	b.factor(x.now())
	b.get("/").want(t, 200)
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	x := newSite(t)
	x.person("sato", "佐藤 花子", operator.Handler)
	a, b, c := x.as("owner", "ja"), x.as("owner", "ja"), x.as("owner", "ja")
	other := x.as("sato", "ja")
	r := a.get("/account").want(t, 200, "この画面", "Go-http-client")
	ends := regexp.MustCompile(`/account/sessions/[A-Z2-7]+/end`).FindAllString(r.body, -1)
	if len(ends) != 2 {
		t.Fatalf("%d other sessions\n%s", len(ends), r.body)
	}
	if strings.Contains(r.body, a.session()) || strings.Contains(r.body, b.session()) {
		t.Error("the page shows a token")
	}
	other.post(ends[0], nil).want(t, http.StatusSeeOther) // of somebody else: nothing happens
	a.post(ends[0], nil).want(t, http.StatusSeeOther)
	alive := 0
	for _, z := range []*browser{b, c} {
		if z.get("/").code == 200 {
			alive++
		}
	}
	if alive != 1 {
		t.Errorf("%d of two sessions are alive after one was ended", alive)
	}
	a.post("/account/sessions/end", nil).want(t, http.StatusSeeOther)
	if b.get("/").code == 200 || c.get("/").code == 200 || a.get("/").code != 200 || other.get("/").code != 200 {
		t.Error("ending all others ended the wrong ones")
	}
}

// TestSessionFixation: whoever plants a token in a browser gains nothing by the sign-in of
// its owner.
func TestSessionFixation(t *testing.T) {
	x := newSite(t)
	b := x.browser("ja")
	for _, planted := range []string{"", "planted-by-a-stranger", strings.Repeat("A", 43)} {
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}}
		if planted != "" {
			header.Set("Cookie", "hozen-session="+planted)
		}
		r := b.do(http.MethodPost, "/sign-in", strings.NewReader(url.Values{"name": {"owner"}, "password": {password}}.Encode()), header)
		c := r.header.Get("Set-Cookie")
		if r.code != http.StatusSeeOther || !strings.Contains(c, "hozen-session=") || planted != "" && strings.Contains(c, planted) {
			t.Errorf("planted %q: %d, %q", planted, r.code, c)
		}
		if planted == "" {
			continue
		}
		stranger := x.browser("ja")
		if r := stranger.do(http.MethodGet, "/", nil, http.Header{"Cookie": {"hozen-session=" + planted}}); r.code == 200 {
			t.Errorf("the planted token %q is signed in", planted)
		}
	}
	// The token of a session that was anonymous on the server (a flash, a pending code) too.
	x.person("sato", "佐藤 花子", operator.Handler)
	o := x.as("sato", "ja")
	o.factor(x.now())
	v := x.browser("ja")
	v.post("/sign-in", url.Values{"name": {"sato"}, "password": {password}})
	half := v.session()
	w := x.browser("ja")
	w.post("/sign-in", url.Values{"name": {"owner"}, "password": {password}})
	if r := w.do(http.MethodGet, "/", nil, http.Header{"Cookie": {"hozen-session=" + half}}); r.code == 200 {
		t.Error("half a sign-in opens a page")
	}
}

func TestNoPageLeadsElsewhereOrIsFramed(t *testing.T) {
	x := newSite(t)
	for _, next := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "/%09/evil.example", "\t//evil.example", "javascript:alert(1)", "/\n/evil.example", "///evil.example", `\\evil.example`, "http:evil.example", "/" + strings.Repeat("a", 2000)} {
		b := x.browser("ja")
		r := b.post("/sign-in", url.Values{"name": {"owner"}, "password": {password}, "next": {next}})
		to, err := url.Parse(r.header.Get("Location"))
		if err != nil || r.code == http.StatusSeeOther && (to.Host != "" || to.Scheme != "" || strings.HasPrefix(to.Path, "//")) {
			t.Errorf("next=%q leads to %q", next, r.header.Get("Location"))
		}
		if r := b.post("/language", url.Values{"language": {"en"}, "back": {next}}); strings.Contains(r.header.Get("Location"), "evil.example") && !strings.HasPrefix(r.header.Get("Location"), "/%") {
			t.Errorf("back=%q leads to %q", next, r.header.Get("Location"))
		}
	}
	b := x.as("owner", "ja")
	for _, path := range []string{"/", "/sign-in", "/sign-in/code", "/account", "/account/factor", "/settings/notifications", "/no/such/page", "/static/base.css"} {
		h := b.get(path).header
		if h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s may be framed: %q", path, h)
		}
	}
}

// TestEveryFormIsGuarded asks for every address of the map with a form from another site.
func TestEveryFormIsGuarded(t *testing.T) {
	x := newSite(t)
	b := x.as("owner", "ja")
	before := len(x.acts("operator.factor_begin"))
	for _, path := range []string{"/account/factor/begin", "/account/factor/confirm", "/account/factor/remove", "/account/factor/recovery", "/account/address", "/account/sessions/end", "/account/sessions/x/end",
		"/settings/people", "/settings/new-notification/mail", "/settings/notifications/x", "/settings/notifications/x/test", "/settings/notifications/x/remove",
		"/operators/x/grants", "/operators/x/grants/y/end", "/operators/x/sessions/end", "/operators/x/factor/reset", "/operators/new", "/operators/x/role", "/operators/x/password", "/operators/x/disable", "/groups/asked/x/agree", "/groups/asked/x/refuse", "/sign-in/code"} {
		for name, header := range map[string]http.Header{
			"fetch metadata": {"Sec-Fetch-Site": {"cross-site"}, "Content-Type": {"application/x-www-form-urlencoded"}},
			"origin":         {"Origin": {"https://evil.example"}, "Content-Type": {"application/x-www-form-urlencoded"}},
		} {
			if r := b.do(http.MethodPost, path, strings.NewReader("a=b"), header); r.code != http.StatusForbidden {
				t.Errorf("%s with %s of another site: %d", path, name, r.code)
			}
		}
	}
	if len(x.acts("operator.factor_begin")) != before {
		t.Error("something was done")
	}
}

// Who may not see who has a role, or to whom documents went, is told so, whatever else stands there.
func TestTheCardSaysWhatItHides(t *testing.T) {
	x := newOffice(t, 3)
	x.documented()
	card := func(name string) string {
		t.Helper()
		page := x.as(name, "ja").get("/incidents/"+x.incidentID).want(t, 200).body
		_, page, _ = strings.Cut(page, `id="people"`)
		page, _, _ = strings.Cut(page, "</section>")
		return page
	}
	const hidden, unseen, nobody, receipt = "文書の送り先は、この役割では見られません。", "この役割では見られません</dd>", "決まっていません", "受-0042"
	for name, c := range map[string]struct{ has, lacks []string }{
		"owner":  {[]string{receipt, "社長 田中"}, []string{hidden, unseen}},
		"view":   {[]string{receipt, hidden}, []string{unseen}},
		"vendor": {[]string{hidden, unseen}, []string{receipt, nobody}},
	} {
		got := card(name)
		for _, w := range c.has {
			if !strings.Contains(got, w) {
				t.Errorf("%s does not see %q:\n%s", name, w, got)
			}
		}
		for _, w := range c.lacks {
			if strings.Contains(got, w) {
				t.Errorf("%s sees %q:\n%s", name, w, got)
			}
		}
	}
}

func TestVendorSeesTheGrantedIncidentAlone(t *testing.T) {
	x := newOffice(t, 5)
	other, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "極秘の別件", EndpointIDs: []string{x.sales.ID}})
	must(t, err)
	b := x.as("vendor", "ja")
	b.get("/incidents").want(t, 200, x.incidentID)
	r := b.get("/incidents/"+x.incidentID).want(t, 200, "経理PC")
	if strings.Contains(r.body, "/order/") || strings.Contains(r.body, "極秘") {
		t.Error("somebody from outside is offered orders or sees another incident")
	}
	b.get("/evidence/"+x.processes).want(t, 200)
	b.get("/evidence/"+x.processes+"/download").want(t, 200)
	b.post("/incidents/"+x.incidentID+"/notes", url.Values{"text": {"検体を確認"}}).want(t, http.StatusSeeOther)
	for _, path := range []string{"/", "/incidents", "/operators", "/groups", "/incidents/" + x.incidentID} {
		if r := b.get(path).want(t, 200); strings.Contains(r.body, other.ID) || strings.Contains(r.body, "極秘") || strings.Contains(r.body, "file-server") {
			t.Errorf("%s shows what was not granted", path)
		}
	}
	for _, path := range []string{"/incidents/" + other.ID, "/endpoints/" + x.odd.ID, "/endpoints/" + x.odd.ID + "/order/acquire"} {
		if r := b.get(path); r.code != http.StatusNotFound && r.code != http.StatusForbidden {
			t.Errorf("%s: %d", path, r.code)
		}
	}
	b.post("/incidents/"+other.ID+"/notes", url.Values{"text": {"x"}}).want(t, http.StatusNotFound)
	b.get("/ledger").want(t, http.StatusForbidden)
	for _, path := range []string{"/settings/notifications", "/settings/people", "/operators/" + x.vendor.ID} {
		b.get(path).want(t, http.StatusForbidden)
	}
	o := x.as("owner", "ja")
	o.get("/operators/"+x.vendor.ID).want(t, 200, "有効", "許可を取り消す")
	o.post("/operators/"+x.vendor.ID+"/grants/"+x.incidentID+"/end", nil).want(t, http.StatusSeeOther)
	b.get("/incidents/"+x.incidentID).want(t, http.StatusNotFound)
	b.get("/evidence/"+x.processes).want(t, http.StatusNotFound)
	o.post("/operators/"+x.vendor.ID+"/grants", url.Values{"incident": {x.incidentID}, "until": {x.now().AddDate(0, 0, 3).Format(time.DateOnly)}}).want(t, http.StatusSeeOther)
	b.get("/incidents/"+x.incidentID).want(t, 200, "閲覧許可を取り消しました")
	must(t, x.GrantIncident(t.Context(), x.owner, x.vendor.ID, x.incidentID, x.now().Add(10*time.Minute)))
	b.get("/incidents/"+x.incidentID).want(t, 200)
	x.advance(11 * time.Minute)
	b.get("/incidents/"+x.incidentID).want(t, http.StatusNotFound)
}

func TestChannelsShowNoSecrets(t *testing.T) {
	x := newSite(t)
	b := x.as("owner", "ja")
	r := b.post("/settings/new-notification/webhook", url.Values{"name": {"SIEM"}, "language": {"ja"}, "enabled": {"1"}, "kind_deadline": {"1"}, "url": {"https://hooks.example.jp/T0PSECRET"}}).want(t, http.StatusSeeOther)
	where := r.header.Get("Location")
	r = b.get(where).want(t, 200, "この鍵は二度と表示されません", "保存済み")
	inertPage(t, where, r)
	plainAddress, _, _ := strings.Cut(where, "?")
	for _, path := range []string{where, plainAddress, "/settings/notifications"} {
		if r := b.get(path).want(t, 200); strings.Contains(r.body, "T0PSECRET") {
			t.Errorf("%s shows the address of the webhook", path)
		}
	}
	if r := b.get(plainAddress); strings.Contains(r.body, "この鍵は") {
		t.Error("the key is shown again")
	}
	var stored string
	must(t, x.db.Read().QueryRowContext(t.Context(), `SELECT secret FROM notify_channel`).Scan(&stored))
	if strings.Contains(stored, "T0PSECRET") || !strings.HasPrefix(stored, "s1:") {
		t.Errorf("in the database: %q", stored)
	}
	b.post("/settings/new-notification/slack", url.Values{"name": {"x"}, "language": {"ja"}, "url": {"http://10.0.0.1/"}}).want(t, http.StatusUnprocessableEntity)
	b.post("/settings/new-notification/fax", url.Values{"name": {"x"}, "language": {"ja"}}).want(t, http.StatusUnprocessableEntity)
	b.get("/settings/new-notification/fax").want(t, http.StatusNotFound)
	b.get("/settings/notifications/"+id.New(id.Channel)).want(t, http.StatusNotFound)
	// What a refused form had in it is not sent back where it is a secret.
	if r := b.post(plainAddress, url.Values{"name": {""}, "language": {"ja"}, "url": {"https://hooks.example.jp/ANOTHER"}}).want(t, http.StatusUnprocessableEntity); strings.Contains(r.body, "ANOTHER") {
		t.Error("a secret is sent back")
	}
	x.person("resp", "責任者", operator.Responsible)
	x.as("resp", "ja").post(plainAddress, url.Values{"name": {"SIEM"}, "language": {"ja"}, "inside": {"1"}, "url": {"https://192.168.0.9/"}}).want(t, http.StatusUnprocessableEntity, "経営者だけが許可できます")
	b.post(plainAddress+"/test", nil).want(t, http.StatusSeeOther)
	b.get("/settings/notifications").want(t, 200, "送信待ち", "テスト")
	b.post(plainAddress+"/remove", nil).want(t, http.StatusSeeOther)
	b.get("/settings/notifications").want(t, 200, "通知先がまだありません", "削除済み")
}
