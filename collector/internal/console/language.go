package console

import (
	"net/http"

	"hozen/internal/i18n"
)

const languageYears = 365 * 24 * 60 * 60 // seconds

// setLanguage keeps the choice in a cookie, so that it also holds before signing in.
func (s *server) setLanguage(v *visit) error {
	f, err := readForm(v, field{name: "language", max: 8}, field{name: "back", max: 1024, empty: true})
	if err != nil {
		return err
	}
	l, ok := i18n.Parse(f.Values["language"])
	if !ok {
		return &badRequest{http.StatusUnprocessableEntity, "invalid"}
	}
	http.SetCookie(v.w, &http.Cookie{
		Name: languageCookie, Value: string(l), Path: "/", MaxAge: languageYears,
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteStrictMode,
	})
	return redirect(v, local(f.Values["back"]))
}
