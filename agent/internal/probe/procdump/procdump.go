package procdump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Target is the process that somebody chose.
type Target struct {
	PID int
	// StartTicks is when it began, as its record says; 0: whichever process has the number.
	StartTicks uint64
}

// About is what is known of a process before it is read.
type About struct {
	PID        int
	StartTicks uint64
	StartedAt  time.Time
	Path       string
	Committed  int64 // bytes of its memory that can be read
	Secrets    bool  // it keeps the passwords of whoever is signed in
}

// System is the system that the process is of.
type System interface {
	// Look tells of a process.
	Look(pid int) (About, error)
	// Dump writes the memory of the process into a file that is gone when it is closed. It ends
	// with an error when ctx does, and when the file passes most bytes.
	Dump(ctx context.Context, a About, most int64) (io.ReadCloser, error)
	// Method says what writes it.
	Method() string
}

const (
	chunk = 1 << 20
	// more is how much a dump may be beyond the memory that was measured: lists of threads, modules
	// and handles, and what the process took meanwhile.
	more = 64 << 20
	// Largest is the most memory of which a dump is begun.
	Largest = 32 << 30
	magic   = "MDMP"
)

// refused is why there is no dump. A probe that is told so was denied.
type refused struct{ why string }

func (e *refused) Error() string { return e.why }
func (e *refused) Unwrap() error { return fs.ErrPermission }

// Capture is one dump, which serves two probes: the memory, and after it what it is of.
type Capture struct {
	target Target
	system System

	mu   sync.Mutex
	told *record.ProcDumped // nil: the process was not found
	err  error              // why
}

// New returns a dump of a process that was not begun.
func New(t Target, s System) *Capture {
	return &Capture{target: t, system: s, err: errors.New("no dump was begun")}
}

// Memory returns the probe of the memory itself.
func (c *Capture) Memory() probe.Probe { return memory{c} }

// Told returns the probe of what it is of.
func (c *Capture) Told() probe.Probe { return told{c} }

type memory struct{ c *Capture }

func (memory) Kind() artifact.Kind          { return artifact.KindProcDump }
func (memory) Schema() string               { return record.SchemaProcDump }
func (memory) Volatility() probe.Volatility { return probe.Image }

// Acquire writes the dump. Its error is as [probe.Probe] says.
func (m memory) Acquire(ctx context.Context, w probe.Writer) error {
	err := m.c.take(ctx, w)
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	switch {
	case m.c.told == nil:
		m.c.err = err
	case err != nil:
		m.c.told.Problem = err.Error()
	}
	return err
}

func (c *Capture) take(ctx context.Context, w probe.Writer) error {
	raw, ok := w.(probe.RawWriter)
	if !ok {
		return errors.ErrUnsupported
	}
	a, err := c.system.Look(c.target.PID)
	if err != nil {
		return fmt.Errorf("process %d: %w", c.target.PID, err)
	}
	if c.target.StartTicks != 0 && a.StartTicks != c.target.StartTicks {
		return fmt.Errorf("process %d is another one now: this began at %d, the one that was meant at %d, and it has ended", a.PID, a.StartTicks, c.target.StartTicks)
	}
	r := &record.ProcDumped{PID: a.PID, StartTicks: a.StartTicks, StartedAt: a.StartedAt, Path: a.Path, Committed: a.Committed, Method: c.system.Method()}
	c.mu.Lock()
	c.told, c.err = r, nil
	c.mu.Unlock()
	switch {
	case a.Secrets:
		return &refused{"this process keeps the passwords of everyone who is signed in, and is never dumped"}
	case a.Committed > Largest:
		return &refused{fmt.Sprintf("it has %d bytes of memory, and no dump of more than %d is begun", a.Committed, int64(Largest))}
	}
	most := a.Committed + a.Committed/4 + more
	// The system's file and the packed copy stand beside each other for a while.
	if err := raw.Room(2 * most); err != nil {
		return &refused{fmt.Sprintf("a dump of %d bytes was not begun: %v", a.Committed, err)}
	}
	begun := time.Now()
	c.set(func() { r.Dumped = begun.UTC() })
	f, err := c.system.Dump(ctx, a, most)
	c.set(func() { r.Took = time.Since(begun).Milliseconds() })
	if err != nil {
		return fmt.Errorf("dump process %d: %w", a.PID, err)
	}
	return errors.Join(c.copy(ctx, f, raw, r), f.Close())
}

func (c *Capture) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// copy hands the dump over.
func (c *Capture) copy(ctx context.Context, f io.Reader, w probe.RawWriter, r *record.ProcDumped) error {
	buf := make([]byte, chunk)
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("the dump was copied up to %d bytes: %w", r.Size, err)
		}
		n, err := io.ReadFull(f, buf)
		if first && (n < len(magic) || string(buf[:len(magic)]) != magic) {
			return errors.New("what the system wrote is no dump")
		}
		if n > 0 {
			if err := w.WriteRaw(buf[:n]); err != nil {
				return err
			}
			c.set(func() { r.Size += int64(n) })
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the dump: %w", err)
		}
	}
}

type told struct{ c *Capture }

func (told) Kind() artifact.Kind          { return artifact.KindProcDumped }
func (told) Schema() string               { return record.SchemaProcDumped }
func (told) Volatility() probe.Volatility { return probe.Image }

// Begun implements [probe.Summary].
func (t told) Begun() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.c.told != nil
}

// Acquire writes the line.
func (t told) Acquire(_ context.Context, w probe.Writer) error {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if t.c.told == nil {
		return t.c.err
	}
	one := *t.c.told
	return w.Write(&one)
}
