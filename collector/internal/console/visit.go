package console

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
	"hozen/internal/i18n"
)

// visit is one request: who asks, in which language, and when.
type visit struct {
	w        http.ResponseWriter
	r        *http.Request
	text     i18n.Printer
	now      time.Time
	operator operator.Operator // zero before signing in
	actor    act.Actor
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// handler answers one visit. An error becomes the page that explains it.
type handler func(v *visit) error

// Names of what a session keeps; package operator ends sessions by the first.
const (
	keyOperator = operator.SessionKey
	keySeen     = operator.SessionSeen // Unix seconds of the last page that a person asked for
	keyFlash    = "flash"              // key of the text that the next page shows
)

// Names of cookies and headers.
const (
	languageCookie = "hozen-language"
	liveHeader     = "X-Hozen-Live" // a page that refreshes itself, not a person
)

func (s *server) newSessions(store scs.Store) *scs.SessionManager {
	m := scs.New()
	m.Store = store
	m.Lifetime = sessionLife
	m.HashTokenInStore = true
	m.Cookie.Name = "hozen-session"
	if s.secure {
		m.Cookie.Name = "__Host-hozen-session" // browsers then refuse it from anywhere but this very host by https
	}
	m.Cookie.HttpOnly = true
	m.Cookie.SameSite = http.SameSiteStrictMode
	m.Cookie.Secure = s.secure
	m.Cookie.Persist = false // gone with the browser
	m.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) {
		s.log.ErrorContext(r.Context(), "session store", slog.Any("error", err))
		s.errorPage(s.newVisit(w, r), http.StatusServiceUnavailable, "unavailable", "")
	}
	return m
}

func (s *server) newVisit(w http.ResponseWriter, r *http.Request) *visit {
	return &visit{w: w, r: r, now: s.now(), text: s.texts.Printer(language(r))}
}

// language chooses by the cookie, else by what the browser asks for.
func language(r *http.Request) i18n.Language {
	if c, err := r.Cookie(languageCookie); err == nil {
		if l, ok := i18n.Parse(c.Value); ok {
			return l
		}
	}
	return i18n.FromHeader(r.Header.Get("Accept-Language"))
}

// public serves pages that need no sign-in, such as signing in.
func (s *server) public(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := s.newVisit(w, r)
		if err := s.recognise(v); err != nil {
			s.fail(v, err)
			return
		}
		s.serve(v, h)
	})
}

// private serves pages for people who are signed in, have a password of their own and, where
// their role needs one, a second factor.
func (s *server) private(h handler) http.Handler {
	return s.own(func(v *visit) error {
		must, err := s.people.MustSetFactor(v.ctx(), v.operator)
		if err != nil {
			return err
		}
		if must {
			return redirect(v, "/account/factor")
		}
		return h(v)
	})
}

// own serves pages on one's own account for people who are signed in and have a password of
// their own.
func (s *server) own(h handler) http.Handler {
	return s.signedIn(func(v *visit) error {
		if v.operator.MustChangePassword {
			return redirect(v, "/password")
		}
		return h(v)
	})
}

// signedIn serves pages for people who are signed in, even with a one-time password.
func (s *server) signedIn(h handler) http.Handler {
	return s.public(func(v *visit) error {
		if v.operator.ID != "" {
			return h(v)
		}
		if v.r.Header.Get(liveHeader) != "" || v.r.Header.Get("Accept") == "text/event-stream" {
			http.Error(v.w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
			return nil
		}
		return redirect(v, signInURL(v.r))
	})
}

func (s *server) serve(v *visit, h handler) {
	if err := h(v); err != nil {
		s.fail(v, err)
	}
}

// recognise finds out who visits. A session of somebody who was disabled, or that
// nobody used for long, ends here.
func (s *server) recognise(v *visit) error {
	ctx := v.ctx()
	id := s.sessions.GetString(ctx, keyOperator)
	if id == "" {
		return nil
	}
	seen := time.Unix(s.sessions.GetInt64(ctx, keySeen), 0)
	op, err := s.people.OperatorByID(ctx, id)
	gone := errors.Is(err, act.ErrNotFound) || errors.Is(err, act.ErrForbidden)
	switch {
	case err != nil && !gone:
		return err
	case gone, !op.DisabledAt.IsZero(), v.now.Sub(seen) > sessionIdle:
		return s.sessions.Destroy(ctx)
	}
	// A page that refreshes itself does not prove that somebody sits there.
	if v.r.Header.Get(liveHeader) == "" && v.r.URL.Path != "/live" && v.now.Sub(seen) > 5*time.Minute {
		s.sessions.Put(ctx, keySeen, v.now.Unix())
	}
	v.operator = op
	v.actor = act.Actor{Kind: act.ByOperator, ID: op.ID, Name: op.DisplayName, OrganisationID: op.OrganisationID, Role: op.Role}
	return nil
}

// redirect sends the browser on with a GET, so that a reload repeats nothing.
func redirect(v *visit, to string) error {
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// done is [redirect] with a text that the next page shows.
func (s *server) done(v *visit, flash, to string) error {
	s.sessions.Put(v.ctx(), keyFlash, flash)
	return redirect(v, to)
}

// remoteHost returns the address that the request came from. Headers that claim
// another are not believed: anybody can write them.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// local returns to when it is a path on this very host, else "/". Browsers read a
// backslash as a slash and skip control characters, so neither may stand in it.
func local(to string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || len(to) > 1024 {
		return "/"
	}
	for _, c := range []byte(to) {
		if c <= ' ' || c == '\\' || c >= 0x7f {
			return "/"
		}
	}
	return to
}
