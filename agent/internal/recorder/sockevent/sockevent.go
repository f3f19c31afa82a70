package sockevent

import (
	"context"
	"time"

	"hozen/agent/internal/recorder/entry"
)

// The defaults of [Config].
const (
	DefaultEvery         = 500 * time.Millisecond
	DefaultReceiveBuffer = 4 << 20
	DefaultMost          = 20_000
)

// Budget says whether there is time left for what is dear.
type Budget interface {
	Allow() bool
	Spend(time.Duration)
}

// Owners finds who holds sockets.
type Owners interface {
	// Find calls found with each of want that one of pids holds; no pids means all
	// processes.
	Find(pids []int, want map[uint32]struct{}, found func(inode uint32, pid int)) error
}

// Config is what a Watcher needs.
type Config struct {
	// Root is where /proc is looked up. Optional: "/".
	Root string
	// Every is how often to look whether something opened. Optional: [DefaultEvery].
	Every time.Duration
	// ReceiveBuffer is how much of the kernel's notices may wait, in bytes. Optional:
	// [DefaultReceiveBuffer].
	ReceiveBuffer int
	// Most is how many sockets are kept in mind, some 150 bytes each. Optional:
	// [DefaultMost]. What is above is a Gap.
	Most int
	// Boot reads the clock of all times, nanoseconds since boot with sleep included.
	Boot func() int64
	// Budget bounds the asking. Optional: no bound.
	Budget Budget
	// Owners finds the processes that hold a socket. Optional: then nobody is named.
	Owners Owners
}

// Open prepares to watch the network namespace of the calling thread. Sockets that end
// are told from then on. The error wraps [errors.ErrUnsupported] where the system does
// not list sockets.
func Open(cfg Config) (*Watcher, error) {
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	if cfg.Every <= 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.ReceiveBuffer == 0 {
		cfg.ReceiveBuffer = DefaultReceiveBuffer
	}
	if cfg.Most == 0 {
		cfg.Most = DefaultMost
	}
	return open(cfg)
}

// Run calls emit with each event until ctx ends or the Watcher breaks. The sockets that
// are open at the beginning are told as opened too, found when first looked. It may be
// called once.
func (w *Watcher) Run(ctx context.Context, emit func(*entry.Event)) error { return w.run(ctx, emit) }

// Close ends the Watcher.
func (w *Watcher) Close() error { return w.close() }

// Count returns how many sockets are open, as far as known.
func (w *Watcher) Count() int { return w.table.count() }

// List calls emit with each socket that is open, as far as known.
func (w *Watcher) List(emit func(*entry.Event)) { w.table.list(emit) }
