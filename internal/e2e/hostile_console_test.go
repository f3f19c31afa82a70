package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"hozen/internal/e2e/rig"
)

// consoleAttacks send to the console what no browser of an honest person sends.
func (s *system) consoleAttacks(t *testing.T, ctx context.Context) []attack {
	base := "http://" + s.collector.Console
	jar, err := cookiejar.New(nil)
	must(t, err)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	stranger, owner := &http.Client{CheckRedirect: stay}, &http.Client{CheckRedirect: stay, Jar: jar}
	const typed = "application/x-www-form-urlencoded"
	send := func(c *http.Client, method, path, contentType, body string, header ...string) func(context.Context) string {
		return func(ctx context.Context) string {
			r, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
			if err != nil {
				return err.Error()
			}
			r.Header.Set("Content-Type", contentType)
			r.Header.Set("Accept-Language", "en")
			for i := 0; i+1 < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			resp, err := c.Do(r)
			if err != nil {
				return err.Error()
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				return err.Error()
			}
			return fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Header.Get("Location"), strings.ReplaceAll(string(b), "\n", " "))
		}
	}
	post := func(path string, fields url.Values) func(context.Context) string {
		return send(owner, http.MethodPost, path, typed, fields.Encode())
	}
	signIn := url.Values{"name": {rig.Owner}, "password": {rig.Password}}
	if said := post("/sign-in", signIn)(ctx); !strings.HasPrefix(said, "303 / ") {
		t.Fatalf("sign in at the console: %.300s", said)
	}
	incident := func(change url.Values) url.Values {
		v := url.Values{"title": {"t"}, "discovered": {"2026-01-02T03:04"}, "classification": {"malware"}}
		for k, list := range change {
			v[k] = list
		}
		return v
	}
	return []attack{
		{"garbage", `400 Bad Request`, func(ctx context.Context) string {
			return exchange(ctx, "tcp", s.collector.Console, "\x16\x03\x01\x00\xff\xfe\r\n\r\n")
		}},
		{"page without sign-in", `^303 /sign-in`, send(stranger, http.MethodGet, "/ledger", "", "")},
		{"order without sign-in", `^(303 /sign-in|401|403)`, send(stranger, http.MethodPost, "/endpoints/"+s.id+"/order/isolate", typed, "reason=x")},
		{"wrong password", `^422 `, send(stranger, http.MethodPost, "/sign-in", typed, "name=owner&password=wrong")},
		{"JSON for a form", `^415 .*could not be read`, send(stranger, http.MethodPost, "/sign-in", "application/json", `{"name":"owner"}`)},
		{"broken escape", `^400 .*could not be read`, send(stranger, http.MethodPost, "/sign-in", typed, "name=%zz&password=x")},
		{"huge form", `^413 .*too large`, post("/incidents/new", incident(url.Values{"title": {strings.Repeat("A", 100<<10)}}))},
		{"form of another site", `^403 .*another site`,
			send(owner, http.MethodPost, "/endpoints/"+s.id+"/order/isolate", typed, "reason=x", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")},
		{"missing field", `^422 `, post("/incidents/new", incident(url.Values{"title": {""}}))},
		{"wrong type of a time", `^422 `, post("/incidents/new", incident(url.Values{"discovered": {"yesterday"}}))},
		{"time to come", `^422 `, post("/incidents/new", incident(url.Values{"discovered": {"2999-01-02T03:04"}}))},
		{"control characters", `^422 `, post("/incidents/new", incident(url.Values{"title": {"a\x00\x1b[2J"}}))},
		{"too long", `^422 `, post("/incidents/new", incident(url.Values{"title": {strings.Repeat("A", 1000)}}))},
		{"unknown class", `^422 `, post("/incidents/new", incident(url.Values{"classification": {"'; DROP TABLE incident; --"}}))},
		{"endpoint that is not there", `^(404|422) `, post("/incidents/new", incident(url.Values{"endpoint": {"end_'; DROP TABLE"}}))},
		{"order without reason", `^422 `, post("/endpoints/"+s.id+"/order/isolate", url.Values{"reason": {""}})},
		{"unknown order", `^404 .*Not found`, post("/endpoints/"+s.id+"/order/exec", url.Values{"reason": {"x"}})},
		{"path for an endpoint", `^404 .*Not found`, send(owner, http.MethodGet, "/endpoints/..%2f..%2f..%2fetc%2fpasswd", "", "")},
		{"path for evidence", `^404 .*Not found`, send(owner, http.MethodGet, "/evidence/..%2f..%2fhozen.db/download", "", "")},
		{"path for an asset", `^(404|301|303) `, send(owner, http.MethodGet, "/static/..%2f..%2fcollector.toml", "", "")},
		{"identifier with a zero byte", `^(404|400) `, send(owner, http.MethodGet, "/acquisitions/acq_%00/manifest.json", "", "")},
		{"method that is none", `^(404|405) `, send(owner, http.MethodDelete, "/incidents/new", "", "")},
		{"header without end", `431 Request Header Fields Too Large|closed`, func(ctx context.Context) string {
			return exchange(ctx, "tcp", s.collector.Console, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("A", 2<<20))
		}},
	}
}
