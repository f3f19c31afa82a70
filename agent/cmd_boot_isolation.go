package main

import (
	"context"
	"errors"
	"log/slog"

	"hozen/agent/internal/isolate"
)

// runBootIsolation is "hozen-agent boot-isolation", which a unit of its own runs before
// the network comes up: what was isolated when the PC went down is so from the first
// packet on. The agent, which comes later, takes over.
func runBootIsolation(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("boot-isolation", getenv, std)
	if _, code, done := c.parse(args, 0); done {
		return code
	}
	if err := c.absolute(); err != nil {
		return c.failed(err)
	}
	a := &agent{set: settings{state: c.folder(), log: newLog(std.err, slog.LevelInfo, true)}, marks: &marker{}}
	store, err := a.isolationStore()
	if err != nil {
		return c.failed(err)
	}
	m, err := isolate.NewManager(isolate.Config{Firewall: firewall(), Store: unsaved{store}, Log: a.set.log})
	if err != nil {
		return c.failed(err)
	}
	return c.atBoot(ctx, m, a.set.log)
}

// bootTries is how often the rules are set before the start goes on without them all.
const bootTries = 5

// atBoot puts the ordered isolation in force and says what it came to.
func (c *command) atBoot(ctx context.Context, m *isolate.Manager, log *slog.Logger) int {
	st := m.Status(ctx)
	if st.Desired != isolate.Isolated {
		log.InfoContext(ctx, "no isolation is ordered; the network comes up as it is")
		return exitOK
	}
	var err error
	// Devices are being found at this time: one that came while the rules were set has
	// none of its own yet, which the reading afterwards sees.
	for range bootTries {
		if st, err = m.Resume(ctx); st.Observed == isolate.Isolated {
			log.WarnContext(ctx, "isolated before the network came up, as ordered", slog.String("command", st.CommandID))
			return exitOK
		}
	}
	if err == nil {
		err = errors.New("the kernel does not enforce the ordered isolation: " + st.Detail)
	}
	return c.failed(err)
}
