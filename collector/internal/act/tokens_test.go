package act_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
)

// token makes a token for a program and returns on whose behalf it acts.
func (x *fixture) token(a act.Actor, scopes ...act.Scope) (actor act.Actor, t operator.Token, secret string) {
	x.t.Helper()
	t, secret, err := x.MakeAPIToken(x.t.Context(), a, act.NewAPIToken{Name: "監視", Scopes: scopes, Life: 24 * time.Hour})
	ok(x.t, err)
	actor, _, err = x.ActorOfToken(x.t.Context(), secret, "192.0.2.9")
	ok(x.t, err)
	return actor, t, secret
}

func TestTokenActsForItsMaker(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		a, tok, secret := x.token(x.owner, act.ScopeRecord, act.ScopeRead, act.ScopeRead)
		if got := strings.Join(tok.Scopes, " "); got != "read record" {
			t.Errorf("scopes %q", got)
		}
		inc, err := x.OpenIncident(ctx, a, act.NewIncident{Title: "t"})
		ok(t, err)
		list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: inc.ID})
		ok(t, err)
		if e := list[0]; e.ActorID != x.owner.ID || e.ActorName != "社長 (API: 監視)" || e.Details["api_token"] != tok.ID {
			t.Errorf("the ledger has %+v", e)
		}
		if got := x.acts(tok.ID); !slices.Equal(got, []string{"operator.make_token"}) {
			t.Errorf("of the token the ledger has %v", got)
		}
		var n int
		ok(t, x.db.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM operator_token WHERE secret_sha256 = $1 OR name = $1 OR id = $1`, secret).Scan(&n))
		if n != 0 || !strings.HasPrefix(secret, operator.TokenPrefix) || len(secret) < 30 {
			t.Errorf("the secret %q is stored, or short", secret)
		}
		all, err := x.APITokens(ctx, x.owner)
		ok(t, err)
		if len(all) != 1 || !all[0].Stands || all[0].By.ID != x.owner.ID || all[0].UsedFrom != "192.0.2.9" || all[0].UsedAt.IsZero() {
			t.Errorf("%+v", all)
		}
		x.ledgerStands()
	})
}

func TestTokensThatAreNotMade(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		for _, c := range []struct {
			n           act.NewAPIToken
			field, code string
		}{
			{act.NewAPIToken{Scopes: []act.Scope{act.ScopeRead}, Life: time.Hour}, "name", "required"},
			{act.NewAPIToken{Name: strings.Repeat("x", 65), Scopes: []act.Scope{act.ScopeRead}, Life: time.Hour}, "name", "too_long"},
			{act.NewAPIToken{Name: "n", Life: time.Hour}, "scopes", "required"},
			{act.NewAPIToken{Name: "n", Scopes: []act.Scope{"everything"}, Life: time.Hour}, "scopes", "unknown"},
			{act.NewAPIToken{Name: "n", Scopes: []act.Scope{act.ScopeRead}, Life: time.Minute}, "life", "range"},
			{act.NewAPIToken{Name: "n", Scopes: []act.Scope{act.ScopeRead}, Life: 400 * 24 * time.Hour}, "life", "range"},
		} {
			_, _, err := x.MakeAPIToken(ctx, x.owner, c.n)
			wantInvalid(t, err, c.field, c.code)
		}
		_, _, err := x.MakeAPIToken(ctx, act.Actor{Kind: act.ByLocal, BreakGlass: "because"}, act.NewAPIToken{Name: "n", Scopes: []act.Scope{act.ScopeRead}, Life: time.Hour})
		wantErr(t, err, act.ErrForbidden)
		for _, secret := range []string{"", "x", operator.TokenPrefix, operator.TokenPrefix + "AAAA", operator.TokenPrefix + strings.Repeat("A", 1000), "' OR ''='"} {
			if _, _, err := x.ActorOfToken(ctx, secret, "a"); !errors.Is(err, act.ErrNoToken) {
				t.Errorf("%.20q: %v", secret, err)
			}
		}
	})
}

// TestTokenDies goes through everything that ends a token. An actor that was found before
// may do nothing more either.
func TestTokenDies(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		for name, end := range map[string]func(p act.Actor, t operator.Token) error{
			"ended":           func(p act.Actor, t operator.Token) error { return x.EndAPIToken(ctx, p, t.ID) },
			"ended by owner":  func(_ act.Actor, t operator.Token) error { return x.EndAPIToken(ctx, x.owner, t.ID) },
			"person disabled": func(p act.Actor, _ operator.Token) error { return x.DisableOperator(ctx, x.owner, p.ID) },
			"password reset": func(p act.Actor, _ operator.Token) error {
				_, err := x.ResetPassword(ctx, x.owner, p.ID)
				return err
			},
			"password changed": func(p act.Actor, _ operator.Token) error {
				return x.ChangePassword(ctx, p, "a long password of pxyz", "quite another one 42")
			},
			"sessions ended": func(p act.Actor, _ operator.Token) error { return x.EndSessionsOf(ctx, x.owner, p.ID) },
			"factor reset": func(p act.Actor, _ operator.Token) error {
				x.factor(p)
				return x.ResetFactor(ctx, x.owner, p.ID, "lost")
			},
			"factor set up":        func(p act.Actor, _ operator.Token) error { x.factor(p); return nil },
			"other sessions ended": func(p act.Actor, _ operator.Token) error { return x.EndOtherSessions(ctx, p, "") },
			"role changed": func(p act.Actor, _ operator.Token) error {
				return x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
					_, err := tx.ExecContext(ctx, `UPDATE operator_operator SET role = 'handler' WHERE id = $1`, p.ID)
					return err
				})
			},
			"expired": func(act.Actor, operator.Token) error { x.clock = x.clock.Add(25 * time.Hour); return nil },
		} {
			p := x.person("p-"+strings.ReplaceAll(name, " ", "-"), operator.Responsible)
			a, tok, secret := x.token(p, act.ScopeRead)
			if _, err := x.Endpoints(ctx, a); err != nil {
				t.Fatalf("%s: before: %v", name, err)
			}
			if err := end(p, tok); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, _, err := x.ActorOfToken(ctx, secret, "a"); !errors.Is(err, act.ErrNoToken) {
				t.Errorf("%s: the token is still good: %v", name, err)
			}
			if _, err := x.Endpoints(ctx, a); !errors.Is(err, act.ErrForbidden) {
				t.Errorf("%s: who held the token may go on: %v", name, err)
			}
			all, err := x.APITokens(ctx, x.owner)
			ok(t, err)
			if all[0].Stands {
				t.Errorf("%s: the list shows it in force", name)
			}
		}
	})
}

// TestTokenEndsWithTheFactor: what was made while there was a second factor goes with it.
func TestTokenEndsWithTheFactor(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		_, recovery := x.factor(x.owner)
		_, _, secret := x.token(x.owner, act.ScopeRead)
		ok(t, x.RemoveFactor(t.Context(), x.owner, recovery[0], "192.0.2.9"))
		if _, _, err := x.ActorOfToken(t.Context(), secret, "a"); !errors.Is(err, act.ErrNoToken) {
			t.Errorf("the token is still good: %v", err)
		}
	})
}

// reached says which acts a scope reaches, and reading all that a mere viewer may see besides;
// those that are in none no token does, whatever acts there will be.
func reached() map[act.Scope][]string {
	return map[act.Scope][]string{
		act.ScopeRead:     {"LedgerEntries", "LedgerProof", "LedgerSigned", "LedgerConsistency", "LedgerTimestamp", "LedgerTimestamps", "LedgerCosign"},
		act.ScopeEvidence: {"OpenEvidence", "OpenUpload", "SearchEvidence", "EvidenceSearch", "EvidenceSearches", "CancelEvidenceSearch"},
		act.ScopeRecord:   {"AddNote", "OpenIncident", "CloseIncident", "CloseIncidentAs", "ReopenIncident", "MergeIncident", "SplitIncident", "LabelEndpoint", "PlaceEndpoint", "NotADrill"},
		act.ScopeAcquire:  {"Acquire", "Sticks"},
		act.ScopeIsolate:  {"Isolate", "StepDrill", "PreviewGroup", "GroupWaiting", "GroupsWaiting"},
		act.ScopeRelease:  {"Release"},
	}
}

// TestEveryActByEveryScope calls every act with a token of each scope alone, made by an owner.
func TestEveryActByEveryScope(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.enrolled("pc-1")
		inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{p.id}})
		ok(t, err)
		acts, table := reflect.ValueOf(x.Acts), reached()
		for _, scope := range act.Scopes() {
			a, _, _ := x.token(x.owner, scope)
			for i := range acts.NumMethod() {
				name, m := acts.Type().Method(i).Name, acts.Method(i)
				if m.Type().NumIn() < 2 || m.Type().In(1) != reflect.TypeFor[act.Actor]() || may()[name] == "local" {
					continue
				}
				before := 0
				who := may()[name]
				in := slices.Contains(table[scope], name) || scope == act.ScopeRead && (who == "orhvax" || who == "orhva")
				if !in {
					before = len(x.acts(""))
				}
				err := call(x, name, m, a, inc.ID)
				refused := errors.Is(err, act.ErrForbidden)
				switch {
				case in && refused:
					t.Errorf("%s by %s: %v", name, scope, err)
				case !in && !refused && !errors.Is(err, act.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported):
					t.Errorf("%s by %s is not refused: %v", name, scope, err)
				case !in && len(x.acts("")) != before:
					t.Errorf("%s by %s left something in the ledger", name, scope)
				}
			}
		}
		x.ledgerStands()
	})
}

// TestTokenIsNoPerson: what takes two persons, no program agrees to, not even where there is
// only one person; and the words of decisions and enquiries it does not read.
func TestTokenIsNoPerson(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.connected("pc")
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{TwoPersons: true}))
		a, _, _ := x.token(x.owner, act.ScopeRelease, act.ScopeRead)
		waits := func(who act.Actor, askedBy string) {
			t.Helper()
			_, err := x.Release(ctx, who, p.id, act.Order{Reason: "because"})
			second, is := errors.AsType[*act.SecondPerson](err)
			if !is || second.Asked.AskedBy != askedBy {
				t.Fatalf("released, or asked by another: %v", err)
			}
		}
		waits(a, x.owner.ID) // the only person there is
		waits(a, x.owner.ID)
		other := x.person("other", operator.Responsible)
		b, _, _ := x.token(other, act.ScopeRelease)
		waits(b, x.owner.ID) // of another person, and yet nobody
		if _, err := x.Release(ctx, other, p.id, act.Order{Reason: "because"}); err != nil {
			t.Errorf("the person at the console: %v", err)
		}
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		_, err = x.RecordDecision(ctx, x.owner, inc.ID, record.Decision{Kind: record.DecideOther, Options: "o", Facts: "f", Decision: "secret", Reason: "r", Decider: "s"})
		ok(t, err)
		list, err := x.Timeline(ctx, a, inc.ID)
		ok(t, err)
		if n := slices.IndexFunc(list, func(e incident.Entry) bool { return e.Kind == incident.EntryDecision }); n < 0 || list[n].Text != "" {
			t.Errorf("the program reads %+v", list)
		}
		x.own = true
		c, _, _ := x.token(x.owner, act.ScopeIsolate)
		if _, err := x.Isolate(ctx, c, p.id, act.Order{Reason: "because"}); !errors.Is(err, act.ErrConflict) {
			t.Errorf("a program cuts the collector off: %v", err)
		}
	})
}
