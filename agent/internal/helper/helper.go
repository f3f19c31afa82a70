// Package helper keeps one helper of the agent running in every session of a PC, and
// knows which processes are its own. It knows nothing of what a helper does.
package helper

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	// look is how often is looked for sessions that nobody told of.
	look = 5 * time.Minute
	// again is how long a session waits for a new helper after one ended or did not start:
	// whoever ends theirs again and again costs the PC one start each time.
	again = time.Minute
)

// Process is a helper that runs.
type Process interface {
	PID() int
	Done() <-chan struct{}
	Kill()
}

// Config is the manual of a Keeper.
type Config struct {
	// Sessions lists the sessions that somebody is signed in to.
	Sessions func() ([]uint32, error)
	// Start starts a helper in a session.
	Start func(session uint32) (Process, error)
	// Log hears of what does not work. Optional.
	Log *slog.Logger
}

// Keeper keeps the helpers.
type Keeper struct {
	cfg  Config
	poke chan struct{}
	done chan uint32

	mu      sync.Mutex
	running map[uint32]Process
	since   map[uint32]time.Time // of the last start in a session
}

// New returns a Keeper.
func New(cfg Config) *Keeper {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{cfg: cfg, poke: make(chan struct{}, 1), done: make(chan uint32, 16), running: map[uint32]Process{}, since: map[uint32]time.Time{}}
}

// Look looks for new sessions soon.
func (k *Keeper) Look() {
	select {
	case k.poke <- struct{}{}:
	default:
	}
}

// Has reports whether a process is one of the helpers.
func (k *Keeper) Has(pid int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.running {
		if p.PID() == pid {
			return true
		}
	}
	return false
}

// Run keeps helpers until ctx ends, and ends them then.
func (k *Keeper) Run(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	defer k.killAll()
	tick := time.NewTicker(look)
	defer tick.Stop()
	retry := time.NewTimer(again)
	defer retry.Stop()
	for {
		if k.fill(ctx, &watching) {
			retry.Reset(again)
		}
		select {
		case <-ctx.Done():
			return
		case <-k.poke:
		case <-tick.C:
		case <-retry.C:
		case session := <-k.done:
			k.mu.Lock()
			delete(k.running, session)
			k.mu.Unlock()
			retry.Reset(again)
		}
	}
}

// fill starts what is missing, and reports whether something is left to be tried again.
func (k *Keeper) fill(ctx context.Context, watching *sync.WaitGroup) (left bool) {
	ids, err := k.cfg.Sessions()
	if err != nil {
		k.cfg.Log.WarnContext(ctx, "who is signed in is not known, so nobody is asked before sessions end", slog.Any("error", err))
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.since {
		if !slices.Contains(ids, id) {
			delete(k.since, id) // whoever signs in next gets a helper at once
		}
	}
	for _, id := range ids {
		const services = 0 // the session in which nobody sits
		if id == services || k.running[id] != nil {
			continue
		}
		if at, ok := k.since[id]; ok && time.Since(at) < again {
			left = true
			continue
		}
		k.since[id] = time.Now()
		p, err := k.cfg.Start(id)
		if err != nil {
			k.cfg.Log.WarnContext(ctx, "no helper in a session: what runs there may be gone before the PC goes down is known", slog.Int("session", int(id)), slog.Any("error", err))
			left = true
			continue
		}
		k.running[id] = p
		watching.Go(func() {
			<-p.Done()
			select {
			case k.done <- id:
			case <-ctx.Done():
			}
		})
	}
	return left
}

func (k *Keeper) killAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.running {
		p.Kill()
	}
}
