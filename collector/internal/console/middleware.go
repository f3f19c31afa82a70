package console

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
)

// policy is the Content-Security-Policy of every page: nothing but our own files,
// no inline script or style, no frames, no plug-ins, and scripts may make HTML only
// through the one named policy of live.js.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; " +
	"require-trusted-types-for 'script'; trusted-types hozen"

// headers sets what every answer has. HSTS is absent on purpose: with the collector's
// own CA, a browser that does not know it yet would be locked out during an incident.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin") // "no-referrer" would also blank Origin, which guards forms
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store") // pages show personal data; assets say otherwise
		next.ServeHTTP(w, r)
	})
}

// recovered turns a panic into the page of an internal error, so that one bad request
// never takes the console down.
func (s *server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.log.ErrorContext(r.Context(), "request panicked", slog.String("path", logPath(r)), slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			s.errorPage(s.newVisit(w, r), http.StatusInternalServerError, "internal", "")
		}()
		next.ServeHTTP(w, r)
	})
}

// logPath is the path of a request for the log, without what opens something: the token of a
// link.
func logPath(r *http.Request) string {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/r/"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		return strings.TrimSuffix("/r/…/"+rest, "/")
	}
	return r.URL.Path
}

// timed gives a page its time. Live streams and downloads take as long as they take.
func timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pageTime)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// bounded limits what a request may send: a form, or one with a hit list or long answers in it, or one with a workbook.
func bounded(next http.Handler) http.Handler {
	plain, hits, files := http.MaxBytesHandler(next, maxBody), http.MaxBytesHandler(next, maxHitBody), http.MaxBytesHandler(next, maxFillBody)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/reports/workbook") {
			files.ServeHTTP(w, r)
			return
		}
		// Files that people send have bounds of their own, which are looked at after the right.
		file := r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/incidents/") && strings.HasSuffix(r.URL.Path, "/upload") ||
			r.Method == http.MethodPost && r.URL.Path == "/kits/import" ||
			r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/uploads/") ||
			r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/r/") && strings.HasSuffix(r.URL.Path, "/photos")
		if file {
			next.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/groups/") || strings.HasPrefix(r.URL.Path, "/incidents/") && r.URL.Path != "/incidents/new" {
			hits.ServeHTTP(w, r)
			return
		}
		plain.ServeHTTP(w, r)
	})
}

// sameOrigin refuses forms that another site sent.
func (s *server) sameOrigin(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.errorPage(s.newVisit(w, r), http.StatusForbidden, "cross_origin", "")
	}))
	return guard.Handler(next)
}

// asked refuses requests for a host that this console is not.
func (s *server) asked(next http.Handler) http.Handler {
	if s.hosts == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if !s.hosts[hostName(host)] {
			s.log.WarnContext(r.Context(), "request for another host refused", slog.String("host", fmt.Sprintf("%.100q", r.Host)))
			s.errorPage(s.newVisit(w, r), http.StatusMisdirectedRequest, "host", "")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostName is a host as it is compared: in lower case, without the brackets of an
// address and the dot of a name.
func hostName(h string) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(h, "["), "]"), "."))
}
