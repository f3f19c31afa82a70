package api

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/pki"
)

// fixture is a collector behind the interface, with one incident, one PC and its evidence.
type fixture struct {
	*act.Acts
	t        *testing.T
	db       *sqldb.DB
	handler  http.Handler
	clock    time.Time // of the limits alone
	owner    act.Actor
	endpoint string
	incident string
	evidence evidence.Item
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// generous never makes anybody wait.
var generous = Limits{AddressRate: 1e6, AddressBurst: 1e6, TokenRate: 1e6, TokenBurst: 1e6, OrderRate: 1e6, OrderBurst: 1e6}

func newFixture(t *testing.T, db *sqldb.DB, limits Limits) *fixture {
	t.Helper()
	x := &fixture{t: t, db: db, clock: time.Now()}
	ctx := t.Context()
	ca, err := pki.NewCA("test", time.Now())
	must(t, err)
	dir := t.TempDir()
	blobs, err := fsblob.Open(filepath.Join(dir, "blobs"))
	must(t, err)
	log, err := checkpoint.Open(ctx, checkpoint.Config{DB: db, KeyFile: filepath.Join(dir, "ledger.key"), Dir: filepath.Join(dir, "notes"), Name: "hozen-custody/test"})
	must(t, err)
	x.Acts, err = act.New(act.Config{Scan: manyScans(), DB: db, CA: ca, Hub: act.NewHub(), Blobs: blobs, Checkpoints: log, Addresses: []string{"192.0.2.1:7443"}, PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}})
	must(t, err)
	o, once, err := x.Found(ctx, "組織", act.NewOperator{Name: "owner", DisplayName: "社長"})
	must(t, err)
	x.owner = act.Actor{Kind: act.ByOperator, ID: o.ID}
	must(t, x.ChangePassword(ctx, x.owner, once, "correct horse battery"))
	key, err := pki.NewKey()
	must(t, err)
	der, _, err := ca.IssueCollector([]string{"collector.test"}, nil, key.Public(), time.Now())
	must(t, err)
	intake, err := evidence.OpenIntake(evidence.Config{DB: db, Blobs: blobs, Incoming: filepath.Join(dir, "incoming"), Verifier: x.Acts, Tie: x.Tie, OnAccepted: x.OnAccepted,
		OnRefused: x.OnRefused, Signer: key, Certificate: der, CollectorName: "test", CASHA256: digest.Of(ca.Certificate().Raw).String(), MinFree: 1})
	must(t, err)
	x.sends(intake)
	x.handler, err = New(Config{Acts: x.Acts, Version: "0.1.0", Limits: limits, Now: func() time.Time { return x.clock }})
	must(t, err)
	return x
}

// sends enrols a PC, opens an incident and has the PC's evidence in it.
func (x *fixture) sends(intake *evidence.Intake) {
	t, ctx := x.t, x.t.Context()
	m, err := x.MintToken(ctx, x.owner, act.NewToken{Auto: true})
	must(t, err)
	tok, err := pki.ParseToken(m.Text)
	must(t, err)
	key, err := pki.NewKey()
	must(t, err)
	csr, err := pki.NewCSR(key)
	must(t, err)
	r, err := x.Enroll(ctx, act.EnrollCall{Secret: tok.Secret, CSR: csr, Host: endpoint.Description{Hostname: "pc-1", OS: "linux"}, RemoteAddr: "192.0.2.7"})
	must(t, err)
	x.endpoint = r.EndpointID
	inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "不審な動作 <b>", EndpointIDs: []string{r.EndpointID}})
	must(t, err)
	x.incident = inc.ID
	pc := evidencetest.Endpoint{ID: r.EndpointID, Key: key, Certificate: r.Certificate}
	a := pc.Acquisition(t, 1, artifact.KindProcess)
	a.Manifest.CommandID = ""
	pc.Sign(t, a)
	_, err = evidencetest.Send(ctx, intake, r.EndpointID, a)
	must(t, err)
	items, err := x.Evidence(ctx, x.owner, inc.ID)
	must(t, err)
	if len(items) == 0 {
		t.Fatal("no evidence arrived")
	}
	x.evidence = items[0]
}

// token makes a token of the owner's.
func (x *fixture) token(scopes ...act.Scope) string {
	x.t.Helper()
	_, secret, err := x.MakeAPIToken(x.t.Context(), x.owner, act.NewAPIToken{Name: "test", Scopes: scopes, Life: time.Hour})
	must(x.t, err)
	return secret
}

type answer struct {
	code    int
	header  http.Header
	body    string
	problem problem
}

// ask sends a request; change alters it. Optional.
func (x *fixture) ask(method, path, token, body string, change func(*http.Request)) answer {
	x.t.Helper()
	r := httptest.NewRequestWithContext(x.t.Context(), method, Prefix+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	x.handler.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	must(x.t, err)
	a := answer{code: w.Code, header: w.Header(), body: string(b)}
	if a.code >= 400 {
		if got := a.header.Get("Content-Type"); got != "application/problem+json" {
			x.t.Errorf("%s %s: %d as %q", method, path, a.code, got)
		}
		must(x.t, json.Unmarshal(b, &a.problem))
		if a.problem.Status != a.code || a.problem.Type != "urn:hozen:problem:"+a.problem.Code || a.problem.Title == "" {
			x.t.Errorf("%s %s: %s", method, path, b)
		}
	}
	return a
}

// manyScans lets searches in evidence go on beside each other as fast as tests begin them.
func manyScans() act.ScanBounds {
	b := act.DefaultScanBounds()
	b.AtOnce = 100
	return b
}

// searched is a search of the owner's that has ended.
func (x *fixture) searched() string {
	x.t.Helper()
	f, err := x.SearchEvidence(x.t.Context(), x.owner, act.NewEvidenceSearch{Text: "e"})
	must(x.t, err)
	<-f.Finished
	return f.ID
}
