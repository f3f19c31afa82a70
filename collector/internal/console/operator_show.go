package console

import (
	"maps"
	"net/http"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
)

type operatorShowView struct {
	Person    act.Person
	Self      bool
	Vendor    bool
	Grants    []grantView
	Incidents []incident.Incident
	Form      form
	Tomorrow  string // the first day that can be chosen
	Roles     []operator.Role
	// Change means that who looks may give the person another role, password or none.
	Change bool
	// Once is a one-time password that was just made, shown for a few minutes; Console is where
	// the person signs in with it.
	Once, Console string
}

type grantView struct {
	operator.Grant
	Number string
	Over   bool
}

func (s *server) operatorShow(v *visit) error {
	return s.showOperator(v, form{Values: map[string]string{"until": v.now.In(jst()).AddDate(0, 0, 14).Format(time.DateOnly)}}, http.StatusOK)
}

func (s *server) showOperator(v *visit, f form, status int) error {
	person, err := s.accounts.Person(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	o := person.Operator
	view := operatorShowView{Person: person, Self: o.ID == v.operator.ID, Vendor: o.Role == operator.Vendor, Form: f, Tomorrow: v.now.In(jst()).AddDate(0, 0, 1).Format(time.DateOnly)}
	view.Change = person.Reachable && !view.Self && o.DisabledAt.IsZero()
	view.Roles = rolesFor(v.operator.Role)
	if f.Values["role"] == "" {
		view.Form.Values = maps.Clone(f.Values)
		view.Form.Values["role"] = string(o.Role)
	}
	if once, about, ok := s.minted.get(v.now, v.operator.ID, v.r.URL.Query().Get("shown")); ok && about.Subject == o.ID {
		view.Once, view.Console = once, s.address(v.r)
	}
	if view.Vendor {
		if view.Incidents, err = s.incidents.Incidents(v.ctx(), v.actor); err != nil {
			return err
		}
		numbers := map[string]string{}
		for _, i := range view.Incidents {
			numbers[i.ID] = i.Number
		}
		for _, g := range person.Grants {
			view.Grants = append(view.Grants, grantView{g, nameOf(numbers, g.IncidentID), !g.Until.After(v.now)})
		}
	}
	p := s.page(v, "operator_show", plain(o.DisplayName, 80))
	p.Here = "/operators/" + o.ID
	return s.showStatus(v, status, p, view)
}

func (s *server) operatorGrant(v *visit) error {
	f, err := readForm(v, field{name: "incident", max: 64}, field{name: "until", max: 10})
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	day, err := time.ParseInLocation(time.DateOnly, f.Values["until"], jst())
	if err != nil && f.Errors["until"] == "" {
		f.Errors["until"] = v.text.Text("invalid.malformed")
	}
	if f.ok() {
		err := s.guests.GrantIncident(v.ctx(), v.actor, id, f.Values["incident"], day.AddDate(0, 0, 1)) // to the end of that day
		if err == nil {
			return s.done(v, "grant.done", "/operators/"+id)
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showOperator(v, f, http.StatusUnprocessableEntity)
}

func (s *server) operatorGrantEnd(v *visit) error {
	id := v.r.PathValue("id")
	if err := s.guests.EndGrant(v.ctx(), v.actor, id, v.r.PathValue("incident")); err != nil {
		return err
	}
	return s.done(v, "grant.ended", "/operators/"+id)
}

func (s *server) operatorSessionsEnd(v *visit) error {
	id := v.r.PathValue("id")
	if err := s.guests.EndSessionsOf(v.ctx(), v.actor, id); err != nil {
		return err
	}
	return s.done(v, "account.sessions.ended", "/operators/"+id)
}

func (s *server) operatorFactorReset(v *visit) error {
	return s.changePerson(v, "factor.reset.done", func(id string, f form) error {
		return s.guests.ResetFactor(v.ctx(), v.actor, id, f.Values["reason"])
	}, field{name: "reason", max: maxReason})
}
