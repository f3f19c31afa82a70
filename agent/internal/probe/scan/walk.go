package scan

import (
	"context"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact/record"
)

// At is the process that a walk is at. It is valid until the function that got it
// returns, and so are the bytes that its methods return: until the next call.
type At struct {
	// Process must not be changed.
	Process *record.Process
	place
}

// Reader appends what it reads of one process to b: one JSON object, or nothing where
// there is nothing to tell. An error beside an object says that something is missing in
// it; one that says that the process is gone costs nothing.
type Reader func(a *At, b []byte) ([]byte, error)

// Walk reads something more of every process but the kernel's own threads, several at a
// time, and writes it in the order of their PIDs. What a process can make hang holds up
// that process alone. The error follows the contract of probe.Probe; what names the
// thing that is read, such as "environments".
func (p *Pass) Walk(ctx context.Context, w probe.Writer, what string, read Reader) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stroll(ctx, w, what, read)
}

// rendered is a record that was written out where it was read.
type rendered []byte

// AppendJSON implements probe.Record.
func (r rendered) AppendJSON(b []byte) []byte { return append(b, r...) }
