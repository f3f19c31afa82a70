package main

import (
	"context"
	"time"

	"hozen/agent/internal/localapi"
)

// helperPatience is how long a session may be held up. Windows takes a program for hung
// that needs more than some five seconds.
const helperPatience = 3 * time.Second

// runSessionHelper is "hozen-agent session-helper", which the service starts in every
// session on Windows: it has the evidence kept before the session's programs are ended.
func runSessionHelper(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("session-helper", getenv, std)
	if _, code, done := c.parse(args, 0); done {
		return code
	}
	err := awaitEndOfSession(ctx, func(ending string) {
		limited, cancel := context.WithTimeout(ctx, helperPatience)
		defer cancel()
		// An agent that does not answer leaves nothing to do: the session ends all the same.
		_, _ = localapi.Do(limited, c.socketPath(), localapi.Request{Verb: localapi.VerbSession, Ending: ending}, nil)
	})
	if err != nil {
		return c.failed(err)
	}
	return exitOK
}
