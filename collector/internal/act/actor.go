// Package act holds everything that can be done to the collector's data. The
// console, the local socket and the agents' edge all come through here, so that
// authorisation, the deed and its ledger entry have one place: one act, one
// transaction, one entry. It knows nothing of HTML, gRPC or SQL dialects.
package act

import (
	"errors"

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
	ErrForbidden = errors.New("this role may not do this")
	ErrNotFound  = errors.New("no such thing")
	ErrConflict  = errors.New("its state does not allow this")
	ErrInvalid   = errors.New("invalid input")
)
