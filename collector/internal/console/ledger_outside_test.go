package console

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/cosign"
	"hozen/collector/internal/timestamp"
)

// outsiders are an authority and witnesses in one state each.
type outsiders struct {
	status act.OutsideStatus
	tokens []timestamp.Token
	fails  error
}

func (o *outsiders) OutsideStatus(context.Context) (act.OutsideStatus, error) {
	return o.status, nil
}

func (o *outsiders) LedgerTimestamp(context.Context, act.Actor) (timestamp.Token, error) {
	return timestamp.Token{}, o.fails
}

func (o *outsiders) LedgerTimestamps(_ context.Context, _ act.Actor, before int64, limit int) (list []timestamp.Token, err error) {
	for _, t := range o.tokens {
		if (before == 0 || t.LedgerIdx < before) && len(list) < limit {
			list = append(list, t)
		}
	}
	return list, nil
}

func (o *outsiders) LedgerCosign(context.Context, act.Actor, string) (act.Cosigned, error) {
	return act.Cosigned{}, o.fails
}

// with puts others in place of those outside.
func (x *site) with(o outside) {
	x.t.Helper()
	s, err := build(Config{Acts: x.Acts, Sessions: x.sessions, Now: x.now})
	must(x.t, err)
	s.outside = o
	x.server = httptest.NewServer(s.routes())
	x.t.Cleanup(x.server.Close)
}

// Who outside speaks for the ledger is shown with what failed and what to do.
func TestThoseOutsideInTheConsole(t *testing.T) {
	x := newSite(t)
	b := x.as("owner", "ja")
	b.get("/ledger").want(t, 200, "/ledger/outside")
	b.get("/ledger/outside").want(t, 200, "時刻認証局は設定されていません", "連署者は設定されていません").lacks(t, "今すぐ")
	b.post("/ledger/outside/timestamp", nil).want(t, http.StatusConflict, "受け取れませんでした", "url in [timestamp]")
	b.post("/ledger/outside/cosign", nil).want(t, http.StatusConflict, "witnesses in [ledger]")

	at := x.now().Add(-2 * time.Hour)
	me, err := x.OperatorByID(t.Context(), x.owner.ID)
	must(t, err)
	o := &outsiders{status: act.OutsideStatus{Timestamp: &timestamp.Status{Authority: "https://tsa.example.jp/" + evil, Newest: at, Size: 42}, Witnesses: []cosign.Status{
		{OrganisationID: me.OrganisationID, Witness: "w1.example/good", URL: "https://w1.example/", At: at, Size: 40},
		{OrganisationID: me.OrganisationID, Witness: "w2.example/bad", URL: "https://w2.example/", Failing: "connection refused " + evil, Since: at},
		{OrganisationID: me.OrganisationID, Witness: "w3.example/ahead", URL: "https://w3.example/", Failing: "409", Ahead: true, Since: at},
		{OrganisationID: me.OrganisationID, Witness: "w4.example/paper"},
		{OrganisationID: "org_other", Witness: "w5.example/foreign"},
	}}, tokens: []timestamp.Token{{LedgerIdx: 9, Size: 9, Note: "note", Response: []byte("der"), ChainPEM: "pem", At: at, Reason: timestamp.ByClock}, {LedgerIdx: 4, Size: 4, Note: "older", At: at, Reason: timestamp.ForExport}}}
	x.with(o)
	for lang, words := range map[string][]string{
		"ja": {"台帳 42 件まで", "w1.example/good", "connection refused", "いまの台帳より先を見ています", "専門家に相談", "人が検証点を届け", "openssl ts -verify", "定期", "証拠パッケージ"},
		"en": {"42 entries of the ledger", "Ask for signatures now", "has seen more than there is", "ask an expert", "a person takes the checkpoint there"},
	} {
		r := x.as("owner", lang).get("/ledger/outside").want(t, 200, words...)
		r.lacks(t, "w5.example")
		inertPage(t, "/ledger/outside", r)
	}
	b = x.as("owner", "ja")
	for file, want := range map[string]string{"checkpoint.txt": "note", "token.tsr": "der", "ca.pem": "pem"} {
		if r := b.get("/ledger/outside/9/"+file).want(t, 200); r.body != want {
			t.Errorf("%s: %q", file, r.body)
		}
	}
	for _, p := range []string{"/ledger/outside/8/token.tsr", "/ledger/outside/9/key.pem", "/ledger/outside/x/token.tsr", "/ledger/outside/-1/token.tsr"} {
		b.get(p).want(t, http.StatusNotFound)
	}
	b.post("/ledger/outside/timestamp", nil).want(t, http.StatusSeeOther)
	b.post("/ledger/outside/cosign", nil).want(t, http.StatusSeeOther)
	o.fails, o.status.Timestamp.Failing, o.status.Timestamp.Since = errors.New("the authority said no"), "no", at
	b.post("/ledger/outside/timestamp", nil).want(t, http.StatusBadGateway, "the authority said no", "取得できていません", "すること")
	x.person("seer", "閲覧", "viewer")
	v := x.as("seer", "ja")
	v.get("/ledger/outside").want(t, http.StatusForbidden)
}
