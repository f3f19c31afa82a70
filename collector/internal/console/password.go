package console

import (
	"errors"
	"net/http"

	"hozen/collector/internal/act"
)

type passwordView struct {
	Form   form
	Forced bool // the password was made by somebody else and has to go
}

func (s *server) passwordForm(v *visit) error {
	return s.show(v, "password", passwordView{Form: form{}, Forced: v.operator.MustChangePassword})
}

func (s *server) changePassword(v *visit) error {
	f, err := readForm(v,
		field{name: "current", kind: secretText, max: 1024},
		field{name: "new", kind: secretText, max: 1024},
		field{name: "repeat", kind: secretText, max: 1024})
	if err != nil {
		return err
	}
	if f.ok() && f.Values["new"] != f.Values["repeat"] {
		f.Errors["repeat"] = v.text.Text("password.differs")
	}
	if f.ok() {
		err := s.people.ChangePassword(v.ctx(), v.actor, f.Values["current"], f.Values["new"])
		switch {
		case err == nil:
			if err := s.sessions.RenewToken(v.ctx()); err != nil {
				return err
			}
			return s.done(v, "password.done", "/")
		case f.refuse(v, err):
		case errors.Is(err, act.ErrLocked):
			f.Errors["current"] = v.text.Text("sign_in.wait")
		case errors.Is(err, act.ErrForbidden):
			f.Errors["current"] = v.text.Text("password.wrong")
		default:
			return err
		}
	}
	f.Values = nil // passwords are never sent back
	p := s.page(v, "password", v.text.Text("title.password"))
	return s.showStatus(v, http.StatusUnprocessableEntity, p, passwordView{Form: f, Forced: v.operator.MustChangePassword})
}
