package console

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hozen/collector/internal/act"
)

// notPages are the GET routes that answer with no page of the console, and why; and those that
// nobody who is signed in sees.
func notPages() map[string]string {
	return map[string]string{
		"GET /packages/{name}":                                "a file, TestInstallers",
		"GET /uploads/{id}":                                   "JSON for the script of uploads",
		"GET /uploads/{id}/download":                          "a file",
		"GET /evidence/{id}/download":                         "a file, TestDownload",
		"GET /exports/{id}/download":                          "a file",
		"GET /acquisitions/{id}/manifest.json":                "a file, TestDownload",
		"GET /acquisitions/{id}/manifest.json.sig":            "a file, TestDownload",
		"GET /ledger/outside/{index}/{file}":                  "a file",
		"GET /incidents/{id}/reports/{no}/{version}/{format}": "a file, TestReportsInTheConsole",
		"GET /endpoints/{id}/connections":                     "leads on to the newest map",
		"GET /live":                                           "a stream, TestLiveStream",
		"GET /sign-in":                                        "for those who are not signed in; the tests over all pages open it by itself",
		"GET /sign-in/code":                                   "between password and code, TestSignInWithASecondFactor",
	}
}

// patterns are the routes of the console as routes.go has them.
func patterns(t testing.TB) []string {
	t.Helper()
	src, err := os.ReadFile("routes.go")
	must(t, err)
	var list []string
	for _, m := range regexp.MustCompile(`(?:add|pages\.Handle)\("([A-Z]+ [^"]+)"`).FindAllStringSubmatch(string(src), -1) {
		list = append(list, m[1])
	}
	if len(list) < 150 {
		t.Fatalf("only %d routes were found in routes.go", len(list))
	}
	return list
}

// unseen are the routes of pages to which none of the addresses leads. Every test that goes
// over all pages, and the benchmark, ask for it: a new page without an address in
// [office.paths] is missed by none of them.
func unseen(t testing.TB, paths []string) []string {
	t.Helper()
	mux := http.NewServeMux()
	var pages []string
	for _, p := range patterns(t) {
		if strings.HasPrefix(p, "GET ") {
			mux.HandleFunc(p, func(http.ResponseWriter, *http.Request) {})
			pages = append(pages, p)
		}
	}
	seen := map[string]bool{}
	for _, path := range paths {
		_, p := mux.Handler(httptest.NewRequest(http.MethodGet, path, nil))
		seen[p] = true
	}
	not := notPages()
	var list []string
	for _, p := range pages {
		_, excused := not[p]
		switch {
		case !seen[p] && !excused:
			list = append(list, p)
		case seen[p] && excused:
			list = append(list, p+" (it is said to be no page)")
		}
		delete(not, p)
	}
	for p := range not {
		list = append(list, p+" (there is no such route any more)")
	}
	slices.Sort(list)
	return list
}

// TestEveryPageIsLookedAt: whatever goes over all pages goes over all routes.
func TestEveryPageIsLookedAt(t *testing.T) {
	x := newOffice(t, 5)
	for _, p := range unseen(t, x.paths()) {
		t.Errorf("no address of office.paths leads to %s", p)
	}
}

// TestEveryFormRefusesStrangers sends to every route that changes something from a page of
// another site: none even looks at it.
func TestEveryFormRefusesStrangers(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "ja")
	entries := func() int64 {
		list, err := x.LedgerEntries(t.Context(), x.owner, act.LedgerFilter{Limit: 1})
		must(t, err)
		return list[0].Index
	}
	before, n := entries(), 0
	hole := regexp.MustCompile(`\{[a-z]+\}`)
	for _, p := range patterns(t) {
		method, path, _ := strings.Cut(p, " ")
		if method == http.MethodGet {
			continue
		}
		n++
		path = strings.ReplaceAll(path, "/incidents/{id}", "/incidents/"+x.incidentID)
		path = hole.ReplaceAllString(path, "x")
		for _, h := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Origin": {"https://evil.example"}}} {
			h.Set("Content-Type", "application/x-www-form-urlencoded")
			if r := b.do(method, path, strings.NewReader("text=x&reason=x"), h); r.code != http.StatusForbidden {
				t.Errorf("%s from %v: %d", p, h, r.code)
			}
		}
	}
	if after := entries(); after != before {
		t.Errorf("forms from elsewhere left %d entries in the ledger", after-before)
	}
	if n < 60 {
		t.Errorf("only %d routes that change something were found", n)
	}
	b.get("/").want(t, http.StatusOK) // and nobody was signed out
}
