package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/act"
)

// tokenDays are the choices of how long a token for programs is good, in days.
func tokenDays() []int { return []int{1, 30, 90, 365} }

// maxEndedTokens bounds how many tokens are shown that are over.
const maxEndedTokens = 20

type apiTokensView struct {
	Form   form
	Days   []int
	Scopes []scopeChoice
	Tokens []act.APIToken // in force first
	Secret string         // of the token that was just made, shown once
	Base   string         // address of the interface
}

type scopeChoice struct {
	Scope  act.Scope
	Chosen bool
}

// apiTokensForm shows the tokens with which programs act, and the one that was just made.
func (s *server) apiTokensForm(v *visit) error {
	secret, _, _ := s.minted.get(v.now, v.operator.ID, v.r.URL.Query().Get("token"))
	return s.showAPITokens(v, http.StatusOK, form{Values: map[string]string{"days": "90"}}, []act.Scope{act.ScopeRead}, secret)
}

func (s *server) showAPITokens(v *visit, status int, f form, chosen []act.Scope, secret string) error {
	all, err := s.tokens.APITokens(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := apiTokensView{Form: f, Days: tokenDays(), Secret: secret, Base: s.address(v.r) + "/api/v1"}
	for _, sc := range act.Scopes() {
		if sc.Usable(v.actor) {
			view.Scopes = append(view.Scopes, scopeChoice{sc, slices.Contains(chosen, sc)})
		}
	}
	for _, t := range all {
		if t.Stands {
			view.Tokens = append(view.Tokens, t)
		}
	}
	over := 0
	for _, t := range all {
		if over < maxEndedTokens && !t.Stands {
			view.Tokens = append(view.Tokens, t)
			over++
		}
	}
	p := s.page(v, "api_tokens", v.text.Text("title.api_tokens"))
	p.Here = "/settings/tokens"
	return s.showStatus(v, status, p, view)
}

func (s *server) apiTokenMake(v *visit) error {
	f, err := readForm(v, field{name: "name", max: 64}, field{name: "days", max: 4}, field{name: "password", kind: secretText, max: 1024})
	if err != nil {
		return err
	}
	days, err := strconv.Atoi(f.Values["days"])
	if err != nil || !slices.Contains(tokenDays(), days) {
		f.Errors["days"] = v.text.Text("invalid.range")
	}
	var chosen []act.Scope
	for _, sc := range act.Scopes() {
		if v.r.PostForm.Get("scope_"+string(sc)) == "1" {
			chosen = append(chosen, sc)
		}
	}
	if f.ok() {
		t, secret, err := s.tokens.MakeAPITokenProved(v.ctx(), v.actor, f.Values["password"], act.NewAPIToken{Name: f.Values["name"], Scopes: chosen, Life: time.Duration(days) * 24 * time.Hour})
		if err == nil {
			id := s.minted.put(v.now, v.operator.ID, secret, mintedAbout{TokenID: t.ID, ExpiresAt: t.ExpiresAt})
			return redirect(v, "/settings/tokens?token="+url.QueryEscape(id))
		}
		if errors.Is(err, act.ErrLocked) {
			f.Errors["password"] = v.text.Text("sign_in.wait")
		} else if !f.refuse(v, err) {
			return err
		}
	}
	delete(f.Values, "password") // never sent back
	return s.showAPITokens(v, http.StatusUnprocessableEntity, f, chosen, "")
}

func (s *server) apiTokenEnd(v *visit) error {
	if err := s.tokens.EndAPIToken(v.ctx(), v.actor, v.r.PathValue("id")); err != nil {
		return err
	}
	return s.done(v, "api_token.ended", "/settings/tokens")
}
