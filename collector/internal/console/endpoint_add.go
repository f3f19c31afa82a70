package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/enroll"
)

// lifetimes are the choices of how long a token is good, in hours.
func lifetimes() []int { return []int{1, 24, 168} }

type endpointAddView struct {
	Form      form
	Lifetimes []int
	Tokens    []enroll.Token // that can still be used
	Requests  []enroll.Request
	Secret    string // the token that was just made, shown once
	About     mintedAbout

	Installers        []installer
	Windows, Deb, RPM string // the names of those to be used; empty: there is none
}

func (s *server) endpointAddView(v *visit, f form) (endpointAddView, error) {
	view := endpointAddView{Form: f, Lifetimes: lifetimes()}
	tokens, err := s.enrolment.Tokens(v.ctx(), v.actor)
	if err != nil {
		return view, err
	}
	for _, t := range tokens {
		if t.RevokedAt.IsZero() && v.now.Before(t.ExpiresAt) && t.Uses < max(t.MaxUses, 1) {
			view.Tokens = append(view.Tokens, t)
		}
	}
	if view.Installers, err = s.installers(); err != nil {
		return view, err
	}
	view.Windows, view.Deb, view.RPM = forWindows(view.Installers, string(v.text.Language())), first(view.Installers, "deb"), first(view.Installers, "rpm")
	view.Requests, err = s.waiting(v)
	return view, err
}

func (s *server) endpointAddForm(v *visit) error {
	view, err := s.endpointAddView(v, form{Values: map[string]string{"hours": "24", "uses": "1"}})
	if err != nil {
		return err
	}
	view.Secret, view.About, _ = s.minted.get(v.now, v.operator.ID, v.r.URL.Query().Get("token"))
	p := s.page(v, "endpoint_add", v.text.Text("title.endpoint_add"))
	p.Live = "all=1"
	return s.showStatus(v, http.StatusOK, p, view)
}

func (s *server) endpointAdd(v *visit) error {
	f, err := readForm(v,
		field{name: "hours", max: 8},
		field{name: "uses", max: 8},
		field{name: "note", max: 256, empty: true},
		field{name: "auto", max: 8, empty: true})
	if err != nil {
		return err
	}
	hours, err := strconv.Atoi(f.Values["hours"])
	if err != nil || hours < 1 || hours > 30*24 {
		f.Errors["hours"] = v.text.Text("invalid.range")
	}
	uses, err := strconv.Atoi(f.Values["uses"])
	if err != nil || uses < 1 || uses > 10_000 {
		f.Errors["uses"] = v.text.Text("invalid.range")
	}
	if f.ok() {
		m, err := s.enrolment.MintToken(v.ctx(), v.actor, act.NewToken{
			Auto: f.Values["auto"] == "1", TTL: time.Duration(hours) * time.Hour, MaxUses: uses, Note: f.Values["note"],
		})
		if err == nil {
			id := s.minted.put(v.now, v.operator.ID, m.Text, mintedAbout{TokenID: m.Token.ID, Auto: m.Token.Auto, ExpiresAt: m.Token.ExpiresAt, MaxUses: max(m.Token.MaxUses, 1)})
			return redirect(v, "/endpoints/add?token="+url.QueryEscape(id))
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	view, err := s.endpointAddView(v, f)
	if err != nil {
		return err
	}
	return s.showStatus(v, http.StatusUnprocessableEntity, s.page(v, "endpoint_add", v.text.Text("title.endpoint_add")), view)
}

func (s *server) tokenRevoke(v *visit) error {
	if err := s.enrolment.RevokeToken(v.ctx(), v.actor, v.r.PathValue("id")); err != nil {
		return err
	}
	return s.done(v, "token.revoked", "/endpoints/add")
}
