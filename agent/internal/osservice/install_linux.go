package osservice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// patience is how long a unit may take to stop: longer than TimeoutStopSec.
const patience = 90 * time.Second

// runtimeFolder is systemd's RuntimeDirectory=hozen, which outlives the agent.
const runtimeFolder = "/run/hozen"

func install(ctx context.Context, c Config) ([]Change, error) {
	t := &tree{root: c.root()}
	if !t.isThere() {
		return nil, installElsewhere(c)
	}
	if err := t.write(c); err != nil {
		return t.changes, rights(fmt.Errorf("install service: %w", err))
	}
	if t.packaged() {
		t.changes = append(t.changes, Change{Packaged, packageUnits})
	}
	if !t.runs() {
		t.changes = append(t.changes, Change{Offline, adminUnits})
		return t.changes, nil
	}
	b, err := dial(ctx)
	if err != nil {
		return t.changes, rights(fmt.Errorf("install service: %w", err))
	}
	defer b.close()
	if err := b.reload(ctx); err != nil {
		return t.changes, rights(fmt.Errorf("install service: %w", err))
	}
	if t.changed(logindDropIn) {
		if err := b.hangUp(ctx); err != nil {
			return t.changes, rights(fmt.Errorf("install service: %w", err))
		}
	}
	// An agent that runs already must not wait for the next start of the PC for its net.
	u, err := b.unit(ctx, unitAgent)
	if err != nil {
		return t.changes, rights(fmt.Errorf("install service: %w", err))
	}
	if u.active == "active" && !t.masked(unitCompanion) {
		if err := b.start(ctx, unitCompanion); err != nil {
			return t.changes, rights(fmt.Errorf("install service: %w", err))
		}
	}
	return t.changes, nil
}

func uninstall(ctx context.Context, c Config) ([]Change, error) {
	t := &tree{root: c.root()}
	if !t.isThere() {
		return nil, uninstallElsewhere()
	}
	var b *bus
	if t.runs() {
		var err error
		if b, err = dial(ctx); err != nil {
			return nil, rights(fmt.Errorf("uninstall service: %w", err))
		}
		defer b.close()
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		// The companion first: it must not take the end of the agent for its own hour.
		for _, unit := range []string{unitCompanion, unitIsolation, unitAgent} {
			if err := b.stop(ctx, unit); err != nil {
				return nil, rights(fmt.Errorf("uninstall service: %w", err))
			}
		}
	}
	if err := t.clear(); err != nil {
		return t.changes, rights(fmt.Errorf("uninstall service: %w", err))
	}
	if err := os.RemoveAll(t.at(runtimeFolder)); err != nil {
		return t.changes, rights(fmt.Errorf("uninstall service: %w", err))
	}
	if t.packaged() {
		t.changes = append(t.changes, Change{Packaged, packageUnits})
	}
	if b == nil {
		return t.changes, nil
	}
	err := b.reload(ctx)
	if t.changed(logindDropIn) {
		err = errors.Join(err, b.hangUp(ctx))
	}
	if err != nil {
		return t.changes, rights(fmt.Errorf("uninstall service: %w", err))
	}
	return t.changes, nil
}

func (t *tree) changed(path string) bool {
	for _, c := range t.changes {
		if c.Path == path {
			return true
		}
	}
	return false
}

func (c Config) root() string {
	if c.Root == "" {
		return "/"
	}
	return c.Root
}
