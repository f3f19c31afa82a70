package console

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/operator"
	"hozen/internal/artifact"
)

func TestSignIn(t *testing.T) {
	x := newSite(t)
	b := x.browser("ja")
	for _, path := range []string{"/", "/incidents", "/endpoints/end_x", "/evidence/evd_x/download", "/ledger", "/operators", "/password"} {
		r := b.get(path)
		if r.code != http.StatusSeeOther || !strings.HasPrefix(r.header.Get("Location"), "/sign-in") {
			t.Errorf("%s without signing in: %d to %q", path, r.code, r.header.Get("Location"))
		}
	}
	if got := b.get("/incidents?a=b").header.Get("Location"); got != "/sign-in?next=%2Fincidents%3Fa%3Db" {
		t.Errorf("the way back is %q", got)
	}
	b.post("/sign-in", url.Values{"name": {"owner"}, "password": {"wrong"}}).want(t, http.StatusUnprocessableEntity, "ユーザー名またはパスワードが違います", `value="owner"`)
	b.post("/sign-in", url.Values{"name": {"nobody"}, "password": {"wrong"}}).want(t, http.StatusUnprocessableEntity, "ユーザー名またはパスワードが違います")
	b.post("/sign-in", url.Values{"name": {""}, "password": {""}}).want(t, http.StatusUnprocessableEntity, "入力してください")
	r := b.post("/sign-in", url.Values{"name": {"owner"}, "password": {password}, "next": {"//evil.example/"}})
	if r.code != http.StatusSeeOther || r.header.Get("Location") != "/" {
		t.Fatalf("%d to %q", r.code, r.header.Get("Location"))
	}
	c := r.header.Get("Set-Cookie")
	for _, want := range []string{"hozen-session=", "HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(c, want) {
			t.Errorf("cookie %q lacks %s", c, want)
		}
	}
	if strings.Contains(c, "Expires") || strings.Contains(c, "Max-Age") {
		t.Errorf("the cookie outlives the browser: %q", c)
	}
	b.get("/").want(t, 200, "端末がまだありません", "/endpoints/add")
	b.post("/sign-out", nil).want(t, http.StatusSeeOther)
	if r := b.get("/"); r.code != http.StatusSeeOther {
		t.Errorf("after signing out: %d", r.code)
	}
}

func TestManyWrongPasswordsHaveToWait(t *testing.T) {
	x := newSite(t)
	b := x.browser("ja")
	var last reply
	for range 8 {
		last = b.post("/sign-in", url.Values{"name": {"owner"}, "password": {"wrong"}})
	}
	last.want(t, http.StatusTooManyRequests, "しばらく受け付けません")
	if last.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestSecureCookie(t *testing.T) {
	x := newSite(t)
	h, err := New(Config{Acts: x.Acts, Sessions: x.sessions, Secure: true, Now: x.now})
	must(t, err)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "https://collector.test/sign-in", strings.NewReader(url.Values{"name": {"owner"}, "password": {password}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	h.ServeHTTP(w, r)
	if c := w.Header().Get("Set-Cookie"); !strings.HasPrefix(c, "__Host-hozen-session=") || !strings.Contains(c, "Secure") {
		t.Errorf("cookie %q", c)
	}
}

func TestFirstSignInMustChangeThePassword(t *testing.T) {
	x := newSite(t)
	_, once, err := x.AddOperator(t.Context(), x.owner, act.NewOperator{Name: "new", Role: operator.Handler})
	must(t, err)
	b := x.browser("ja")
	if r := b.post("/sign-in", url.Values{"name": {"new"}, "password": {once}}); r.header.Get("Location") != "/password" {
		t.Fatalf("%d to %q", r.code, r.header.Get("Location"))
	}
	if r := b.get("/incidents"); r.header.Get("Location") != "/password" {
		t.Errorf("a one-time password opens %d %q", r.code, r.header.Get("Location"))
	}
	b.get("/password").want(t, 200, "初回のサインイン")
	b.post("/password", url.Values{"current": {once}, "new": {"short"}, "repeat": {"short"}}).want(t, http.StatusUnprocessableEntity)
	b.post("/password", url.Values{"current": {once}, "new": {password}, "repeat": {"another one entirely"}}).want(t, http.StatusUnprocessableEntity, "一致しません")
	r := b.post("/password", url.Values{"current": {"wrong"}, "new": {password}, "repeat": {password}}).want(t, http.StatusUnprocessableEntity, "いまのパスワードが違います")
	if strings.Contains(r.body, password) {
		t.Error("a password came back on the page")
	}
	if r := b.post("/password", url.Values{"current": {once}, "new": {password}, "repeat": {password}}); r.header.Get("Location") != "/" {
		t.Fatalf("%d to %q\n%s", r.code, r.header.Get("Location"), r.body)
	}
	b.get("/").want(t, 200, "パスワードを変更しました")
}

func TestSessionsEnd(t *testing.T) {
	x := newSite(t)
	a := x.person("sato", "佐藤", operator.Handler)
	b := x.as("sato", "ja")
	b.get("/").want(t, 200)
	must(t, x.DisableOperator(t.Context(), x.owner, a.ID))
	if r := b.get("/"); r.code != http.StatusSeeOther {
		t.Errorf("a disabled operator gets %d", r.code)
	}
	o := x.as("owner", "ja")
	x.advance(sessionIdle - time.Minute)
	o.get("/").want(t, 200)
	x.advance(sessionIdle - time.Minute)
	o.do(http.MethodGet, "/", nil, http.Header{liveHeader: {"1"}}).want(t, 200) // a page by itself does not keep a session alive
	x.advance(2 * time.Minute)
	if r := o.get("/"); r.code != http.StatusSeeOther {
		t.Errorf("a session that nobody used gets %d", r.code)
	}
}

func TestFormsFromElsewhereAreRefused(t *testing.T) {
	x := newSite(t)
	p := x.enrol(endpoint.Description{Hostname: "pc", OS: "linux"})
	b := x.as("owner", "ja")
	for name, h := range map[string]http.Header{
		"cross-site":     {"Sec-Fetch-Site": {"cross-site"}},
		"same-site":      {"Sec-Fetch-Site": {"same-site"}},
		"foreign origin": {"Origin": {"https://evil.example"}},
		"null origin":    {"Origin": {"null"}},
	} {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		b.do(http.MethodPost, "/endpoints/"+p.ID+"/order/isolate", strings.NewReader("reason=x"), h).want(t, http.StatusForbidden, "別のサイトからの送信を拒否しました")
		if commands, err := x.Commands(t.Context(), x.owner, act.CommandFilter{}); err != nil || len(commands) != 0 {
			t.Fatalf("%s: a foreign form ordered something: %v %v", name, commands, err)
		}
	}
}

func TestHostileForms(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "ja")
	order := "/endpoints/" + x.sales.ID + "/order/isolate"
	urlencoded := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	before := len(x.acts("dispatch.isolate"))
	for name, c := range map[string]struct {
		path, body string
		header     http.Header
		code       int
	}{
		"no body":             {order, "", urlencoded, 422},
		"no reason":           {order, "reason=+++", urlencoded, 422},
		"long reason":         {order, "reason=" + strings.Repeat("x", 1100), urlencoded, 422},
		"control characters":  {order, "reason=a%00b", urlencoded, 422},
		"escape sequence":     {order, "reason=a%1b%5b2J", urlencoded, 422},
		"not UTF-8":           {order, "reason=%ff%fe", urlencoded, 422},
		"broken escapes":      {order, "reason=%zz", urlencoded, 400},
		"huge":                {order, "reason=" + strings.Repeat("x", 100<<10), urlencoded, 413},
		"JSON":                {order, `{"reason":"x"}`, http.Header{"Content-Type": {"application/json"}}, 415},
		"no type":             {order, "reason=x", http.Header{}, 415},
		"multipart":           {order, "--x--", http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, 415},
		"unknown verb":        {"/endpoints/" + x.sales.ID + "/order/hunt", "reason=x", urlencoded, 404},
		"unknown endpoint":    {"/endpoints/end_00000000000000000000000000/order/isolate", "reason=x", urlencoded, 404},
		"odd endpoint":        {"/endpoints/%2e%2e%2f%00/order/isolate", "reason=x", urlencoded, 404},
		"unknown incident":    {order, "reason=x&incident=inc_nothing", urlencoded, 404},
		"bad classification":  {"/incidents/new", "title=x&discovered=2026-01-01T10:00&classification=%3Cscript%3E", urlencoded, 422},
		"bad time":            {"/incidents/new", "title=x&discovered=tomorrow", urlencoded, 422},
		"future":              {"/incidents/new", "title=x&discovered=2099-01-01T10:00", urlencoded, 422},
		"foreign endpoint":    {"/incidents/new", "title=x&discovered=2026-01-01T10:00&endpoint=end_x", urlencoded, 404},
		"long note":           {"/incidents/" + x.incidentID + "/notes", "text=" + strings.Repeat("x", 9000), urlencoded, 422},
		"empty note":          {"/incidents/" + x.incidentID + "/notes", "text=%0d%0a", urlencoded, 422},
		"token for ever":      {"/endpoints/add", "hours=999999&uses=1", urlencoded, 422},
		"token without uses":  {"/endpoints/add", "hours=1&uses=-1", urlencoded, 422},
		"token not a number":  {"/endpoints/add", "hours=1e3&uses=x", urlencoded, 422},
		"unknown request":     {"/enrolments/enr_x/approve", "", urlencoded, 404},
		"unknown token":       {"/tokens/tok_x/revoke", "", urlencoded, 404},
		"close without words": {"/incidents/" + x.incidentID + "/close", "reason=", urlencoded, 422},
		"wrong method":        {"/ledger", "a=b", urlencoded, 404},
	} {
		t.Run(name, func(t *testing.T) {
			r := b.do(http.MethodPost, c.path, strings.NewReader(c.body), c.header)
			r.want(t, c.code, "</html>")
			inertPage(t, c.path, r)
		})
	}
	if after := len(x.acts("dispatch.isolate")); after != before {
		t.Errorf("bad forms ordered %d isolations", after-before)
	}
	if x.log.Len() > 0 {
		t.Errorf("bad forms are the browser's fault, yet the console logged:\n%s", x.log)
	}
	b.get("/").want(t, 200)
}

// acts counts the entries of an act in the ledger.
func (x *site) acts(name string) []int64 {
	x.t.Helper()
	entries, err := x.LedgerEntries(x.t.Context(), x.owner, act.LedgerFilter{Limit: 1000})
	must(x.t, err)
	var found []int64
	for _, e := range entries {
		if e.Act == name {
			found = append(found, e.Index)
		}
	}
	return found
}

func TestRolesSeeWhatTheyMay(t *testing.T) {
	x := newOffice(t, 5)
	view := x.as("view", "ja")
	r := view.get("/endpoints/"+x.keiri.ID).want(t, 200)
	if strings.Contains(r.body, "/order/") {
		t.Error("a viewer is offered orders")
	}
	view.get("/endpoints/"+x.keiri.ID+"/order/release").want(t, http.StatusForbidden, "許可されていません")
	view.post("/endpoints/"+x.keiri.ID+"/order/release", url.Values{"reason": {"x"}}).want(t, http.StatusForbidden)
	view.get("/evidence/"+x.processes).want(t, http.StatusForbidden)
	view.get("/evidence/"+x.processes+"/download").want(t, http.StatusForbidden)
	view.get("/ledger").want(t, http.StatusForbidden)
	view.get("/endpoints/add").want(t, http.StatusForbidden)
	view.get("/").want(t, 200)
	x.as("audit", "ja").get("/ledger").want(t, 200, "operator.sign_in") // the newest; older acts are on later pages
	sato := x.as("sato", "ja")
	sato.get("/incidents/"+x.incidentID).want(t, 200, "隔離して保全", "/order/release")
}

// TestLanguagesDoNotMix asks in both languages at once, many times.
func TestLanguagesDoNotMix(t *testing.T) {
	x := newOffice(t, 5)
	ja, en := x.as("owner", "ja"), x.as("sato", "en")
	var wg sync.WaitGroup
	for i := range 40 {
		b, want, never := ja, "証拠管理台帳", "Custody ledger"
		if i%2 == 0 {
			b, want, never = en, never, want
		}
		wg.Go(func() {
			r := b.get("/incidents/" + x.incidentID)
			if r.code != 200 || !strings.Contains(r.body, want) || strings.Contains(r.body, never) {
				t.Errorf("%d in the wrong language", r.code)
			}
		})
	}
	wg.Wait()
}

func TestLiveStream(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "ja")
	b.client.Timeout = 0
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+"/live?endpoint="+x.sales.ID, nil)
	must(t, err)
	req.Header.Set("Accept-Language", "ja")
	res, err := b.client.Do(req)
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	var got bytes.Buffer
	read := func(want string) {
		t.Helper()
		b := make([]byte, 4096)
		for !strings.Contains(got.String(), want) {
			n, err := res.Body.Read(b)
			got.Write(b[:n])
			if err != nil {
				t.Fatalf("%v after %q", err, got.String())
			}
		}
	}
	read("retry:")
	x.hub.Progress(x.keiri.ID, act.Progress{Kind: "process"}) // another endpoint's
	x.hub.Progress(x.sales.ID, act.Progress{Kind: "</script>\u202e\ndata: forged", Done: 1, Total: 3, Records: 5})
	read("\n\ndata: ")
	read(`"total":3`)
	x.hub.Progress(x.sales.ID, act.Progress{Kind: string(artifact.KindMemory), Bytes: 2_500_000_000, Expected: 16_000_000_000, Rate: 70_000_000})
	read("16.0 GB のうち 2.5 GB（毎秒 70.0 MB）")
	s := got.String()
	if strings.Contains(s, x.keiri.ID) || strings.Contains(s, "</script>") || strings.Contains(s, "\u202e") || strings.Contains(s, "\ndata: forged") {
		t.Errorf("the stream says %q", s)
	}
	x.sales.measured(endpoint.Isolating, "")
	read(`"kind":"endpoint"`)

	if r := x.browser("ja").do(http.MethodGet, "/live", nil, http.Header{"Accept": {"text/event-stream"}}); r.code != http.StatusUnauthorized {
		t.Errorf("a stranger gets %d", r.code)
	}
}

func TestStreamsAreCounted(t *testing.T) {
	s := newStreams()
	for range maxStreamsPerOperator {
		if !s.enter("a") {
			t.Fatal("refused too early")
		}
	}
	if s.enter("a") {
		t.Error("one person may open any number")
	}
	if !s.enter("b") {
		t.Error("one person keeps another out")
	}
	s.leave("a")
	if !s.enter("a") {
		t.Error("a place that was left is not free")
	}
}

func TestAssets(t *testing.T) {
	x := newSite(t)
	b := x.browser("ja")
	a, err := loadAssets(sub("static"))
	must(t, err)
	for name, u := range a.urls {
		r := b.get(u).want(t, 200)
		if !strings.Contains(r.header.Get("Cache-Control"), "immutable") || r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", name, r.header)
		}
		if strings.Contains(r.body, "http://") && name != "mark.svg" || strings.Contains(r.body, "https://") {
			t.Errorf("%s names another host", name)
		}
	}
	for _, path := range []string{"/static/", "/static/../console.go", "/static/0000/base.css"} {
		if r := b.get(path); r.code == 200 {
			t.Errorf("%s is served", path)
		}
	}
}

func TestPanicIsAPage(t *testing.T) {
	x := newSite(t)
	w := httptest.NewRecorder()
	srv, err := build(Config{Acts: x.Acts, Sessions: x.sessions, Now: x.now})
	must(t, err)
	srv.sessions.LoadAndSave(srv.recovered(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))).
		ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "コレクターで問題が起きました") || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTokenIsShownToItsMakerOnly(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "ja")
	r := b.post("/endpoints/add", url.Values{"hours": {"1"}, "uses": {"2"}, "note": {"営業"}})
	where := r.header.Get("Location")
	if r.code != http.StatusSeeOther || !strings.HasPrefix(where, "/endpoints/add?token=") || strings.Contains(where, "hzt1") {
		t.Fatalf("%d to %q", r.code, where)
	}
	b.get(where).want(t, 200, "hzt1.", "sudo hozen-agent enroll --token-file -", "hozen-agent.exe", "2 回")
	if r := x.as("sato", "ja").get(where); strings.Contains(r.body, "hzt1.") {
		t.Error("somebody else sees the token")
	}
	x.advance(secretLife + time.Second)
	if r := b.get(where); strings.Contains(r.body, "hzt1.") {
		t.Error("the token is shown for ever")
	}
}

func TestDownload(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "ja")
	r := b.get("/evidence/"+x.processes+"/download").want(t, 200)
	item, body, err := x.OpenEvidence(t.Context(), x.owner, x.processes, act.ToDownload)
	must(t, err)
	defer body.Close()
	want, err := io.ReadAll(body)
	must(t, err)
	if r.body != string(want) {
		t.Error("other bytes than the stored ones")
	}
	for k, v := range map[string]string{
		"Content-Disposition":     `attachment; filename="` + item.Number + `_process.jsonl.zst"`,
		"Content-Type":            "application/octet-stream",
		"X-Content-Type-Options":  "nosniff",
		"Content-Security-Policy": "default-src 'none'; sandbox",
	} {
		if got := r.header.Get(k); got != v {
			t.Errorf("%s: %q, want %q", k, got, v)
		}
	}
	if n := len(x.acts("evidence.download")); n != 2 {
		t.Errorf("%d downloads in the ledger, want 2", n)
	}
	b.get("/acquisitions/"+x.acquisition+"/manifest.json").want(t, 200, `"hozen-manifest/1"`)
	b.get("/acquisitions/"+x.acquisition+"/manifest.json.sig").want(t, 200)
	for name, want := range map[string]string{"a/b\"\r\nX: y": "a_b___X__y", "": "evidence", "..": "_.", "日本": "______", strings.Repeat("a", 200) + ".zst": strings.Repeat("a", 96) + ".zst"} {
		if got := safeName(name); got != want {
			t.Errorf("safeName(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestEachViewingIsInTheLedgerOnce(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "ja")
	views := func() int { return len(x.acts("evidence.view")) }
	b.get("/evidence/"+x.processes).want(t, 200)
	b.get("/evidence/"+x.processes+"?page=2&sort=name").want(t, 200)
	b.get("/evidence/"+x.processes+"/tree").want(t, 200)
	if n := views(); n != 1 {
		t.Errorf("turning pages made %d entries", n)
	}
	x.as("sato", "ja").get("/evidence/"+x.processes).want(t, 200)
	if n := views(); n != 2 {
		t.Errorf("a second person's viewing from memory made it %d entries, want 2", n)
	}
	x.advance(viewRemembers)
	b.get("/evidence/"+x.processes).want(t, 200)
	if n := views(); n != 3 {
		t.Errorf("looking again later made it %d entries, want 3", n)
	}
}
