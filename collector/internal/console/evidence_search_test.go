package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
)

// scanned is the page of a search in the contents of evidence that has ended.
func (x *office) scanned(text string) string {
	x.t.Helper()
	f, err := x.SearchEvidence(x.t.Context(), x.owner, act.NewEvidenceSearch{Text: text})
	must(x.t, err)
	<-f.Finished
	return "/search/evidence/" + f.ID
}

// TestContentsOfEvidenceAreSearched: from the search to the row, without a script; for whoever
// may open evidence, and for nobody else.
func TestContentsOfEvidenceAreSearched(t *testing.T) {
	x := newOffice(t, 60)
	b := x.as("owner", "ja")
	b.get("/search?q=evil").want(t, 200, `href="/search/evidence?q=evil"`)
	b.get("/search/evidence?q=evil&incident="+x.incidentID).want(t, 200, `value="evil"`, `<option value="`+x.incidentID+`" translate="no" selected>`, "消せません")
	begin := func(v url.Values) string {
		t.Helper()
		r := b.post("/search/evidence", v)
		where := r.header.Get("Location")
		if r.code != http.StatusSeeOther || !strings.HasPrefix(where, "/search/evidence/srh_") {
			t.Fatalf("%d to %q\n%s", r.code, where, r.body)
		}
		f, err := x.EvidenceSearch(t.Context(), x.owner, strings.TrimPrefix(where, "/search/evidence/"))
		must(t, err)
		<-f.Finished
		return where
	}
	where := begin(url.Values{"text": {"<script>alert(1)"}, "incident": {x.incidentID}, "days": {"30"}, "kind": {"process"}})
	r := b.get(where).want(t, 200, "終わりました", "<mark>&lt;script&gt;alert(1)</mark>", "?row=")
	inertPage(t, where, r)
	row := regexp.MustCompile(`/evidence/evd_\w+/records\?row=\d+`).FindString(r.body)
	b.get(row).want(t, 200, `id="row" class="is-found"`, "alert(1)")
	b.get("/evidence/"+x.processes+"/records?row=99999").want(t, 200, "表示できません")
	b.get("/search/evidence").want(t, 200, where, "終わりました")
	for name, v := range map[string]url.Values{"nothing": {"text": {" "}}, "huge": {"text": {strings.Repeat("あ", 5000)}}, "odd days": {"text": {"a"}, "days": {"x"}}, "odd kind": {"text": {"a"}, "kind": {"memory"}}, "hostile": {"text": {"a"}, "days": {"<b>"}}} {
		r := b.post("/search/evidence", v)
		if r.code != http.StatusUnprocessableEntity || !strings.Contains(r.body, `class="wrong"`) {
			t.Errorf("%s: %d", name, r.code)
		}
		inertPage(t, name, r)
	}
	if r := b.post(where+"/cancel", nil); r.code != http.StatusSeeOther || r.header.Get("Location") != where {
		t.Errorf("%d", r.code)
	}
	x.person("looker", "佐藤 花子", operator.Viewer)
	v := x.as("looker", "ja")
	if strings.Contains(v.get("/search?q=evil").want(t, 200).body, "/search/evidence") {
		t.Error("a viewer is led to what is forbidden")
	}
	v.get("/search/evidence").want(t, http.StatusForbidden)
	v.get(where).want(t, http.StatusForbidden)
	if r := v.post("/search/evidence", url.Values{"text": {"a"}}); r.code != http.StatusForbidden {
		t.Errorf("a viewer searches: %d", r.code)
	}
	x.person("other-handler", "森", operator.Handler)
	x.as("other-handler", "en").get(where).want(t, http.StatusNotFound)
}

// TestLongResultsAreFolded: what is found in many rows can be looked over, and no row is left out.
func TestLongResultsAreFolded(t *testing.T) {
	x := newOffice(t, 60)
	f, err := x.SearchEvidence(t.Context(), x.owner, act.NewEvidenceSearch{Text: "/usr"})
	must(t, err)
	<-f.Finished
	f, err = x.EvidenceSearch(t.Context(), x.owner, f.ID)
	must(t, err)
	body := x.as("owner", "ja").get("/search/evidence/"+f.ID).want(t, 200).body
	open := regexp.MustCompile(`(?s)<details>.*?</details>`).ReplaceAllString(body, "")
	all, seen := strings.Count(body, "?row="), strings.Count(open, "?row=")
	if all != len(f.Hits) || all <= openGroups*openRows || seen < openRows || seen > openGroups*openRows {
		t.Errorf("%d rows found, %d on the page, %d of them open", len(f.Hits), all, seen)
	}
}
