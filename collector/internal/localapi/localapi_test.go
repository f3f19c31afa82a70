package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/capability"
	"hozen/internal/pki"
)

// fixture is a served socket and what lies behind it.
type fixture struct {
	acts     *act.Acts
	server   *Server
	path     string
	once     string
	password string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	ca, err := pki.NewCA("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	acts, err := act.New(act.Config{DB: sqldbtest.Open(t), CA: ca, Hub: act.NewHub(), Blobs: blobs, Addresses: []string{"192.0.2.1:7443"},
		PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}})
	if err != nil {
		t.Fatal(err)
	}
	x := &fixture{acts: acts, password: "correct horse battery"}
	if _, x.once, err = acts.Found(t.Context(), "o", act.NewOperator{Name: "owner"}); err != nil {
		t.Fatal(err)
	}
	if x.server, err = New(Config{Acts: acts, Collector: Status{Name: "test"}}); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "hz") // short: a socket's path has 103 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	x.path = filepath.Join(dir, "s")
	l, err := Listen(x.path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- x.server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(x.server.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return x
}

// owner returns a client that is signed in.
func (x *fixture) owner(t *testing.T) *Client {
	t.Helper()
	var s Session
	if err := NewClient(x.path, "", "").Call(t.Context(), "session.begin", SignIn{Name: "owner", Password: x.once, NewPassword: x.password}, &s); err != nil {
		t.Fatal(err)
	}
	return NewClient(x.path, s.Token, "")
}

// enrolled makes an endpoint through the socket's token.
func (x *fixture) enrolled(t *testing.T, cl *Client, hostname string) string {
	t.Helper()
	var tok Token
	if err := cl.Call(t.Context(), "token.create", TokenCreate{Auto: true}, &tok); err != nil {
		t.Fatal(err)
	}
	parsed, err := pki.ParseToken(tok.Text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.NewCSR(key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := x.acts.Enroll(t.Context(), act.EnrollCall{Secret: parsed.Secret, CSR: csr, Host: endpoint.Description{Hostname: hostname}})
	if err != nil {
		t.Fatal(err)
	}
	return r.EndpointID
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestWhoSpeaks(t *testing.T) {
	x := newFixture(t)
	ctx := t.Context()
	nobody := NewClient(x.path, "", "")
	if err := nobody.Call(ctx, "status", None{}, nil); err != nil {
		t.Error(err)
	}
	for verb, v := range verbs() {
		if v.open {
			continue
		}
		for name, cl := range map[string]*Client{"nobody": nobody, "a forged token": NewClient(x.path, strings.Repeat("x", 26), "")} {
			if err := cl.Call(ctx, verb, None{}, nil); !errors.Is(err, ErrSignIn) {
				t.Errorf("%s by %s: %v", verb, name, err)
			}
		}
	}
	wantErr(t, nobody.Call(ctx, "session.begin", SignIn{Name: "owner", Password: "wrong"}, nil), act.ErrForbidden)
	wantErr(t, nobody.Call(ctx, "session.begin", SignIn{Name: "owner", Password: x.once}, nil), act.ErrMustChangePassword)
	cl := x.owner(t)
	var who WhoAmI
	if err := cl.Call(ctx, "session.whoami", None{}, &who); err != nil || who.Role != "owner" {
		t.Errorf("%+v, %v", who, err)
	}
	if err := cl.Call(ctx, "session.end", None{}, nil); err != nil {
		t.Error(err)
	}
	wantErr(t, cl.Call(ctx, "session.whoami", None{}, nil), ErrSignIn)
}

func TestOnlyRootAndTheCollectorsUserBreakTheGlass(t *testing.T) {
	x := newFixture(t)
	own := peer{known: true, uid: os.Geteuid()}
	for _, c := range []struct {
		name   string
		peer   peer
		reason string
		want   error
	}{
		{"root", peer{known: true, uid: 0}, "night", nil},
		{"the collector's user", own, "night", nil},
		{"somebody else", peer{known: true, uid: 54321}, "night", act.ErrForbidden},
		{"somebody unknown", peer{}, "night", act.ErrForbidden},
		{"no reason", own, "+", act.ErrInvalid},
		{"a bad escape", own, "%zz", act.ErrInvalid},
		{"a long reason", own, strings.Repeat("x", 2000), act.ErrInvalid},
	} {
		call := &call{s: x.server, acts: x.acts, peer: c.peer}
		if err := call.identify(t.Context(), c.reason); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		} else if err == nil && (call.actor.Kind != act.ByLocal || call.actor.BreakGlass != "night") {
			t.Errorf("%s: %+v", c.name, call.actor)
		}
	}
}

func TestHostileRequests(t *testing.T) {
	x := newFixture(t)
	raw := func(method, path, body string) (int, *Error) {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r = r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{known: true, uid: os.Geteuid()}))
		r.Header.Set(headerBreakGlass, "test")
		w := httptest.NewRecorder()
		x.server.handle(w, r)
		var a answer
		if err := json.NewDecoder(w.Body).Decode(&a); err != nil {
			t.Fatalf("%s %s: answer is no JSON: %v", method, path, err)
		}
		return w.Code, a.Error
	}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/status", "", 404},
		{"POST", "/v1/nonsense", "{}", 404},
		{"POST", "/v1/../../etc/passwd", "{}", 404},
		{"POST", "/", "", 404},
		{"POST", "/v1/token.create", "{", 422},
		{"POST", "/v1/token.create", "[]", 422},
		{"POST", "/v1/token.create", `{"auto":true,"root":true}`, 422},
		{"POST", "/v1/token.create", `{"ttl_seconds":9223372036854775807}`, 422},
		{"POST", "/v1/token.create", `{"ttl_seconds":-1}`, 422},
		{"POST", "/v1/token.create", `{"max_uses":100000}`, 422},
		{"POST", "/v1/token.create", strings.Repeat(" ", maxRequest+1), 422},
		{"POST", "/v1/command.order", `{"verb":"hunt","endpoint":""}`, 404},
		{"POST", "/v1/evidence.get", `{"ref":"../../etc/passwd"}`, 404},
		{"POST", "/v1/evidence.list", `{}`, 422},
		{"POST", "/v1/acquisition.list", `{}`, 422},
		{"POST", "/v1/incident.note", `{"ref":"INC-2026-0001","text":"x"}`, 404},
		{"POST", "/v1/session.begin", `{"name":"` + strings.Repeat("x", 100000) + `","password":"` + strings.Repeat("y", 100000) + `"}`, 403},
	} {
		status, e := raw(c.method, c.path, c.body)
		if status != c.status || e == nil || e.Message == "" || e.Code == "internal" {
			t.Errorf("%s %s %.60q: %d %+v, want %d", c.method, c.path, c.body, status, e, c.status)
		}
	}
	var s Status
	if err := NewClient(x.path, "", "").Call(t.Context(), "status", None{}, &s); err != nil || s.Name != "test" {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
}

func TestNamesOfEndpointsMustBeUnambiguous(t *testing.T) {
	x := newFixture(t)
	cl := x.owner(t)
	ctx := t.Context()
	one, two := x.enrolled(t, cl, "PC-01"), x.enrolled(t, cl, "pc-01")
	err := cl.Call(ctx, "command.order", Order{Verb: "isolate", Endpoint: "pc-01", Reason: "r"}, nil)
	if e, ok := errors.AsType[*Error](err); !ok || e.Field != "endpoint" || e.Invalid != "ambiguous" {
		t.Errorf("an order to one of two: %v", err)
	}
	if err := cl.Call(ctx, "endpoint.label", Label{Ref: two, Label: "受付"}, nil); err != nil {
		t.Fatal(err)
	}
	var e Endpoint
	if err := cl.Call(ctx, "endpoint.show", Ref{Ref: "受付"}, &e); err != nil || e.ID != two {
		t.Errorf("%+v, %v", e, err)
	}
	if err := cl.Call(ctx, "endpoint.revoke", Ref{Ref: two, Reason: "gone"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := cl.Call(ctx, "endpoint.show", Ref{Ref: "pc-01"}, &e); err != nil || e.ID != one {
		t.Errorf("a revoked endpoint still takes its name: %+v, %v", e, err)
	}
	wantErr(t, cl.Call(ctx, "endpoint.show", Ref{Ref: ""}, nil), act.ErrNotFound)
}

func TestWaitingForAResult(t *testing.T) {
	x := newFixture(t)
	cl := x.owner(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	id := x.enrolled(t, cl, "pc")
	if err := x.acts.EndpointConnected(ctx, id, endpoint.Description{Hostname: "pc"}, ""); err != nil {
		t.Fatal(err)
	}
	var cmd Command
	if err := cl.Call(ctx, "command.order", Order{Verb: "release", Endpoint: "pc", Reason: "r"}, &cmd); err != nil {
		t.Fatal(err)
	}
	var seen []string
	var w Waited
	err := cl.Follow(ctx, "command.wait", Wait{CommandID: cmd.ID}, &w, func(raw json.RawMessage) error {
		var e Event
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		switch { // the agent answers each step that is seen
		case e.Command != nil && e.Command.Status == "queued":
			seen = append(seen, "queued")
			return x.acts.CommandAcked(ctx, id, cmd.ID)
		case e.Command != nil && e.Command.Status == "accepted":
			seen = append(seen, "accepted")
			x.acts.Hub().Progress(id, act.Progress{CommandID: "another's"})
			x.acts.Hub().Progress(id, act.Progress{CommandID: cmd.ID, Kind: "process", Done: 1, Total: 8})
		case e.Progress != nil:
			seen = append(seen, e.Progress.Kind)
			i := endpoint.IsolationStatus{Desired: endpoint.Released, Observed: endpoint.Released, MeasuredAt: time.Now()}
			return x.acts.CommandFinished(ctx, id, dispatch.Result{CommandID: cmd.ID, Status: dispatch.Done}, &i)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, " "); got != "queued accepted process" {
		t.Error(got)
	}
	if w.Command.Status != "done" || w.Endpoint.Isolation.Observed != "released" {
		t.Errorf("%+v", w)
	}
	wantErr(t, cl.Call(ctx, "command.wait", Wait{CommandID: "cmd_none"}, nil), act.ErrNotFound)
}

func TestFsckAnswersWithWhatItFound(t *testing.T) {
	x := newFixture(t)
	cl := x.owner(t)
	var r Check
	if err := cl.Follow(t.Context(), "fsck", None{}, &r, func(json.RawMessage) error { return nil }); err != nil || !r.Clean || r.Entries == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	wantErr(t, cl.Call(t.Context(), "backup", BackUp{Dir: "relative"}, nil), act.ErrInvalid)
}

func TestListenTakesOverOnlyDeadSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "hz")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" { // where a pipe stands for it
		if _, err := Listen(file); err == nil {
			t.Error("a file was taken for a socket")
		}
		if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 120))); err == nil || !strings.Contains(err.Error(), "listen.socket") {
			t.Errorf("a path that is too long: %v", err)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("the file is gone: %q, %v", b, err)
	}
	unlock, err := Lock(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(filepath.Join(dir, "lock")); !errors.Is(err, ErrLocked) {
		t.Errorf("two collectors on one folder: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
	if err := NewClient(filepath.Join(dir, "nobody"), "", "").Call(t.Context(), "status", None{}, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v", err)
	}
}

func TestClientNoticesAnAnswerThatBreaksOff(t *testing.T) {
	for name, body := range map[string]string{"nothing": "", "half a line": `{"event":{}}` + "\n" + `{"res`, "events only": `{"event":{}}` + "\n"} {
		cl := NewClient("", "", "")
		cl.http.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body))}, nil
		})
		if err := cl.Call(t.Context(), "fsck", None{}, nil); err == nil {
			t.Errorf("%s was taken for an answer", name)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPreservingThroughTheSocket(t *testing.T) {
	x := newFixture(t)
	cl := x.owner(t)
	ctx := t.Context()
	id := x.enrolled(t, cl, "pc")
	err := cl.Call(ctx, "endpoint.gate", Ref{Ref: "pc"}, nil)
	wantErr(t, err, act.ErrTooOld) // it never connected
	wantErr(t, err, act.ErrConflict)
	if err := x.acts.EndpointConnected(ctx, id, endpoint.Description{Hostname: "pc", Capability: uint32(capability.Preserve)}, ""); err != nil {
		t.Fatal(err)
	}
	var g Gate
	if err := cl.Call(ctx, "endpoint.gate", Ref{Ref: "pc"}, &g); err != nil || g.Facts["gate_memory"] != "not_acquired" || g.Confirmed == "" || g.Endpoint.ID != id {
		t.Fatalf("%+v, %v", g, err)
	}
	o := Order{Verb: "preserve", Endpoint: "pc", Reason: "r", Then: "power_off"}
	err = cl.Call(ctx, "command.order", o, nil)
	if e, ok := errors.AsType[*Error](err); !ok || e.Field != "confirmed" || e.Invalid != "required" {
		t.Errorf("without confirmation: %v", err)
	}
	o.Confirmed = g.Confirmed
	var cmd Command
	if err := cl.Call(ctx, "command.order", o, &cmd); err != nil || cmd.Verb != "preserve" || cmd.Then != "power_off" || cmd.ExpiresAt.IsZero() {
		t.Errorf("%+v, %v", cmd, err)
	}
	wantErr(t, cl.Call(ctx, "command.order", o, nil), act.ErrPending)
	if err := cl.Call(ctx, "endpoint.gate", Ref{Ref: "pc"}, &g); err != nil || g.Facts["gate_pending"] != cmd.ID {
		t.Errorf("%+v, %v", g, err)
	}
	if err := cl.Call(ctx, "command.withdraw", Ref{Ref: cmd.ID, Reason: "r"}, nil); err != nil {
		t.Error(err)
	}
	g = Gate{}
	if err := cl.Call(ctx, "endpoint.gate", Ref{Ref: id}, &g); err != nil || g.Facts["gate_pending"] == cmd.ID {
		t.Errorf("%+v, %v", g, err)
	}
	o.Confirmed = g.Confirmed
	if err := cl.Call(ctx, "command.order", o, &cmd); err != nil {
		t.Fatal(err)
	}
	if err := x.acts.CommandAcked(ctx, id, cmd.ID); err != nil {
		t.Fatal(err)
	}
	wantErr(t, cl.Call(ctx, "command.withdraw", Ref{Ref: cmd.ID}, nil), act.ErrTooLate)
	var boots []Boot
	if err := cl.Call(ctx, "endpoint.boots", Ref{Ref: "pc"}, &boots); err != nil || len(boots) != 0 {
		t.Errorf("%+v, %v", boots, err)
	}
}
