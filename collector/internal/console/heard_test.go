package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"hozen/collector/internal/act"
)

// TestAReportHeardByTelephone: who called, the number and the time stand in the timeline and in
// the ledger.
func TestAReportHeardByTelephone(t *testing.T) {
	x := newSite(t)
	b := x.as("owner", "ja")
	at := x.now().In(jst()).Format(localInput)
	good := url.Values{"title": {"画面が変"}, "discovered": {at}, "reporter": {"営業 鈴木"}, "heard_tel": {"090-1234-5678"}, "heard_at": {at}}
	for field, value := range map[string]string{"heard_tel": "鈴木さん", "heard_at": "tomorrow"} {
		bad := url.Values{}
		for k, v := range good {
			bad[k] = v
		}
		bad.Set(field, value)
		b.post("/incidents/new", bad).want(t, http.StatusUnprocessableEntity, `class="wrong"`, "営業 鈴木")
	}
	where := b.post("/incidents/new", good).want(t, http.StatusSeeOther).header.Get("Location")
	b.get(where).want(t, 200, "折り返し先: 090-1234-5678", "電話を受けた日時: "+strings.Replace(at, "T", " ", 1), "営業 鈴木")
	list, err := x.LedgerEntries(t.Context(), x.owner, act.LedgerFilter{Limit: 5})
	must(t, err)
	found := false
	for _, e := range list {
		found = found || e.Act == "incident.open" && e.Details["heard_tel"] == "090-1234-5678" && e.Details["heard_at"] != ""
	}
	if !found {
		t.Errorf("%+v", list)
	}
}
