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
	var m manager
	var err error
	if t.runs() {
		var b *bus
		if b, err = dial(ctx); err == nil {
			defer b.close()
			m = b
		}
	}
	if err = errors.Join(err, t.takeAway(ctx, m)); err != nil {
		return t.changes, rights(fmt.Errorf("uninstall service: %w", err))
	}
	return t.changes, nil
}

// manager is what uninstalling wants of systemd.
type manager interface {
	stop(ctx context.Context, unit string) error
	reload(ctx context.Context) error
	hangUp(ctx context.Context) error
}

// takeAway stops the units and removes the files. What fails does not keep the rest: half
// a service that comes back at the next start is worse. m is nil where nobody can be told.
func (t *tree) takeAway(ctx context.Context, m manager) error {
	var all error
	if m != nil {
		// The companion first: it must not take the end of the agent for its own hour.
		for _, unit := range []string{unitCompanion, unitIsolation, unitAgent} {
			limited, cancel := context.WithTimeout(ctx, patience)
			err := m.stop(limited, unit)
			cancel()
			if errors.Is(err, ErrNeedsRoot) {
				return err // nothing else would work either
			}
			all = errors.Join(all, err)
		}
	}
	all = errors.Join(all, t.clear())
	if err := os.RemoveAll(t.at(runtimeFolder)); err != nil {
		all = errors.Join(all, err)
	}
	if t.packaged() {
		t.changes = append(t.changes, Change{Packaged, packageUnits})
	}
	if m == nil {
		return all
	}
	all = errors.Join(all, m.reload(ctx))
	if t.changed(logindDropIn) {
		all = errors.Join(all, m.hangUp(ctx))
	}
	return all
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
