package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"hozen/agent/internal/isolate"
)

// runBootIsolation is "hozen-agent boot-isolation", which a unit of its own runs before
// the network comes up: what was isolated when the PC went down is so from the first
// packet on. The agent, which comes later, takes over.
//
// With --after-failure it is what the unit runs last: when the first run crashed or was
// killed, it cuts everything.
func runBootIsolation(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("boot-isolation", getenv, std)
	var after bool
	c.set.BoolVar(&after, "after-failure", false, "")
	if _, code, done := c.parse(args, 0); done {
		return code
	}
	if err := c.absolute(); err != nil {
		return c.failed(err)
	}
	log := newLog(std.err, slog.LevelInfo, true)
	if after {
		// What the unit came to (systemd.exec(5), SERVICE_RESULT).
		if result := getenv("SERVICE_RESULT"); result == "" || result == "success" {
			return exitOK
		}
		return c.cutAtBoot(ctx, firewall(), log)
	}
	code := c.bootIsolation(ctx, firewall(), log)
	if code != exitOK {
		c.cutAtBoot(ctx, firewall(), log) // by another Firewall: the first may hang
	}
	return code
}

// bootLimit is how long the ordered policy may take, and cutLimit how long the drop of
// everything: together less than the unit's TimeoutStartSec.
//
// markerFile exists while isolation is ordered; the unit looks for it too.
const (
	markerFile = "isolation.marker"

	bootLimit = 20 * time.Second
	cutLimit  = 5 * time.Second
)

func (c *command) bootIsolation(ctx context.Context, fw isolate.Firewall, log *slog.Logger) int {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	a := &agent{set: settings{state: c.folder(), log: log}, marks: &marker{}}
	store, err := a.isolationStore()
	if err != nil {
		return c.failed(err)
	}
	m, err := isolate.NewManager(isolate.Config{Firewall: fw, Store: unsaved{store}, Log: log})
	if err != nil {
		return c.failed(err)
	}
	return c.atBoot(ctx, m, log)
}

// cutAtBoot drops everything where isolation was ordered and could not be put in force,
// until the agent, which comes later, puts it right. Without the marker of an order it
// does nothing. A marker that cannot be looked at counts, as it does for the agent.
func (c *command) cutAtBoot(ctx context.Context, fw isolate.Firewall, log *slog.Logger) int {
	if _, err := os.Lstat(filepath.Join(c.folder(), "isolation", markerFile)); errors.Is(err, fs.ErrNotExist) {
		return exitOK
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutLimit)
	defer cancel()
	s, ok := fw.(interface{ Shut(context.Context) error })
	if !ok {
		return c.failed(fmt.Errorf("cut everything: %w", errors.ErrUnsupported))
	}
	if err := s.Shut(ctx); err != nil {
		return c.failed(fmt.Errorf("cut everything: %w", err))
	}
	log.ErrorContext(ctx, "the ordered isolation could not be put in force; everything is cut until the agent does it")
	return exitOK
}

// bootTries is how often the rules are set before the start goes on without them all.
const bootTries = 5

// atBoot puts the ordered isolation in force and says what it came to.
func (c *command) atBoot(ctx context.Context, m *isolate.Manager, log *slog.Logger) int {
	st := m.Status(ctx)
	if st.Desired == isolate.Unknown {
		return c.failed(errors.New(st.Detail))
	}
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
