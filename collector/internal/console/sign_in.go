package console

import (
	"errors"
	"net/http"
	"net/url"

	"hozen/collector/internal/act"
)

type signInView struct {
	Form form
	Next string
}

// signInURL leads to the sign-in page and from there back to what was asked for.
func signInURL(r *http.Request) string {
	if r.Method != http.MethodGet || r.URL.Path == "/" {
		return "/sign-in"
	}
	return "/sign-in?next=" + url.QueryEscape(local(r.URL.RequestURI()))
}

func (s *server) signInForm(v *visit) error {
	if v.operator.ID != "" {
		return redirect(v, "/")
	}
	return s.show(v, "sign_in", signInView{Form: form{}, Next: local(v.r.URL.Query().Get("next"))})
}

func (s *server) signIn(v *visit) error {
	f, err := readForm(v,
		field{name: "name", max: 128},
		field{name: "password", kind: secretText, max: 1024},
		field{name: "next", max: 1024, empty: true})
	if err != nil {
		return err
	}
	view := signInView{Form: f, Next: local(f.Values["next"])}
	again := func(status int, key string) error {
		delete(f.Values, "password")
		if key != "" {
			f.Errors["form"] = v.text.Text(key)
		}
		return s.showStatus(v, status, s.page(v, "sign_in", v.text.Text("title.sign_in")), view)
	}
	if !f.ok() {
		return again(http.StatusUnprocessableEntity, "")
	}
	op, err := s.people.SignIn(v.ctx(), f.Values["name"], f.Values["password"], remoteHost(v.r))
	if waits, ok := errors.AsType[*act.NeedsCode](err); ok {
		return s.askCode(v, op, waits.Proof, view.Next)
	}
	switch {
	case errors.Is(err, act.ErrLocked):
		v.w.Header().Set("Retry-After", "60")
		return again(http.StatusTooManyRequests, "sign_in.wait")
	case errors.Is(err, act.ErrForbidden), errors.Is(err, act.ErrInvalid):
		return again(http.StatusUnprocessableEntity, "sign_in.wrong")
	case err != nil:
		return err
	}
	return s.signedInAs(v, op, view.Next)
}

func (s *server) signOut(v *visit) error {
	if err := s.sessions.Destroy(v.ctx()); err != nil {
		return err
	}
	return redirect(v, "/sign-in")
}
