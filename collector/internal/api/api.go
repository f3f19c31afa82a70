// Package api answers programs over HTTP under /api/v1: what people do at the console, done by
// a token on behalf of the person who made it. One table says every route, and the OpenAPI
// document is made from that table and the types of the handlers. It knows nothing of HTML,
// cookies or SQL; what is allowed is the acts' to say.
package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
)

// Prefix is the path under which everything here stands.
const Prefix = "/api/v1"

// Limits of one request.
const (
	maxBody    = 64 << 10         // bytes
	answerTime = 30 * time.Second // to answer; downloads take as long as they take
)

// Config is what the interface is made of.
type Config struct {
	// Acts is the door to everything that is shown and done. Required.
	Acts *act.Acts
	// Version of the collector, for the document. Optional.
	Version string
	// Log gets one line per request that failed on our side. Optional; default discards.
	Log *slog.Logger
	// Limits of how fast programs may ask. Optional; default [DefaultLimits].
	Limits Limits
	// Now is the clock of those limits. Optional; default time.Now.
	Now func() time.Time
}

// server is the interface at work.
type server struct {
	acts     *act.Acts
	log      *slog.Logger
	limits   *limiter
	mux      *http.ServeMux
	document []byte
}

// New returns the handler of everything under [Prefix].
func New(cfg Config) (http.Handler, error) {
	if cfg.Acts == nil {
		return nil, errors.New("make HTTP interface: Acts is required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	s := &server{acts: cfg.Acts, log: cfg.Log, limits: newLimiter(cfg.Limits, cfg.Now), mux: http.NewServeMux()}
	all := routes()
	var err error
	if s.document, err = document(all, cfg.Version); err != nil {
		return nil, fmt.Errorf("make HTTP interface: %w", err)
	}
	for _, r := range all {
		s.mux.Handle(r.method+" "+Prefix+r.path, s.answer(r))
	}
	s.mux.HandleFunc("/", s.elsewhere)
	return s.outermost(s.mux), nil
}

// outermost sets what every answer has, bounds what a request may send and how often one
// address may ask, and keeps a panic from taking more down than its request.
func (s *server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.log.ErrorContext(r.Context(), "request panicked", slog.String("path", r.URL.Path), slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			write(w, problem{Status: http.StatusInternalServerError, Code: "internal"})
		}()
		if wait := s.limits.address(host(r)); wait > 0 {
			write(w, tooMany(wait))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// call is one request on behalf of somebody.
type call struct {
	acts  *act.Acts
	actor act.Actor
	token operator.Token
	w     http.ResponseWriter
	r     *http.Request
	doc   []byte
}

// answer finds out on whose behalf a request comes, what it asks, and answers.
func (s *server) answer(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if !rt.stream {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, answerTime)
			defer cancel()
			r = r.WithContext(ctx)
		}
		c := &call{acts: s.acts, w: w, r: r, doc: s.document}
		err := s.admit(ctx, c, rt)
		var out any
		if err == nil {
			out, err = rt.answer(ctx, c)
		}
		if err == nil {
			if out != nil {
				reply(w, rt.status, "application/json", out)
			}
			return
		}
		p := problemOf(err)
		switch {
		case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
			return // whoever asked went away
		case p.Status == http.StatusInternalServerError:
			p.Reference = rand.Text()[:8]
			s.log.ErrorContext(ctx, "request failed", slog.String("path", r.URL.Path), slog.String("reference", p.Reference), slog.Any("error", err))
		case p.Status == http.StatusUnauthorized:
			s.limits.wrong(host(r))
		}
		if p.Status == http.StatusForbidden && p.Code == "scope" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=\"hozen\", error=\"insufficient_scope\", scope=%q", rt.scope))
		}
		write(w, p)
	})
}

// admit finds the actor of a request, unless the route is open to all. Nothing but the header
// Authorization is looked at: a cookie is no credential here, so that no page of a stranger
// can make a browser act.
func (s *server) admit(ctx context.Context, c *call, rt route) error {
	if rt.open {
		return nil
	}
	secret, ok := bearer(c.r)
	if !ok {
		return errNoCredential
	}
	var err error
	if c.actor, c.token, err = s.acts.ActorOfToken(ctx, secret, host(c.r)); err != nil {
		return err
	}
	if wait := s.limits.token(c.token.ID, c.r.Method != http.MethodGet && c.r.Method != http.MethodHead); wait > 0 {
		return tooMany(wait)
	}
	if rt.scope != "" && !slices.Contains(c.token.Scopes, string(rt.scope)) {
		return fmt.Errorf("%w: it needs %q", act.ErrScope, rt.scope)
	}
	return nil
}

// bearer returns the token of a request (RFC 6750, 2.1).
func bearer(r *http.Request) (string, bool) {
	all := r.Header.Values("Authorization")
	if len(all) != 1 {
		return "", false
	}
	scheme, secret, ok := strings.Cut(all[0], " ")
	return strings.TrimSpace(secret), ok && strings.EqualFold(scheme, "Bearer")
}

// elsewhere answers what no route is for.
func (s *server) elsewhere(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := s.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		write(w, problem{Status: http.StatusMethodNotAllowed, Code: "method"})
		return
	}
	write(w, problem{Status: http.StatusNotFound, Code: "not_found"})
}

// host is the address that a request came from. Headers that claim another are not believed.
func host(r *http.Request) string {
	h, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return h
}
