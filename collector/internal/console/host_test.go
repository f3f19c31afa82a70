package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestOnlyItsOwnNamesAreAnswered: a page of a stranger may lead its own name to this
// machine and would be of the same origin as the console then.
func TestOnlyItsOwnNamesAreAnswered(t *testing.T) {
	x := newSite(t)
	h, err := New(Config{Acts: x.Acts, Sessions: x.SessionStore(), Hosts: []string{"localhost", "127.0.0.1", "::1", "Hozen.example"}})
	must(t, err)
	ask := func(h http.Handler, host, path string) int {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = host
		h.ServeHTTP(w, r)
		if strings.Contains(w.Body.String(), "stranger") {
			t.Error("the page repeats the host")
		}
		return w.Code
	}
	for host, want := range map[string]int{
		"localhost": 200, "localhost:7480": 200, "LOCALHOST.:7480": 200, "127.0.0.1:7480": 200, "[::1]:7480": 200, "[::1]": 200, "hozen.EXAMPLE": 200,
		"stranger.example": 421, "stranger.example:7480": 421, "localhost.stranger.example": 421, "": 421, ":7480": 421, "[": 421, "127.0.0.1.stranger.example:80": 421,
	} {
		for _, path := range []string{"/about", "/static/live.js"} {
			if got := ask(h, host, path); got != want && (path == "/about" || (got == 421) != (want == 421)) {
				t.Errorf("%q %s: %d, want %d", host, path, got, want)
			}
		}
	}
	if got := ask(x.handler, "stranger.example", "/about"); got != 200 {
		t.Errorf("a console for every name answers %d", got)
	}
}
