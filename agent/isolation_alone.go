package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/uplink/journal"
)

// networkAlone reads without an agent how isolated the PC is: the order from the disk, the
// rules from the kernel. It changes nothing, and makes no file. Without root there is
// little to read.
func (c *command) networkAlone(ctx context.Context) (localapi.NetworkStatus, error) {
	store, err := readOnlyStore(c.folder())
	if err != nil {
		return localapi.NetworkStatus{}, err
	}
	m, err := isolate.NewManager(isolate.Config{Firewall: firewall(), Store: store})
	if err != nil {
		return localapi.NetworkStatus{}, err
	}
	return networkStatus(m.Status(ctx), sourceWithout, time.Now()), nil
}

// readOnlyStore opens the record of isolation without making anything. A key that is gone
// makes the record lost, as it does for the agent.
func readOnlyStore(state string) (isolate.Store, error) {
	dir := filepath.Join(state, "isolation")
	key, err := os.ReadFile(filepath.Join(dir, "key"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what was ordered: %w", err)
	}
	if len(key) != isolationKeySize {
		key = make([]byte, isolationKeySize)
		_, _ = rand.Read(key) // never fails (crypto/rand)
	}
	store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: dir, Key: key})
	if err != nil {
		return nil, err
	}
	return unsaved{store}, nil
}

// releaseAlone gives the network back without an agent, for one that is uninstalled. What
// happened is kept for an agent that may be installed later.
func (c *command) releaseAlone(ctx context.Context, by string, log *slog.Logger) (localapi.NetworkStatus, error) {
	a := &agent{set: settings{state: c.folder(), log: log}, marks: &marker{}}
	store, err := a.isolationStore()
	if err != nil {
		return localapi.NetworkStatus{}, err
	}
	happened := make(chan untold)
	tell := func(h isolate.Happening) bool {
		kept := make(chan bool)
		happened <- untold{h, kept}
		return <-kept
	}
	m, err := isolate.NewManager(isolate.Config{Firewall: firewall(), Store: store, Log: log, Tell: tell})
	if err != nil {
		return localapi.NetworkStatus{}, err
	}
	st, err := m.ReleaseForUninstall(ctx, by)
	if e := st.Ended; e != nil && e.How == isolate.HappenedReleasedByUninstall {
		if kerr := keepEvents(c.folder(), happened, log); kerr != nil {
			log.WarnContext(ctx, "that the PC was released is not kept for the collector", slog.Any("error", kerr))
		}
	}
	return networkStatus(st, sourceWithout, time.Now()), err
}

// untold is what happened and was not kept yet; kept hears when it is.
type untold struct {
	isolate.Happening
	kept chan<- bool
}

// keepEvents puts what happened into the journal, up to the release.
func keepEvents(state string, happened <-chan untold, log *slog.Logger) (err error) {
	j, err := journal.Open(journal.Config{Path: filepath.Join(state, "journal", "journal"), Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	for {
		select {
		case h := <-happened:
			err := j.AddEvent(eventOf(h.Happening))
			h.kept <- err == nil
			if err != nil {
				return err
			}
			if h.Kind == isolate.HappenedReleasedByUninstall {
				return nil
			}
		case <-limit.C:
			return errors.New("it was not told")
		}
	}
}
