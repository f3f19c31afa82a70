package procevent

import (
	"context"
	"time"

	"hozen/agent/internal/recorder/entry"
)

// DefaultReceiveBuffer holds about ten thousand events: the kernel counts some 800
// bytes for each of them. It is used only while events wait.
const DefaultReceiveBuffer = 8 << 20

// Budget says whether there is time left to read /proc.
type Budget interface {
	// Allow reports whether something dear may be done now.
	Allow() bool
	// Spend tells how long it took.
	Spend(time.Duration)
}

// Config is what a Connector needs.
type Config struct {
	// Root is where /proc is looked up. Optional: "/".
	Root string
	// ReceiveBuffer is how much may wait in the kernel, in bytes, limit of the system or
	// not (SO_RCVBUFFORCE). Optional: [DefaultReceiveBuffer].
	ReceiveBuffer int
	// Budget bounds the reading of /proc. Without time left, events are told as they
	// come, marked [entry.UnreadBudget]. Optional: no bound.
	Budget Budget
	// Guard reads what an exec started. It stays the caller's to close, so that a
	// connector that is opened again goes on with what is known to hang. Optional: one of
	// its own.
	Guard *Guard
}

// Open asks the kernel for process events. They gather from then on and are told by
// Run. The error wraps [errors.ErrUnsupported] where the kernel does not tell them:
// outside the initial namespaces, or built without them; and fs.ErrPermission without
// CAP_NET_ADMIN.
func Open(cfg Config) (*Connector, error) {
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	if cfg.ReceiveBuffer == 0 {
		cfg.ReceiveBuffer = DefaultReceiveBuffer
	}
	return open(cfg)
}

// Run calls emit with each event until ctx ends or the Connector breaks. What happened
// before ctx ended and waits yet is told then, marked [entry.UnreadBudget]. The event and
// its bytes are emit's until it returns. It may be called once.
func (c *Connector) Run(ctx context.Context, emit func(*entry.Event)) error {
	return c.run(ctx, emit)
}

// Close ends the Connector.
func (c *Connector) Close() error { return c.close() }

// turn says what one message means: what is missing before it, and the event itself.
// bootMinusMono turns the kernel's time into nanoseconds since boot.
func turn(s *sequence, m *message, bootMinusMono int64, e *entry.Event, gap func(lost uint64)) (ok bool, err error) {
	if n := s.lost(m.CPU, m.Seq); n > 0 {
		gap(uint64(n))
	}
	ok, err = m.event(e)
	e.BootNS = m.MonoNS + bootMinusMono
	return ok, err
}
