package console

import (
	"errors"
	"net/http"
	"strings"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
)

type accountView struct {
	Account act.Account
	Current string // identifier of this session
	Form    form
}

// account shows somebody's own account: the second factor, the address for notices, and
// where one is signed in.
func (s *server) account(v *visit) error {
	return s.showAccount(v, nil, http.StatusOK)
}

func (s *server) showAccount(v *visit, f *form, status int) error {
	a, err := s.accounts.OwnAccount(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := accountView{Account: a, Current: s.sessions.GetString(v.ctx(), operator.SessionID), Form: form{Values: map[string]string{"address": a.Operator.Address}}}
	if f != nil {
		view.Form = *f
	}
	p := s.page(v, "account", v.text.Text("title.account"))
	p.Here = "/account"
	return s.showStatus(v, status, p, view)
}

func (s *server) accountAddress(v *visit) error {
	f, err := readForm(v, field{name: "address", max: 254, empty: true})
	if err != nil {
		return err
	}
	if f.ok() {
		err := s.accounts.SetOwnAddress(v.ctx(), v.actor, f.Values["address"])
		if err == nil {
			return s.done(v, "account.address.saved", "/account")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showAccount(v, &f, http.StatusUnprocessableEntity)
}

func (s *server) sessionEnd(v *visit) error {
	if err := s.accounts.EndOwnSession(v.ctx(), v.actor, v.r.PathValue("id")); err != nil {
		return err
	}
	return s.done(v, "account.session.ended", "/account#sessions")
}

func (s *server) sessionsEnd(v *visit) error {
	if err := s.accounts.EndOtherSessions(v.ctx(), v.actor, s.sessions.GetString(v.ctx(), operator.SessionID)); err != nil {
		return err
	}
	return s.done(v, "account.sessions.ended", "/account#sessions")
}

type factorView struct {
	Form   form
	Since  bool // there is a second factor
	Needed bool
	Name   string // to sign in with
	Left   int
	// Key and Picture are of the key that waits to be confirmed; empty: none does.
	Key     string
	Picture qrPicture
	// Recovery are codes that were just made, shown once.
	Recovery []string
}

func (s *server) factor(v *visit) error { return s.showFactor(v, form{}, http.StatusOK) }

func (s *server) showFactor(v *visit, f form, status int) error {
	a, err := s.accounts.OwnAccount(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := factorView{Form: f, Name: a.Operator.Name, Since: !a.Operator.FactorSince.IsZero(), Needed: a.Needed, Left: a.RecoveryLeft}
	begun := s.sessions.GetBool(v.ctx(), keyFactorBegun) && v.r.URL.Query().Get("again") == ""
	if a.Begun && begun { // whoever else is signed in as this person has not given the password
		key, err := s.factors.FactorBegun(v.ctx(), v.actor)
		if err != nil && !errors.Is(err, act.ErrNotFound) {
			return err
		}
		if err == nil {
			if view.Picture, err = makeQR(operator.FactorURL("Hozen", a.Operator.Name, key)); err != nil {
				return err
			}
			view.Key = inFours(key)
		}
	}
	if shown, _, ok := s.minted.get(v.now, v.operator.ID, v.r.URL.Query().Get("shown")); ok {
		view.Recovery = strings.Fields(shown)
	}
	p := s.page(v, "factor", v.text.Text("title.factor"))
	p.Here = "/account/factor"
	return s.showStatus(v, status, p, view)
}

func inFours(s string) string {
	var b strings.Builder
	for i, c := range []byte(s) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// keyFactorBegun is kept by the session that began the second factor: it alone is shown the key.
const keyFactorBegun = "factor_begun"

func (s *server) factorBegin(v *visit) error {
	f, err := readForm(v, field{name: "password", kind: secretText, max: 1024})
	if err != nil {
		return err
	}
	if f.ok() {
		_, _, err := s.factors.BeginFactor(v.ctx(), v.actor, f.Values["password"])
		switch {
		case err == nil:
			s.sessions.Put(v.ctx(), keyFactorBegun, true)
			return redirect(v, "/account/factor")
		case errors.Is(err, act.ErrConflict):
			return redirect(v, "/account/factor") // it is set up by now
		case errors.Is(err, act.ErrLocked):
			f.Errors["password"] = v.text.Text("sign_in.wait")
		case errors.Is(err, act.ErrForbidden):
			f.Errors["password"] = v.text.Text("password.wrong")
		default:
			return err
		}
	}
	f.Values = nil // a password is never sent back
	s.sessions.Remove(v.ctx(), keyFactorBegun)
	return s.showFactor(v, f, http.StatusUnprocessableEntity)
}

func (s *server) factorConfirm(v *visit) error {
	return s.withCode(v, func(code string) ([]string, error) {
		return s.factors.ConfirmFactor(v.ctx(), v.actor, code, remoteHost(v.r), s.sessions.GetString(v.ctx(), operator.SessionID))
	}, "factor.on")
}

func (s *server) factorRecovery(v *visit) error {
	return s.withCode(v, func(code string) ([]string, error) {
		return s.factors.NewRecoveryCodes(v.ctx(), v.actor, code, remoteHost(v.r))
	}, "factor.recovery.made")
}

func (s *server) factorRemove(v *visit) error {
	return s.withCode(v, func(code string) ([]string, error) {
		return nil, s.factors.RemoveFactor(v.ctx(), v.actor, code, remoteHost(v.r))
	}, "factor.off")
}

// withCode does something that a code of the second factor allows. The token of the session
// changes with it: it is worth more, or less, than before.
func (s *server) withCode(v *visit, do func(code string) (recovery []string, err error), done string) error {
	f, err := readForm(v, field{name: "code", max: 64})
	if err != nil {
		return err
	}
	if f.ok() {
		codes, err := do(f.Values["code"])
		switch {
		case err == nil:
			if err := s.sessions.RenewToken(v.ctx()); err != nil {
				return err
			}
			s.sessions.Remove(v.ctx(), keyFactorBegun)
			to := "/account/factor"
			if len(codes) > 0 {
				to += "?shown=" + s.minted.put(v.now, v.operator.ID, strings.Join(codes, " "), mintedAbout{})
			}
			return s.done(v, done, to)
		case errors.Is(err, act.ErrConflict), errors.Is(err, act.ErrNotFound):
			return redirect(v, "/account/factor") // it is set up, or gone, by now
		case errors.Is(err, act.ErrLocked):
			f.Errors["code"] = v.text.Text("sign_in.wait")
		case errors.Is(err, act.ErrForbidden), errors.Is(err, act.ErrInvalid):
			f.Errors["code"] = v.text.Text("factor.wrong")
		default:
			return err
		}
	}
	f.Values = nil
	return s.showFactor(v, f, http.StatusUnprocessableEntity)
}
