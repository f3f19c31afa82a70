package console

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/search"
)

func TestSearchPageShowsWhereItStands(t *testing.T) {
	x := newSite(t)
	ctx := t.Context()
	inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "経理ＰＣの警告画面"})
	must(t, err)
	must(t, x.AddNote(ctx, x.owner, inc.ID, strings.Repeat("長い前置き。", 40)+evil+"ﾗﾝｻﾑｳｪｱ"+strings.Repeat("続き。", 200)))
	for i := range 7 {
		must(t, x.AddNote(ctx, x.owner, inc.ID, "くり返し "+string(rune('a'+i))))
	}
	x.person("view", "閲覧 三郎", operator.Viewer)
	b := x.as("owner", "ja")
	find := func(b *browser, q, more string) reply {
		r := b.get("/search?q="+url.QueryEscape(q)+more).want(t, 200)
		inertPage(t, q, r)
		return r
	}
	find(b, "経理pc", "").want(t, 200, `<mark><bdi dir="ltr">経理ＰＣ</bdi></mark>`, `href="/incidents/`+inc.ID, `value="経理pc"`)
	r := find(b, "ランサムウェア", "").want(t, 200, `<mark><bdi dir="ltr">ﾗﾝｻﾑｳｪｱ</bdi></mark>`, "#timeline")
	if strings.Count(r.body, "前置き") > 9 || strings.Count(r.body, "続き") > 60 {
		t.Errorf("all of a long text is shown")
	}
	find(b, "<script>alert(1)", "").want(t, 200, `<mark><bdi dir="ltr">&lt;script&gt;alert(1)</bdi></mark>`)
	r = find(b, "くり返し", "")
	if n := strings.Count(r.body, "<li><p>"); n != firstHits {
		t.Errorf("%d of seven are shown first", n)
	}
	all := regexp.MustCompile(`href="(/search\?[^"]*in=timeline)"`).FindStringSubmatch(r.body)
	if all == nil {
		t.Fatal("there is no way to the rest")
	}
	if n := strings.Count(b.get(html.UnescapeString(all[1])).want(t, 200).body, "<li><p>"); n != 7 {
		t.Errorf("%d of seven are shown in their own page", n)
	}
	find(b, "そんなものはない", "").want(t, 200, "見つかりませんでした")
	find(b, "", "").want(t, 200, "全角と半角")
	b.get("/search?q="+url.QueryEscape(`"><img src=x onerror=alert(2)>`)).want(t, 200, `value="&#34;&gt;&lt;img src=x onerror=alert(2)&gt;"`)
	find(b, "\x00\xff\u202e'", "")
	b.get("/search?q=x&in=nothing").want(t, http.StatusUnprocessableEntity)
	if r := x.browser("ja").get("/search?q=pc"); r.code != http.StatusSeeOther {
		t.Errorf("a stranger searches: %d", r.code)
	}
	find(x.as("view", "en"), "経理", "").want(t, 200, "1 found")
}

// TestMarked: what is shown is the text, no more and no less than its part, and marks stand
// where the words do.
func TestMarked(t *testing.T) {
	plainText := func(s string) string {
		return html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(s, ""))
	}
	for _, c := range []struct{ q, text, want string }{
		{"b", "a b c", "a b c"},
		{"z", strings.Repeat("あ", 300), strings.Repeat("あ", snippetSize) + "…"},
		{"z", strings.Repeat("い", 300) + "z", "…" + strings.Repeat("い", aroundHit) + "z"},
		{strings.Repeat("x", 190), strings.Repeat("x", 400), strings.Repeat("x", snippetSize) + "…"},
		{"<b>", "a<b>&amp;", "a<b>&amp;"},
		{"", "", ""},
	} {
		got := string(marked(search.Parse(c.q), c.text))
		if plainText(got) != c.want {
			t.Errorf("%q in %.20q: %q", c.q, c.text, plainText(got))
		}
		if strings.Count(got, "<mark>") != strings.Count(got, "</mark>") || strings.Count(got, "<bdi") != strings.Count(got, "</bdi>") {
			t.Errorf("%q in %.20q: %s", c.q, c.text, got)
		}
	}
}

func TestTokensForPrograms(t *testing.T) {
	x := newSite(t)
	x.person("sato", "佐藤 花子", operator.Handler)
	b := x.as("owner", "ja")
	r := b.post("/settings/tokens", url.Values{"name": {"監視 <b>"}, "days": {"30"}, "scope_read": {"1"}, "scope_isolate": {"1"}, "password": {password}})
	where := r.header.Get("Location")
	if r.code != http.StatusSeeOther || !strings.HasPrefix(where, "/settings/tokens?token=") {
		t.Fatalf("%d to %q\n%s", r.code, where, r.body)
	}
	r = b.get(where).want(t, 200, operator.TokenPrefix, "監視 &lt;b&gt;", "使えます")
	inertPage(t, "tokens", r)
	secret := regexp.MustCompile(operator.TokenPrefix + `\w+`).FindString(r.body)
	if _, tok, err := x.ActorOfToken(t.Context(), secret, "192.0.2.1"); err != nil || strings.Join(tok.Scopes, " ") != "isolate read" {
		t.Errorf("%v, %v", tok.Scopes, err)
	}
	if strings.Contains(b.get("/settings/tokens").want(t, 200).body, secret) {
		t.Error("the secret is shown again")
	}
	for name, v := range map[string]url.Values{
		"no name":        {"password": {password}, "days": {"30"}, "scope_read": {"1"}},
		"no scope":       {"password": {password}, "name": {"n"}, "days": {"30"}},
		"odd days":       {"password": {password}, "name": {"n"}, "days": {"9999"}, "scope_read": {"1"}},
		"long name":      {"password": {password}, "name": {strings.Repeat("x", 65)}, "days": {"30"}, "scope_read": {"1"}},
		"no password":    {"name": {"n"}, "days": {"30"}, "scope_read": {"1"}},
		"wrong password": {"name": {"n"}, "days": {"30"}, "scope_read": {"1"}, "password": {"geheim"}},
	} {
		if r := b.post("/settings/tokens", v); r.code != http.StatusUnprocessableEntity || strings.Contains(r.body, "geheim") || strings.Contains(r.body, password) || !strings.Contains(r.body, `class="wrong"`) {
			t.Errorf("%s: %d", name, r.code)
		}
	}
	h := x.as("sato", "ja")
	h.get("/settings/tokens").want(t, http.StatusForbidden)
	if r := h.post("/settings/tokens", url.Values{"name": {"n"}, "days": {"30"}, "scope_read": {"1"}, "password": {password}}); r.code != http.StatusForbidden {
		t.Errorf("a handler makes a token: %d", r.code)
	}
	all, err := x.APITokens(t.Context(), x.owner)
	must(t, err)
	if r := h.post("/settings/tokens/"+all[0].ID+"/end", nil); r.code != http.StatusForbidden {
		t.Errorf("a handler ends a token: %d", r.code)
	}
	if r := b.post("/settings/tokens/"+all[0].ID+"/end", nil); r.code != http.StatusSeeOther {
		t.Errorf("%d", r.code)
	}
	if _, _, err := x.ActorOfToken(t.Context(), secret, "192.0.2.1"); err == nil {
		t.Error("the token is still good")
	}
	b.get("/settings/tokens").want(t, 200, "使えません")
}
