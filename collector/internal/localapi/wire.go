package localapi

import (
	"encoding/json"
	"errors"
	"fmt"

	"hozen/collector/internal/act"
)

// The headers that say who speaks.
const (
	headerAuthorization = "Authorization"
	headerBreakGlass    = "Hozen-Break-Glass" // URL-escaped reason
)

// maxRequest is the largest request body, in bytes.
const maxRequest = 1 << 20

// Error is an act's error as it goes over the socket.
type Error struct {
	Code    string `json:"code"` // see codes
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`  // of invalid
	Invalid string `json:"reason,omitempty"` // of invalid
}

func (e *Error) Error() string { return e.Message }

// Unwrap makes errors.Is work for the acts' errors on both sides of the socket.
func (e *Error) Unwrap() error {
	for _, c := range codes() {
		if c.code == e.Code {
			return c.err
		}
	}
	return nil
}

// ErrSignIn means that nobody has said who speaks, or the sign-in has expired.
var ErrSignIn = errors.New("sign in first")

type code struct {
	code   string
	err    error
	status int
}

// codes is in order: the first that matches is the code of an error.
func codes() []code {
	return []code{
		{"sign_in", ErrSignIn, 401},
		{"must_change_password", act.ErrMustChangePassword, 403},
		{"must_set_factor", act.ErrMustSetFactor, 403},
		{"needs_code", act.ErrNeedsCode, 403},
		{"locked", act.ErrLocked, 429},
		{"forbidden", act.ErrForbidden, 403},
		{"not_found", act.ErrNotFound, 404},
		{"too_old", act.ErrTooOld, 409},
		{"pending", act.ErrPending, 409},
		{"too_late", act.ErrTooLate, 409},
		{"second_person", act.ErrSecondPerson, 409},
		{"held", act.ErrHeld, 409},
		{"retained", act.ErrRetained, 409},
		{"disposed", act.ErrDisposed, 409},
		{"in_drill", act.ErrInDrill, 409},
		{"conflict", act.ErrConflict, 409},
		{"invalid", act.ErrInvalid, 422},
		{"unsupported", errors.ErrUnsupported, 501},
		{"no_space", act.ErrNoSpace, 507},
	}
}

// wireError translates an error for the socket; faults of our own become "internal".
func wireError(err error) (*Error, int) {
	if e, ok := errors.AsType[*Error](err); ok {
		for _, c := range codes() {
			if c.code == e.Code {
				return e, c.status
			}
		}
		return e, 500
	}
	for _, c := range codes() {
		if errors.Is(err, c.err) {
			e := &Error{Code: c.code, Message: err.Error()}
			if inv, ok := errors.AsType[*act.Invalid](err); ok {
				e.Field, e.Invalid = inv.Field, inv.Code
			}
			return e, c.status
		}
	}
	return &Error{Code: "internal", Message: err.Error()}, 500
}

// line is one line of a stream.
type line struct {
	Event  json.RawMessage `json:"event,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// answer is what a call without a stream returns.
type answer struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

func invalid(field, reason, format string, args ...any) error {
	return &act.Invalid{Field: field, Code: reason, Err: fmt.Errorf(format, args...)}
}
