package scan

import (
	"context"
	"sync"
	"time"

	"hozen/internal/artifact/record"
)

// Options are the settings of a pass. The zero value is the usual one.
type Options struct {
	// Workers read processes at the same time. Default 2: more gains nothing, because
	// the kernel's own locks and the few cores of a PC are what limits.
	Workers int
	// Patience is how long one process may hold up a pass. Default 500 ms.
	Patience time.Duration
	// MaxFDs bounds the descriptors read of one process. Default 65,536.
	MaxFDs int
	// MaxCmdline bounds the bytes read of one command line. Default 8 MiB, which is
	// more than execve(2) takes.
	MaxCmdline int
	// Root is where /etc/passwd and /etc/group are looked up. Default "/".
	Root string
	// Keep is what one pass learns for the next. Optional.
	Keep *Keep
}

// Keep is what is worth remembering from one pass to the next; it may be shared by any number
// of them. Linux has nothing of the kind.
type Keep struct{ keep }

// NewKeep returns one that remembers nothing yet.
func NewKeep() *Keep { return &Keep{newKeep()} }

func (o Options) withDefaults() Options {
	if o.Workers <= 0 {
		o.Workers = 2
	}
	if o.Patience <= 0 {
		o.Patience = 500 * time.Millisecond
	}
	if o.MaxFDs <= 0 {
		o.MaxFDs = 1 << 16
	}
	if o.MaxCmdline <= 0 {
		o.MaxCmdline = 8 << 20
	}
	if o.Root == "" {
		o.Root = "/"
	}
	return o
}

// Pass is one reading of the endpoint. Its methods may be called in any order and
// from any goroutine; each reads what it needs and was not read yet. The results
// belong to the pass and must not be changed.
//
// Their errors follow the contract of probe.Probe: what is returned beside an error is
// valid, and a *probe.Missing counts what could not be read.
type Pass struct {
	mu    sync.Mutex
	opt   Options
	state state
}

// New returns a pass that has read nothing yet.
func New(o Options) *Pass { return &Pass{opt: o.withDefaults()} }

// Processes returns every process that was listed and still there when it was read,
// by PID. Threads of the kernel are among them.
func (p *Pass) Processes(ctx context.Context) ([]*record.Process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.processes(ctx)
}

// Sockets returns the sockets of every network namespace that has a process, this
// one's first, in the kernel's order, with their owners as far as the descriptors
// could be read.
func (p *Pass) Sockets(ctx context.Context) ([]record.Socket, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sockets(ctx)
}

// Files returns the open descriptors of every process, by PID. Threads of the kernel
// are left out unless they have any.
func (p *Pass) Files(ctx context.Context) ([]record.OpenFiles, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.files(ctx)
}
