package console

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"

	"hozen/collector/internal/act"
)

// badRequest is an error of the browser's making that has its own text.
type badRequest struct {
	status int
	code   string // error.<code>.title and .next
}

func (e *badRequest) Error() string { return "bad request: " + e.code }

// fail shows the page for err: what went wrong and what to do next. Only what is our
// own fault is logged, under a reference that the page shows.
func (s *server) fail(v *visit, err error) {
	bad, isBad := errors.AsType[*badRequest](err)
	switch {
	case isBad:
		s.errorPage(v, bad.status, bad.code, "")
	case errors.Is(err, act.ErrMustChangePassword):
		http.Redirect(v.w, v.r, "/password", http.StatusSeeOther)
	case errors.Is(err, act.ErrNotFound):
		s.errorPage(v, http.StatusNotFound, "not_found", "")
	case errors.Is(err, act.ErrForbidden):
		s.errorPage(v, http.StatusForbidden, "forbidden", "")
	case errors.Is(err, act.ErrDisposed):
		s.errorPage(v, http.StatusGone, "disposed", "")
	case errors.Is(err, act.ErrInDrill):
		s.errorPage(v, http.StatusConflict, "in_drill", "")
	case errors.Is(err, act.ErrConflict):
		s.errorPage(v, http.StatusConflict, "conflict", "")
	case errors.Is(err, act.ErrInvalid):
		s.errorPage(v, http.StatusUnprocessableEntity, "invalid", "")
	case errors.Is(err, context.Canceled) && v.r.Context().Err() != nil:
		// The browser went away.
	case errors.Is(err, context.DeadlineExceeded):
		s.log.WarnContext(v.ctx(), "page took too long", slog.String("path", logPath(v.r)))
		s.errorPage(v, http.StatusServiceUnavailable, "slow", "")
	case errors.Is(err, act.ErrBusy):
		v.w.Header().Set("Retry-After", "3")
		s.errorPage(v, http.StatusTooManyRequests, "busy", "")
	case errors.Is(err, act.ErrNoSpace):
		s.log.ErrorContext(v.ctx(), "request failed", slog.String("path", logPath(v.r)), slog.Any("error", err))
		s.errorPage(v, http.StatusInsufficientStorage, "no_space", "")
	default:
		reference := rand.Text()[:8]
		s.log.ErrorContext(v.ctx(), "request failed", slog.String("path", logPath(v.r)), slog.String("reference", reference), slog.Any("error", err))
		s.errorPage(v, http.StatusInternalServerError, "internal", reference)
	}
}

type errorView struct {
	Status     int
	Code       string
	Reference  string
	SignedIn   bool
	SignInPath string
}

func (s *server) errorPage(v *visit, status int, code, reference string) {
	view := errorView{Status: status, Code: code, Reference: reference, SignedIn: v.operator.ID != "", SignInPath: "/sign-in"}
	page := s.page(v, "error", v.text.Text("error."+code+".title"))
	page.V = view
	if err := s.write(v, status, "error", page); err != nil {
		s.log.ErrorContext(v.ctx(), "show error page", slog.Any("error", err))
		http.Error(v.w, http.StatusText(status), status)
	}
}

func (s *server) notFound(*visit) error { return act.ErrNotFound }
