package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"hozen/collector/internal/act"
	"hozen/collector/internal/localapi"
	"hozen/collector/internal/osservice"
)

// The exit codes; they are stable.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotRunning  = 3
	exitSignIn      = 4
	exitForbidden   = 5
	exitNotFound    = 6
	exitConflict    = 7
	exitInvalid     = 8
	exitProblems    = 9
	exitNotDone     = 10
	exitTimeout     = 11
	exitNoSpace     = 12
	exitUnanchored  = 13
	exitInterrupted = 130
)

// codeText is one exit code in words.
type codeText struct {
	code int
	text string
}

func codes() []codeText {
	return []codeText{
		{exitOK, "done"}, {exitFailure, "failed"}, {exitUsage, "wrong usage"}, {exitNotRunning, "the collector is not running"},
		{exitSignIn, "sign in first, or again"}, {exitForbidden, "not allowed"}, {exitNotFound, "no such thing"},
		{exitConflict, "its state does not allow this"}, {exitInvalid, "invalid input"}, {exitProblems, "problems were found"},
		{exitNotDone, "with --wait: the endpoint could not do it"}, {exitTimeout, "with --wait: no result in time"}, {exitNoSpace, "the collector's disk is full"}, {exitUnanchored, "consistent, but origin not shown"}, {exitInterrupted, "interrupted"},
	}
}

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// The errors of this program's own.
var (
	errQuiet      = errors.New("already said") // the outcome was printed; only the code is left
	errProblems   = fmt.Errorf("%w: problems were found", errQuiet)
	errUnanchored = fmt.Errorf("%w: origin not shown", errQuiet)
	errNotDone    = fmt.Errorf("%w: not done", errQuiet)
	errTimeout    = errors.New("no result in time; the order stands and is carried out when the endpoint is there")
)

// exitCode is the one table from errors to exit codes.
func exitCode(ctx context.Context, err error) int {
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	for _, row := range []struct {
		err  error
		code int
	}{
		{errProblems, exitProblems}, {errUnanchored, exitUnanchored}, {errNotDone, exitNotDone}, {errTimeout, exitTimeout},
		{localapi.ErrNotRunning, exitNotRunning}, {localapi.ErrLocked, exitConflict}, {localapi.ErrSignIn, exitSignIn},
		{act.ErrMustChangePassword, exitSignIn}, {act.ErrForbidden, exitForbidden}, {act.ErrNotFound, exitNotFound},
		{act.ErrNoSpace, exitNoSpace}, {act.ErrConflict, exitConflict}, {act.ErrInvalid, exitInvalid},
	} {
		if errors.Is(err, row.err) {
			return row.code
		}
	}
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	if strings.HasPrefix(err.Error(), "unknown command") { // cobra has no type for it
		return exitUsage
	}
	return exitFailure
}

// hinted is an error for which there is a better hint than that of its exit code.
type hinted struct {
	err error
	key string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// hintOf is the text that says what to do next, or empty when everything is said.
func hintOf(code int, err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.key
	}
	switch {
	case errors.Is(err, act.ErrTooOld):
		return "hint.too_old"
	case errors.Is(err, act.ErrPending):
		return "hint.pending"
	case errors.Is(err, act.ErrTooLate):
		return "hint.too_late"
	case errors.Is(err, act.ErrSecondPerson):
		return "hint.second_person"
	case errors.Is(err, act.ErrHeld):
		return "hint.held"
	case errors.Is(err, act.ErrRetained):
		return "hint.retained"
	case errors.Is(err, act.ErrLocked):
		return "hint.locked"
	case errors.Is(err, osservice.ErrNeedsRoot), code == exitFailure && errors.Is(err, fs.ErrPermission):
		return "hint.permission"
	case errors.Is(err, osservice.ErrNotInstalled):
		return "hint.not_installed"
	case errors.Is(err, osservice.ErrInstalled):
		return "hint.installed"
	}
	if code == exitInterrupted || code == exitOK {
		return ""
	}
	return "hint." + itoa(code)
}
