package console

import (
	"net/http"
	"net/url"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
)

type operatorNewView struct {
	Form  form
	Roles []operator.Role
}

// rolesFor are the roles that somebody may give.
func rolesFor(by operator.Role) []operator.Role {
	all := operator.Roles()
	if by == operator.Owner {
		return all
	}
	return all[1:] // nobody reaches above their own
}

func (s *server) operatorNewForm(v *visit) error {
	return s.showOperatorNew(v, form{Values: map[string]string{"role": string(operator.Handler)}}, http.StatusOK)
}

func (s *server) showOperatorNew(v *visit, f form, status int) error {
	if !abilitiesOf(v.operator.Role).People {
		return act.ErrForbidden
	}
	p := s.page(v, "operator_new", v.text.Text("title.operator_new"))
	p.Here = "/operators/new"
	return s.showStatus(v, status, p, operatorNewView{f, rolesFor(v.operator.Role)})
}

// operatorNew adds a person and shows the one-time password on the page of the person.
func (s *server) operatorNew(v *visit) error {
	f, err := readForm(v, field{name: "name", max: operator.MaxName}, field{name: "display_name", max: operator.MaxDisplayName, empty: true}, field{name: "role", max: 32})
	if err != nil {
		return err
	}
	if f.ok() {
		o, once, err := s.staff.AddOperator(v.ctx(), v.actor, act.NewOperator{Name: f.Values["name"], DisplayName: f.Values["display_name"], Role: operator.Role(f.Values["role"])})
		if err == nil {
			return s.handOver(v, o.ID, once, "operator.added")
		}
		if !f.refuse(v, err) {
			return err
		}
		if f.Errors["name"] != "" {
			f.Errors["name"] += " " + v.text.Text("operator.name.hint")
		}
	}
	return s.showOperatorNew(v, f, http.StatusUnprocessableEntity)
}

// handOver leads to the page of a person, which shows a one-time password for a few minutes.
func (s *server) handOver(v *visit, operatorID, once, flash string) error {
	return s.done(v, flash, "/operators/"+operatorID+"?shown="+url.QueryEscape(s.minted.put(v.now, v.operator.ID, once, mintedAbout{Subject: operatorID})))
}

func (s *server) operatorRole(v *visit) error {
	return s.changePerson(v, "operator.role.changed", func(id string, f form) error {
		return s.staff.SetRole(v.ctx(), v.actor, id, operator.Role(f.Values["role"]))
	}, field{name: "role", max: 32})
}

func (s *server) operatorDisable(v *visit) error {
	return s.changePerson(v, "operator.disabled", func(id string, _ form) error {
		return s.staff.DisableOperator(v.ctx(), v.actor, id)
	}, field{name: "sure", max: 8})
}

func (s *server) operatorPassword(v *visit) error {
	var once string
	id := v.r.PathValue("id")
	f, err := readForm(v)
	if err == nil {
		once, err = s.staff.ResetPassword(v.ctx(), v.actor, id)
	}
	switch {
	case err == nil:
		return s.handOver(v, id, once, "operator.password.reset.done")
	case f.refuse(v, err):
		return s.showOperator(v, f, http.StatusUnprocessableEntity)
	}
	return err
}

// changePerson does something to a person that a form with some fields asks for.
func (s *server) changePerson(v *visit, flash string, do func(id string, f form) error, fields ...field) error {
	f, err := readForm(v, fields...)
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if f.ok() {
		err := do(id, f)
		if err == nil {
			return s.done(v, flash, "/operators/"+id)
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showOperator(v, f, http.StatusUnprocessableEntity)
}
