package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/spool"
	"hozen/internal/durable"
)

// keepClosed puts an ordered isolation in force for an agent that cannot start: a full
// disk, a damaged folder or a mistake in the settings must not give an isolated PC its
// network back at the next boot. It never opens anything, and leaves the PC to the
// agent that works when there is one.
func keepClosed(ctx context.Context, set settings, why error) {
	if errors.Is(why, spool.ErrInUse) || errors.Is(why, localapi.ErrInUse) {
		return
	}
	a := &agent{set: set, marks: &marker{}}
	store, err := a.isolationStore()
	if err != nil {
		set.log.ErrorContext(ctx, "isolation not resumed", slog.Any("error", err))
		return
	}
	m, err := isolate.NewManager(isolate.Config{Firewall: firewall(), Store: unsaved{store}, Log: set.log})
	if err != nil {
		set.log.ErrorContext(ctx, "isolation not resumed", slog.Any("error", err))
		return
	}
	holdClosed(ctx, m, set.log)
}

// holdClosed resumes an isolation that was ordered, and nothing else.
func holdClosed(ctx context.Context, m *isolate.Manager, log *slog.Logger) {
	st := m.Status(ctx)
	if st.Desired != isolate.Isolated || !st.Capable {
		return
	}
	if _, err := m.Resume(ctx); err != nil {
		log.ErrorContext(ctx, "isolation not resumed", slog.Any("error", err))
		return
	}
	log.WarnContext(ctx, "the agent does not start; the PC stays isolated as ordered")
}

// unsaved leaves the record to an agent that works: what is missing from a lost one,
// such as the way to the collector, only that one knows.
type unsaved struct{ isolate.Store }

func (unsaved) Save(isolate.Record) error { return isolate.ErrReadOnly }

// isolationStore opens the record of isolation.
func (a *agent) isolationStore() (isolate.Store, error) {
	dir := filepath.Join(a.set.state, "isolation")
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := a.isolationKey(filepath.Join(dir, "key"))
	if err != nil {
		return nil, err
	}
	return isolate.NewFileStore(isolate.FileStoreConfig{Dir: dir, Key: key})
}
