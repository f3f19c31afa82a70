package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"hozen/collector/internal/act"
)

// problem is what went wrong (RFC 9457). It is the error of a request.
type problem struct {
	Type   string `json:"type" doc:"urn:hozen:problem: and the code"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code" doc:"stable, for programs"`
	Detail string `json:"detail,omitempty" doc:"English, for people; it may change"`
	// Reference stands in the collector's log beside what is not told.
	Reference string        `json:"reference,omitempty" doc:"stands in the collector's log beside the cause"`
	Errors    []wrongInput  `json:"errors,omitempty" doc:"which inputs were not taken"`
	wait      time.Duration // after which to ask again; 0: not said
}

// wrongInput is one input that was not taken.
type wrongInput struct {
	Field  string `json:"field"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p problem) Error() string { return p.Code + ": " + p.Detail }

var errNoCredential = errors.New("the request shows no token")

func tooMany(wait time.Duration) problem {
	return problem{Status: http.StatusTooManyRequests, Code: "too_many_requests", Detail: "ask again after the seconds of Retry-After", wait: wait}
}

func wrong(field, code, format string, args ...any) error {
	return &act.Invalid{Field: field, Code: code, Err: fmt.Errorf(format, args...)}
}

// problemOf says an error as a problem. What is our own fault is not told.
func problemOf(err error) problem {
	if p, ok := errors.AsType[problem](err); ok {
		return p
	}
	if bad, ok := errors.AsType[*act.Invalid](err); ok {
		return problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: "an input was not taken", Errors: []wrongInput{{bad.Field, bad.Code, bad.Err.Error()}}}
	}
	if errors.Is(err, act.ErrBusy) {
		return tooMany(3 * time.Second)
	}
	for _, k := range []struct {
		is     error
		status int
		code   string
		tell   bool
	}{
		{errNoCredential, http.StatusUnauthorized, "no_token", true},
		{act.ErrNoToken, http.StatusUnauthorized, "no_token", false},
		{act.ErrScope, http.StatusForbidden, "scope", true},
		{act.ErrForbidden, http.StatusForbidden, "forbidden", true},
		{act.ErrDisposed, http.StatusGone, "disposed", false},
		{act.ErrNotFound, http.StatusNotFound, "not_found", false},
		{act.ErrConflict, http.StatusConflict, "conflict", true},
		{act.ErrInvalid, http.StatusUnprocessableEntity, "invalid", true},
		{act.ErrNoSpace, http.StatusInsufficientStorage, "no_space", false},
		{errors.ErrUnsupported, http.StatusNotImplemented, "unsupported", false},
		{context.DeadlineExceeded, http.StatusServiceUnavailable, "slow", false},
	} {
		if errors.Is(err, k.is) {
			p := problem{Status: k.status, Code: k.code}
			if k.tell {
				p.Detail = err.Error()
			}
			return p
		}
	}
	return problem{Status: http.StatusInternalServerError, Code: "internal"}
}

// write answers with a problem.
func write(w http.ResponseWriter, p problem) {
	p.Type, p.Title = "urn:hozen:problem:"+p.Code, http.StatusText(p.Status)
	h := w.Header()
	if p.wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.wait.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="hozen"`)
	}
	for _, name := range []string{"Content-Disposition", "Content-Length"} {
		h.Del(name)
	}
	reply(w, p.Status, "application/problem+json", p)
}

// reply writes an answer that is whole or an error.
func reply(w http.ResponseWriter, status int, contentType string, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	if err := e.Encode(v); err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // whoever asked went away: nobody to tell
}
