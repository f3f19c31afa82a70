package isolate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors of ReleaseByCode.
var (
	// ErrNoCode means that nothing is isolated, or that the order has no code.
	ErrNoCode = errors.New("there is nothing to release by a code")
	// ErrWrongCode means that it is not the code of the order.
	ErrWrongCode = errors.New("wrong release code")
)

// TooManyTries means that a code was given too soon after wrong ones; it was not looked
// at.
type TooManyTries struct {
	// RetryAfter is how long to wait.
	RetryAfter time.Duration
}

func (e *TooManyTries) Error() string {
	return fmt.Sprintf("too many wrong release codes; wait %v", e.RetryAfter)
}

// ReleaseByCode gives the network back to somebody at the endpoint who knows the code of
// the order in force. by says who, for the record.
//
// The error wraps ErrNoCode, ErrWrongCode, *TooManyTries, or one of releasecode.Check for
// a slip, which costs no try.
func (m *Manager) ReleaseByCode(ctx context.Context, code, by string) (Status, error) {
	return m.refuse(ctx, "release by code", ErrNoCode)
}

// ReleaseForUninstall gives the network back because the agent is being uninstalled at
// the endpoint. by says who, for the record.
func (m *Manager) ReleaseForUninstall(ctx context.Context, by string) (Status, error) {
	return m.Release(ctx, Request{})
}
