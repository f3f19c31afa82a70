package console

import (
	"net/http"

	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
)

type triageSettingsView struct {
	Form form
	May  bool // change them
	Said bool // somebody has set them; else the defaults count
}

// triageSettingsForm shows what of people's own the organisation lets be read.
func (s *server) triageSettingsForm(v *visit) error {
	t, said, err := s.settings.TriageScope(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	f := form{Values: map[string]string{}}
	for name, on := range map[string]bool{"private": t.Private, "histories": t.Histories} {
		if on {
			f.Values[name] = "1"
		}
	}
	p := s.page(v, "triage_settings", v.text.Text("title.triage_settings"))
	p.Here = "/settings/triage"
	return s.showStatus(v, http.StatusOK, p, triageSettingsView{Form: f, Said: said, May: v.operator.Role == operator.Owner || v.operator.Role == operator.Responsible})
}

func (s *server) triageSettings(v *visit) error {
	f, err := readForm(v, field{name: "private", max: 1, empty: true}, field{name: "histories", max: 1, empty: true})
	if err != nil {
		return err
	}
	err = s.settings.SetTriageScope(v.ctx(), v.actor, organisation.Triage{Private: f.Values["private"] == "1", Histories: f.Values["histories"] == "1"})
	if err != nil {
		return err
	}
	return s.done(v, "triage.settings.saved", "/settings/triage")
}
