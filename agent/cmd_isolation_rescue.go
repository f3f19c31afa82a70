package main

import (
	"context"
	"log/slog"

	"hozen/agent/internal/isolate"
)

// rescue is "hozen-agent isolation rescue": an administrator at the PC gives its network
// back when neither the collector nor a release code can. An agent that runs does it,
// because it would put the rules in force again; else this process does, by the fixed keys
// of the rules, and without the agent's files if need be.
func (c *command) rescue(ctx context.Context) int {
	if err := c.absolute(); err != nil {
		return c.failed(err)
	}
	log := newLog(c.std.err, slog.LevelWarn, true)
	done := false
	if _, err := c.askNetwork(ctx); err == nil {
		done = c.releaseByAgent(ctx)
	}
	if !done {
		done = c.releaseItself(ctx, log)
	}
	return c.rescued(ctx, firewall(), done, log)
}

// rescued takes away what is left of the rules and says what it came to.
func (c *command) rescued(ctx context.Context, fw isolate.Firewall, done bool, log *slog.Logger) int {
	ctx, cancel := context.WithTimeout(ctx, releaseLimit)
	defer cancel()
	if !done {
		if err := fw.Restore(ctx); err != nil {
			return c.failed(err)
		}
	}
	o, err := fw.Observe(ctx, nil)
	switch {
	case err != nil:
		return c.failed(err)
	case o.Present:
		c.say("isolation.rescue.left")
		return exitNotInForce
	case !done:
		c.say("isolation.rescue.ordered")
		return exitNotInForce
	}
	c.clearNotices(ctx, log)
	c.say("isolation.rescue.done")
	return exitOK
}
