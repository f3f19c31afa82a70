package console

import (
	"net/url"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/internal/profile"
)

// TestAProfileIsChosen: what each takes and how long is said before it is ordered.
func TestAProfileIsChosen(t *testing.T) {
	x := newOffice(t, 3)
	b := x.as("sato", "ja")
	path := "/endpoints/" + x.sales.ID + "/order/acquire"
	b.get(path).want(t, 200, `value="flash" checked`, `value="volatile"`, "長くても", "2.0 MB", "パスワードや鍵は除く")
	x.as("sato", "en").get(path).want(t, 200, "Usually about", "200.0 kB", "at most 10 s.")
	b.post(path, url.Values{"profile": {"everything"}}).want(t, 422, "選択肢から選んでください。")
	for _, c := range []struct{ posted, want string }{{profile.Volatile, profile.Volatile}, {profile.Flash, profile.Flash}, {"", profile.Flash}} {
		b.post(path, url.Values{"profile": {c.posted}}).want(t, 303)
		list, err := x.Commands(t.Context(), x.owner, act.CommandFilter{EndpointID: x.sales.ID})
		must(t, err)
		if got := list[0]; got.Verb != dispatch.Acquire || got.Profile != c.want {
			t.Errorf("%q was ordered as %s %s", c.posted, got.Verb, got.Profile)
		}
	}
}
