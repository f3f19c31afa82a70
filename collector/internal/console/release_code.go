package console

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strings"

	"hozen/collector/internal/act"
	"hozen/internal/releasecode"
)

// keyCode is the session's name of the ticket that shows one release code once.
const keyCode = "release_code"

type releaseCodeView struct {
	Endpoint endpointView
	Form     form
	Ticket   string
	Two      bool // another person must have asked for the release
	None     bool // there is no code
	Alone    bool // no other person has asked for it
	Stale    bool // the page was sent again
	Number   string
	Groups   []string // of the code; empty before it is shown
	Shown    act.ShownCode
}

// releaseCodeForm asks why somebody wants to see a release code.
func (s *server) releaseCodeForm(v *visit) error {
	if !abilitiesOf(v.operator.Role).Order {
		return act.ErrForbidden
	}
	return s.showReleaseCode(v, releaseCodeView{}, http.StatusOK)
}

func (s *server) showReleaseCode(v *visit, view releaseCodeView, status int) error {
	e, err := s.endpoints.Endpoint(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	settings, err := s.settings.IsolationSettings(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view.Endpoint, view.Two = viewEndpoint(e, v.now), settings.TwoPersons
	if len(view.Groups) == 0 {
		view.Ticket = rand.Text()
		s.sessions.Put(v.ctx(), keyCode, view.Ticket)
	}
	p := s.page(v, "release_code", v.text.Text("title.release_code"))
	p.Here = "/endpoints/" + e.ID + "/release-code"
	return s.showStatus(v, status, p, view)
}

// releaseCode answers with the code in this one page. It is in no address and in no
// store, and a page that is sent again has no ticket any more.
func (s *server) releaseCode(v *visit) error {
	f, err := readForm(v, field{name: "number", max: 64}, field{name: "reason", max: maxReason}, field{name: "ticket", max: 64})
	if err != nil {
		return err
	}
	view := releaseCodeView{Form: f}
	if f.Errors["ticket"] != "" || s.sessions.PopString(v.ctx(), keyCode) != f.Values["ticket"] {
		view.Stale = true
		return s.showReleaseCode(v, view, http.StatusConflict)
	}
	if !f.ok() {
		return s.showReleaseCode(v, view, http.StatusUnprocessableEntity)
	}
	if n, err := releasecode.ParseNumber(f.Values["number"]); err == nil {
		f.Values["number"] = n
	}
	shown, err := s.isolation.ShowReleaseCode(v.ctx(), v.actor, v.r.PathValue("id"), f.Values["number"], f.Values["reason"])
	_, alone := errors.AsType[*act.SecondPerson](err)
	switch {
	case alone:
		view.Alone = true
		return s.showReleaseCode(v, view, http.StatusConflict)
	case errors.Is(err, act.ErrNotFound):
		view.None = true // a wrong endpoint is told of by what follows
		return s.showReleaseCode(v, view, http.StatusNotFound)
	case err != nil:
		if f.refuse(v, err) {
			return s.showReleaseCode(v, view, http.StatusUnprocessableEntity)
		}
		return err
	}
	view.Shown, view.Groups = shown, strings.Split(shown.Code, "-")
	return s.showReleaseCode(v, view, http.StatusOK)
}
