// Package act holds everything that can be done to the collector's data. The
// console, the local socket and the agents' edge all come through here, so that
// authorisation, the deed and its ledger entry have one place: one act, one
// transaction, one entry. It knows nothing of HTML, gRPC or SQL dialects.
package act

import (
	"errors"
	"fmt"

	"hozen/collector/internal/operator"
)

// Actor is on whose behalf an act is done.
type Actor struct {
	Kind           ActorKind
	ID             string // operator or endpoint identifier
	Name           string // display name, for the record
	OrganisationID string
	Role           operator.Role // of operators
	BreakGlass     string        // reason given when acting without sign-in at the local socket

	token string   // identifier of the token by which a program acts for an operator; empty: a person does. Set by ActorOfToken.
	scope scopes   // what that token is for. Set by identify.
	only  confined // what somebody from outside may see; nil: everything. Set by identify.
}

// ActorKind is who acts.
type ActorKind string

// The kinds of actors.
const (
	ByOperator ActorKind = "operator"
	ByEndpoint ActorKind = "endpoint"
	BySystem   ActorKind = "system"
	ByLocal    ActorKind = "local" // root at the collector's own machine, with a reason
)

// The errors that callers act on.
var (
	ErrForbidden = errors.New("not allowed")
	ErrNotFound  = errors.New("no such thing")
	ErrConflict  = errors.New("its state does not allow this")
	ErrInvalid   = errors.New("invalid input")
	ErrNoSpace   = errors.New("the collector's disk is full")
)

// ErrMustChangePassword is the [ErrForbidden] of an operator who still has a
// one-time password: nothing but [Acts.ChangePassword] is open to them.
var ErrMustChangePassword = fmt.Errorf("%w: the one-time password must be changed first", ErrForbidden)

// ErrMustSetFactor is the [ErrForbidden] of an operator whose role needs a second factor
// and who has none: nothing but setting it up is open to them.
var ErrMustSetFactor = fmt.Errorf("%w: a second factor must be set up first", ErrForbidden)

// ErrNeedsCode is the [ErrForbidden] of a sign-in whose password was right and that goes on
// with [Acts.ConfirmSignIn].
var ErrNeedsCode = fmt.Errorf("%w: the second factor is needed", ErrForbidden)

// NeedsCode is the error [ErrNeedsCode] with what [Acts.ConfirmSignIn] asks for.
type NeedsCode struct {
	// Proof stands for the password that was right. It is no secret of worth, and is kept with
	// the sign-in that waits for the code.
	Proof string
}

func (e *NeedsCode) Error() string { return ErrNeedsCode.Error() }
func (e *NeedsCode) Unwrap() error { return ErrNeedsCode }

// ErrSignInOver is the [ErrForbidden] of a sign-in that waited for the code while the password
// was changed or the second factor was reset: it begins anew.
var ErrSignInOver = fmt.Errorf("%w: the sign-in has ended", ErrForbidden)

// ErrLocked is the [ErrForbidden] of a sign-in that comes too soon after wrong
// ones; the password was not looked at.
var ErrLocked = fmt.Errorf("%w: too many wrong passwords, wait a while", ErrForbidden)

// Invalid says which input was not understood and why. It is an [ErrInvalid].
type Invalid struct {
	Field string // name of the input in snake_case, such as "profile"
	Code  string // "required", "too_long", "too_short", "unknown", "in_use", "weak", "range", "malformed", "changed"
	Err   error  // English, for the record
}

func (e *Invalid) Error() string {
	return fmt.Sprintf("invalid %s: %v", e.Field, e.Err)
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *Invalid) Unwrap() []error { return []error{ErrInvalid, e.Err} }
