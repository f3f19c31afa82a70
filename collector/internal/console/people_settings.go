package console

import (
	"net/http"
	"strings"

	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
)

type peopleSettingsView struct {
	Form  form
	Roles []roleChoice
	Owner bool // who looks is one
	Here  string
}

type roleChoice struct {
	Role  operator.Role
	Needs bool
}

// peopleSettingsForm shows what the organisation asks of its people.
func (s *server) peopleSettingsForm(v *visit) error {
	p, err := s.guests.PeopleSettings(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	return s.showPeopleSettings(v, form{Values: map[string]string{"console_url": p.ConsoleURL}}, p, http.StatusOK)
}

func (s *server) showPeopleSettings(v *visit, f form, settings organisation.People, status int) error {
	view := peopleSettingsView{Form: f, Owner: v.operator.Role == operator.Owner, Here: s.address(v.r)}
	for _, r := range operator.Roles() {
		view.Roles = append(view.Roles, roleChoice{r, settings.NeedsFactor(string(r))})
	}
	p := s.page(v, "people_settings", v.text.Text("title.people_settings"))
	p.Here = "/settings/people"
	return s.showStatus(v, status, p, view)
}

// address is how the browser reached this console.
func (s *server) address(r *http.Request) string {
	if s.secure {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (s *server) peopleSettings(v *visit) error {
	f, err := readForm(v, field{name: "console_url", max: 300, empty: true})
	if err != nil {
		return err
	}
	settings := organisation.People{ConsoleURL: strings.TrimSuffix(f.Values["console_url"], "/")}
	for _, r := range operator.Roles() {
		if v.r.PostForm.Get("factor_"+string(r)) == "1" {
			settings.FactorRoles = append(settings.FactorRoles, string(r))
		}
	}
	if f.ok() {
		err := s.guests.SetPeopleSettings(v.ctx(), v.actor, settings)
		if err == nil {
			return s.done(v, "people.settings.saved", "/settings/people")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showPeopleSettings(v, f, settings, http.StatusUnprocessableEntity)
}
