package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/id"
)

// example is one request of an operation that is done, and which roles may: o owner, r
// responsible, h handler, v viewer, a auditor; x a vendor, to whom nothing was granted.
type example struct {
	path, body, roles string
	nothing           bool // a vendor without a grant gets an empty list, not a refusal
}

// examples has one for each operation. A new route needs a line here.
func examples(x *fixture) map[string]example {
	order, ended := `{"reason":"because"}`, x.searched()
	return map[string]example{
		"getDocument":          {"/openapi.json", "", "orhvax", true},
		"getMe":                {"/me", "", "orhvax", true},
		"listIncidents":        {"/incidents?state=open&limit=5", "", "orhvax", true},
		"openIncident":         {"/incidents", `{"title":"見つけた","classification":"malware","discovered_at":"2026-11-01T00:00:00Z","endpoint_ids":["` + x.endpoint + `"]}`, "orh", false},
		"getIncident":          {"/incidents/" + x.incident, "", "orhva", false},
		"listTimeline":         {"/incidents/" + x.incident + "/timeline", "", "orhvax", true},
		"addNote":              {"/incidents/" + x.incident + "/timeline", `{"text":"見ました"}`, "orh", false},
		"listAcquisitions":     {"/incidents/" + x.incident + "/acquisitions", "", "orhvax", true},
		"listEvidence":         {"/incidents/" + x.incident + "/evidence", "", "orhvax", true},
		"getEvidence":          {"/evidence/" + x.evidence.ID, "", "orhva", false},
		"downloadEvidence":     {"/evidence/" + x.evidence.Number + "/content", "", "orh", false},
		"listEndpoints":        {"/endpoints", "", "orhvax", true},
		"getEndpoint":          {"/endpoints/" + x.endpoint, "", "orhva", false},
		"acquire":              {"/endpoints/" + x.endpoint + "/acquire", `{"reason":"because","profile":"flash"}`, "orh", false},
		"isolate":              {"/endpoints/" + x.endpoint + "/isolate", order, "orh", false},
		"askRelease":           {"/endpoints/" + x.endpoint + "/release", order, "orh", false},
		"withdrawCommand":      {"/commands/" + x.isolate() + "/withdraw", `{"reason":"because"}`, "orh", false},
		"listCommands":         {"/commands?endpoint_id=" + x.endpoint, "", "orhvax", true},
		"getCommand":           {"/commands/" + x.command(), "", "orhva", false},
		"search":               {"/search?q=pc-1", "", "orhvax", true},
		"searchEvidence":       {"/evidence-searches", `{"text":"pc","kinds":["process"],"days":7,"incident_id":"` + x.incident + `"}`, "orh", false},
		"getEvidenceSearch":    {"/evidence-searches/" + ended, "", "", false}, // nobody sees what others look for
		"cancelEvidenceSearch": {"/evidence-searches/" + ended + "/cancel", "", "", false},
		"getCheckpoint":        {"/ledger/checkpoint", "", "orha", false},
		"getWatch":             {"/watch", "", "orhva", false},
	}
}

func (x *fixture) command() string {
	c, err := x.Acquire(x.t.Context(), x.owner, x.endpoint, act.Order{Reason: "r"})
	must(x.t, err)
	return c.ID
}

// isolate orders an isolation that waits: nobody confirms it.
func (x *fixture) isolate() string {
	c, err := x.Isolate(x.t.Context(), x.owner, x.endpoint, act.Order{Reason: "r"})
	must(x.t, err)
	return c.ID
}

func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v map[string]any
	must(t, d.Decode(&v))
	return v
}

// TestRoutesByScopes asks for every route with each scope alone, without a token and with
// one that is none. What the document says of the scope, of the input and of the answer is
// what happens.
func TestRoutesByScopes(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		x := newFixture(t, db, generous)
		list := examples(x)
		doc := parsed(t, x.ask("GET", "/openapi.json", "", "", nil).body)
		tokens := map[act.Scope]string{}
		for _, s := range act.Scopes() {
			tokens[s] = x.token(s)
		}
		for _, r := range routes() {
			e, ok := list[r.id]
			if !ok {
				t.Errorf("%s has no example", r.id)
				continue
			}
			delete(list, r.id)
			op := doc["paths"].(map[string]any)[r.path].(map[string]any)[strings.ToLower(r.method)].(map[string]any)
			if e.body != "" {
				schema := op["requestBody"].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)["schema"].(map[string]any)
				if err := fits(doc, schema, parsed(t, e.body), r.id); err != nil {
					t.Errorf("the input: %v", err)
				}
			}
			for _, secret := range []string{"", operator.TokenPrefix + "NOTONEOFOURS", "x"} {
				a := x.ask(r.method, e.path, secret, e.body, nil)
				if want := map[bool]int{true: r.status, false: 401}[r.open]; a.code != want {
					t.Errorf("%s with the token %q: %d", r.id, secret, a.code)
				}
				if a.code == 401 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("%s: 401 without WWW-Authenticate", r.id)
				}
			}
			for _, s := range act.Scopes() {
				a := x.ask(r.method, e.path, tokens[s], e.body, nil)
				if r.scope != "" && s != r.scope {
					if a.code != 403 || a.problem.Code != "scope" || !strings.Contains(a.header.Get("WWW-Authenticate"), fmt.Sprintf("scope=%q", r.scope)) {
						t.Errorf("%s by %s: %d %s", r.id, s, a.code, a.body)
					}
					continue
				}
				if a.code != r.status {
					t.Errorf("%s by %s: %d %s", r.id, s, a.code, a.body)
					continue
				}
				if r.stream {
					if int64(len(a.body)) != x.evidence.StoredSize {
						t.Errorf("%s: %d bytes", r.id, len(a.body))
					}
					continue
				}
				answers := op["responses"].(map[string]any)[strconv.Itoa(r.status)].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)["schema"].(map[string]any)
				if r.id != "getDocument" {
					if err := fits(doc, answers, parsed(t, a.body), r.id); err != nil {
						t.Errorf("the answer: %v\n%.500s", err, a.body)
					}
				}
			}
		}
		for name := range list {
			t.Errorf("%s is an example of nothing", name)
		}
	})
}

// TestRoutesByRoles asks for every route with a token for everything, of each role. Only
// owners and responsible ones make tokens; the others' are put there, as if the role had
// been another.
func TestRoutesByRoles(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		x := newFixture(t, db, generous)
		list := examples(x)
		var scopes []string
		for _, s := range act.Scopes() {
			scopes = append(scopes, string(s))
		}
		for _, role := range operator.Roles() {
			letter := string(role[0])
			if role == operator.Vendor {
				letter = "x"
			}
			o, once, err := x.AddOperator(t.Context(), x.owner, act.NewOperator{Name: "p-" + string(role), Role: role})
			must(t, err)
			must(t, x.ChangePassword(t.Context(), act.Actor{Kind: act.ByOperator, ID: o.ID}, once, "a long password of xyz"))
			secret := operator.NewTokenSecret()
			must(t, db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				return operator.InsertToken(ctx, tx, operator.Token{ID: id.New(id.APIToken), OrganisationID: o.OrganisationID, OperatorID: o.ID, Name: "n", Role: role, Scopes: scopes,
					CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}, secret)
			}))
			for _, r := range routes() {
				e := list[r.id]
				a := x.ask(r.method, e.path, secret, e.body, nil)
				may := strings.Contains(e.roles, letter)
				if letter == "x" && e.nothing {
					if a.code != 200 && a.code != 404 || strings.Contains(a.body, x.incident) {
						t.Errorf("%s by a vendor: %d %s", r.id, a.code, a.body)
					}
					continue
				}
				if done := a.code == r.status; done != may {
					t.Errorf("%s by %s: %d %s", r.id, role, a.code, a.body)
				}
				if !may && a.code != 403 && a.code != 404 {
					t.Errorf("%s by %s is refused by %d %s", r.id, role, a.code, a.body)
				}
			}
		}
	})
}

// TestDocument holds the document to what readers of OpenAPI rely on.
func TestDocument(t *testing.T) {
	b, err := document(routes(), "1")
	must(t, err)
	doc := parsed(t, string(b))
	if v, _ := doc["openapi"].(string); !strings.HasPrefix(v, "3.1.") {
		t.Errorf("openapi is %q", v)
	}
	for _, m := range regexp.MustCompile(`"\$ref":"([^"]+)"`).FindAllStringSubmatch(string(b), -1) {
		if _, err := resolve(doc, m[1]); err != nil {
			t.Error(err)
		}
	}
	seen := map[string]bool{}
	n := 0
	for path, item := range doc["paths"].(map[string]any) {
		for method, raw := range item.(map[string]any) {
			n++
			op := raw.(map[string]any)
			name := op["operationId"].(string)
			if seen[name] || op["summary"] == "" || op["security"] == nil || len(op["responses"].(map[string]any)) != 2 {
				t.Errorf("%s %s: %v", method, path, op)
			}
			seen[name] = true
			var inPath []string
			for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				inPath = append(inPath, m[1])
			}
			parameters, _ := op["parameters"].([]any)
			for _, raw := range parameters {
				p := raw.(map[string]any)
				if p["in"] == "path" {
					if n := slices.Index(inPath, p["name"].(string)); n < 0 || p["required"] != true {
						t.Errorf("%s: parameter %v", name, p)
					} else {
						inPath = slices.Delete(inPath, n, n+1)
					}
				}
			}
			if len(inPath) > 0 {
				t.Errorf("%s: %v is not described", name, inPath)
			}
		}
	}
	if n != len(routes()) {
		t.Errorf("%d operations of %d routes", n, len(routes()))
	}
	for s := range scopeWords() {
		if !s.Valid() {
			t.Errorf("%q is no scope", s)
		}
	}
	for _, r := range routes() {
		if r.scope != "" && scopeWords()[r.scope] == "" || r.scope == "" && !r.open && r.id != "getMe" {
			t.Errorf("%s has the scope %q", r.id, r.scope)
		}
		for _, i := range inputs(r.in) {
			for _, tag := range []string{"min", "max", "most"} {
				if v := i.field.Tag.Get(tag); v != "" {
					if _, err := strconv.Atoi(v); err != nil {
						t.Errorf("%s.%s: %v", r.id, i.name, err)
					}
				}
			}
			if k := i.field.Type.Kind(); i.in == "query" && k != reflect.String && k != reflect.Int || i.in == "path" && k != reflect.String {
				t.Errorf("%s.%s is a %v", r.id, i.name, k)
			}
		}
	}
}

func TestPages(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t), generous)
	for i := range 4 {
		_, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: strconv.Itoa(i)})
		must(t, err)
	}
	token, cursor := x.token(act.ScopeRead), ""
	var titles []string
	for range 10 {
		a := x.ask("GET", "/incidents?limit=2"+cursor, token, "", nil)
		var p Page[Incident]
		must(t, json.Unmarshal([]byte(a.body), &p))
		for _, i := range p.Items {
			titles = append(titles, i.Title)
		}
		if p.Next == "" {
			break
		}
		cursor = "&cursor=" + p.Next
		if len(titles) == 2 { // what comes meanwhile moves nothing
			_, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "late"})
			must(t, err)
		}
	}
	if got := strings.Join(titles, " "); got != "3 2 1 0 不審な動作 <b>" {
		t.Errorf("%q", got)
	}
}

// TestATimelineOfVeryManyIsReadOneByOne: the entry that stands for those that are not shown has
// no identifier, and what comes after it is found all the same.
func TestATimelineOfVeryManyIsReadOneByOne(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t), generous)
	inc, err := x.Incident(t.Context(), x.owner, x.incident)
	must(t, err)
	must(t, x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		for n := range incident.MaxShown + 5 {
			if err := incident.AddEntry(ctx, tx, inc.OrganisationID, incident.Entry{ID: fmt.Sprintf("tml_%05d", n), IncidentID: inc.ID, At: inc.OpenedAt, Kind: incident.EntryNote, Text: "t", LedgerIdx: int64(n + 1000)}); err != nil {
				return err
			}
		}
		return nil
	}))
	token, cursor := x.token(act.ScopeRead), ""
	var got []string
	for range 3 {
		a := x.ask("GET", "/incidents/"+x.incident+"/timeline?limit=1"+cursor, token, "", nil)
		var p Page[Entry]
		must(t, json.Unmarshal([]byte(a.body), &p))
		if len(p.Items) != 1 || p.Next == "" {
			t.Fatalf("%d %s", a.code, a.body)
		}
		got, cursor = append(got, p.Items[0].Kind+" "+p.Items[0].ID), "&cursor="+p.Next
	}
	if want := []string{"older ", "note tml_00005", "note tml_00006"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestHostileRequests are refused, each with the status that names the fault, and change nothing.
func TestHostileRequests(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t), generous)
	all := x.token(act.Scopes()...)
	entries := func() int {
		list, err := x.LedgerEntries(t.Context(), x.owner, act.LedgerFilter{Limit: 1000})
		must(t, err)
		return len(list)
	}
	before := entries()
	as := func(header, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(header, value) }
	}
	isolate := "/endpoints/" + x.endpoint + "/isolate"
	for name, c := range map[string]struct {
		method, path, body string
		change             func(*http.Request)
		code               int
	}{
		"misspelt field":    {"POST", isolate, `{"reason":"r","untill":"2030-01-01T00:00:00Z"}`, nil, 400},
		"no reason":         {"POST", isolate, `{}`, nil, 422},
		"null":              {"POST", isolate, `null`, nil, 422},
		"array":             {"POST", isolate, `[]`, nil, 400},
		"two objects":       {"POST", isolate, `{"reason":"r"} {"reason":"r"}`, nil, 400},
		"wrong type":        {"POST", isolate, `{"reason":5}`, nil, 400},
		"deep":              {"POST", isolate, `{"reason":` + strings.Repeat("[", 20_000), nil, 400},
		"long":              {"POST", isolate, `{"reason":"` + strings.Repeat("x", 70_000) + `"}`, nil, 413},
		"too long a reason": {"POST", isolate, `{"reason":"` + strings.Repeat("x", 2_000) + `"}`, nil, 422},
		"form":              {"POST", isolate, `reason=r`, as("Content-Type", "application/x-www-form-urlencoded"), 415},
		"plain text":        {"POST", isolate, `{"reason":"r"}`, as("Content-Type", "text/plain"), 415},
		"past until":        {"POST", isolate, `{"reason":"r","until":"2020-01-01T00:00:00Z"}`, nil, 422},
		"unknown profile":   {"POST", "/endpoints/" + x.endpoint + "/acquire", `{"reason":"r","profile":"../x"}`, nil, 422},
		"unknown class":     {"POST", "/incidents", `{"title":"t","classification":"x"}`, nil, 422},
		"foreign endpoint":  {"POST", "/incidents", `{"title":"t","endpoint_ids":["end_x"]}`, nil, 404},
		"no such endpoint":  {"POST", "/endpoints/end_none/isolate", `{"reason":"r"}`, nil, 404},
		"path traversal":    {"GET", "/evidence/..%2f..%2fetc%2fpasswd/content", "", nil, 404},
		"unknown parameter": {"GET", "/incidents?stat=open", "", nil, 422},
		"parameter twice":   {"GET", "/incidents?limit=1&limit=2", "", nil, 422},
		"no number":         {"GET", "/incidents?limit=x", "", nil, 422},
		"too many":          {"GET", "/incidents?limit=501", "", nil, 422},
		"foreign cursor":    {"GET", "/incidents?cursor=AAAA", "", nil, 422},
		"malformed cursor":  {"GET", "/incidents?cursor=%00", "", nil, 422},
		"malformed query":   {"GET", "/incidents?%zz", "", nil, 422},
		"SQL":               {"GET", "/incidents/'%20OR%201=1--", "", nil, 404},
		"wrong method":      {"DELETE", "/incidents/" + x.incident, "", nil, 405},
		"PUT":               {"PUT", isolate, `{"reason":"r"}`, nil, 405},
		"preflight":         {"OPTIONS", isolate, "", as("Origin", "https://evil.example"), 405},
		"nowhere":           {"GET", "/nothing", "", nil, 404},
		"basic":             {"GET", "/me", "", as("Authorization", "Basic b3duZXI6eA=="), 401},
		"cookie alone": {"GET", "/me", "", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.AddCookie(&http.Cookie{Name: "hozen-session", Value: all})
		}, 401},
		"two credentials":    {"GET", "/me", "", func(r *http.Request) { r.Header.Add("Authorization", "Bearer x") }, 401},
		"token in the query": {"GET", "/me?access_token=" + all, "", func(r *http.Request) { r.Header.Del("Authorization") }, 401},
	} {
		a := x.ask(c.method, c.path, all, c.body, c.change)
		if a.code != c.code {
			t.Errorf("%s: %d, want %d: %.300s", name, a.code, c.code, a.body)
		}
		for h := range a.header {
			if strings.HasPrefix(h, "Access-Control-") || h == "Set-Cookie" {
				t.Errorf("%s: the answer has %s", name, h)
			}
		}
		if strings.Contains(a.body, all) {
			t.Errorf("%s: the answer shows the token", name)
		}
	}
	if after := entries(); after != before {
		t.Errorf("%d entries came into the ledger", after-before)
	}
}

func TestTooFast(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t), Limits{AddressRate: 1, AddressBurst: 30, TokenRate: 0.5, TokenBurst: 5, OrderRate: 0.1, OrderBurst: 2})
	one, two := x.token(act.ScopeRead, act.ScopeRecord), x.token(act.ScopeRead)
	count := func(method, path, token, body, addr string) (n int, last answer) {
		for range 100 {
			last = x.ask(method, path, token, body, func(r *http.Request) { r.RemoteAddr = addr })
			if last.code == 429 {
				break
			}
			n++
		}
		return n, last
	}
	n, a := count("POST", "/incidents", one, `{"title":"t"}`, "192.0.2.1:1")
	if wait := a.header.Get("Retry-After"); n != 2 || wait != "10" {
		t.Errorf("%d orders, then wait %q", n, wait)
	}
	if n, a = count("GET", "/me", one, "", "192.0.2.2:1"); n != 2 || a.header.Get("Retry-After") != "2" { // the three before count too
		t.Errorf("%d requests with the token, then wait %q", n, a.header.Get("Retry-After"))
	}
	if n, _ = count("GET", "/me", two, "", "192.0.2.2:1"); n != 5 {
		t.Errorf("%d requests with the other token", n)
	}
	if n, _ = count("GET", "/openapi.json", "", "", "[2001:db8::1]:1"); n != 30 {
		t.Errorf("%d requests from one address", n)
	}
	if n, _ = count("GET", "/openapi.json", "", "", "[2001:db8::2]:1"); n != 0 {
		t.Errorf("%d requests from its neighbour", n)
	}
	if n, _ = count("GET", "/me", "wrong", "", "192.0.2.3:1"); n != 3 {
		t.Errorf("%d wrong tokens from one address", n)
	}
	x.clock = x.clock.Add(10 * time.Second)
	if n, _ = count("POST", "/incidents", one, `{"title":"t"}`, "192.0.2.9:1"); n != 1 {
		t.Errorf("%d orders after the wait", n)
	}
}
