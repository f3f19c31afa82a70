package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"hozen/collector/internal/operator"
)

// TestPeopleAreManagedByTheConsole adds somebody, who signs in, gets another role, another
// password, and is barred at last.
func TestPeopleAreManagedByTheConsole(t *testing.T) {
	x := newSite(t)
	o := x.as("owner", "ja")
	inertPage(t, "/operators/new", o.get("/operators/new").want(t, 200, `value="owner"`, "経営者"))
	o.post("/operators/new", url.Values{"name": {"Bad Name"}, "role": {"handler"}}).want(t, http.StatusUnprocessableEntity, "半角の英小文字", `value="Bad Name"`)
	o.post("/operators/new", url.Values{"name": {"sato"}, "role": {"king"}}).want(t, http.StatusUnprocessableEntity)
	r := o.post("/operators/new", url.Values{"name": {"sato"}, "display_name": {"佐藤 花子"}, "role": {"handler"}}).want(t, http.StatusSeeOther)
	once := regexp.MustCompile(`<pre id="once"><code>([^<]+)</code>`)
	shown := r.header.Get("Location")
	r = o.get(shown).want(t, 200, "佐藤 花子", "24時間")
	inertPage(t, "/operators/{id}", r)
	first := once.FindStringSubmatch(r.body)
	if first == nil {
		t.Fatalf("no one-time password\n%s", r.body)
	}
	page, _, _ := strings.Cut(shown, "?")
	if once.MatchString(o.get(page).body) || once.MatchString(o.get("/operators/"+x.owner.ID+"?"+strings.SplitN(shown, "?", 2)[1]).body) {
		t.Error("the one-time password is shown elsewhere")
	}
	b := x.browser("ja")
	b.post("/sign-in", url.Values{"name": {"sato"}, "password": {first[1]}}).want(t, http.StatusSeeOther)
	if r := b.get("/"); r.code != http.StatusSeeOther || r.header.Get("Location") != "/password" {
		t.Errorf("the one-time password opens %d %q", r.code, r.header.Get("Location"))
	}
	b.post("/password", url.Values{"current": {first[1]}, "new": {password}, "repeat": {password}}).want(t, http.StatusSeeOther)
	b.get("/operators").want(t, 200, "sato")
	b.get("/operators/new").want(t, http.StatusForbidden) // a handler manages nobody
	b.post("/operators/new", url.Values{"name": {"x"}, "role": {"viewer"}}).want(t, http.StatusForbidden)
	o.get("/operators").want(t, 200, `data-label="サインイン中`, `/operators/new`)

	o.post(page+"/role", url.Values{"role": {"king"}}).want(t, http.StatusUnprocessableEntity)
	o.post(page+"/role", url.Values{"role": {"viewer"}}).want(t, http.StatusSeeOther)
	if r := b.get("/"); r.code != http.StatusSeeOther {
		t.Error("the session with the old role goes on")
	}
	o.get(page).want(t, 200, `value="viewer" checked`)
	r = o.post(page+"/password", nil).want(t, http.StatusSeeOther)
	second := once.FindStringSubmatch(o.get(r.header.Get("Location")).body)
	if second == nil || second[1] == first[1] {
		t.Errorf("the new one-time password is %q", second)
	}
	b.post("/sign-in", url.Values{"name": {"sato"}, "password": {password}}).want(t, http.StatusUnprocessableEntity)
	o.post(page+"/disable", nil).want(t, http.StatusUnprocessableEntity) // not sure
	o.post(page+"/disable", url.Values{"sure": {"1"}}).want(t, http.StatusSeeOther)
	if r := o.get(page).want(t, 200, "無効"); strings.Contains(r.body, page+"/role") {
		t.Error("a barred person is offered a role")
	}

	// Oneself, and above the own role.
	if r := o.get("/operators/"+x.owner.ID).want(t, 200); strings.Contains(r.body, "/disable") || strings.Contains(r.body, "/password\"") && strings.Contains(r.body, x.owner.ID+"/password") {
		t.Error("one is offered to bar oneself")
	}
	o.post("/operators/"+x.owner.ID+"/password", nil).want(t, http.StatusForbidden)
	x.person("resp", "責任者", operator.Responsible)
	c := x.as("resp", "en")
	if r := c.get("/operators/new").want(t, 200, "Responsible"); strings.Contains(r.body, `value="owner"`) {
		t.Error("somebody is offered a role above the own")
	}
	c.post("/operators/new", url.Values{"name": {"boss"}, "role": {"owner"}}).want(t, http.StatusForbidden)
}
