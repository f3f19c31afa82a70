// Package probe is the contract of everything that reads one family of evidence,
// and the order of volatility in which families are read. It knows nothing of
// where records go.
package probe

import (
	"context"
	"errors"

	"hozen/internal/artifact"
)

// Volatility orders probes within one pass, most volatile first (RFC 3227, 2.1).
type Volatility int

// The classes, in the order in which they are read.
const (
	Live      Volatility = iota // processes and sockets: gone within milliseconds
	Handles                     // open files: as long as their process
	Presence                    // sessions, neighbours, addresses: minutes
	Machine                     // host facts, clocks: as long as the boot
	Image                       // all of memory: minutes, in which the rest would change
	Derivable                   // computed from files on disk, such as hashes
	Closing                     // of the acquisition itself, when all else is read
)

// Probe reads one family of evidence from the endpoint it runs on. A Probe serves
// one acquisition and is then thrown away.
type Probe interface {
	// Kind is stable for ever; it appears in manifests, reports and translations.
	Kind() artifact.Kind
	// Schema names the record format, such as "hozen.process/1".
	Schema() string
	// Volatility orders probes within one pass.
	Volatility() Volatility
	// Acquire writes records to w until done or until ctx ends. What was written stays
	// valid: an error says what is missing. An error wrapping [errors.ErrUnsupported]
	// means that this system has no such evidence, one wrapping fs.ErrPermission that it
	// was denied, one wrapping ctx.Err() that time ran out, and a [*Missing] that
	// some of it could not be read.
	Acquire(ctx context.Context, w Writer) error
}

// Record is one line of a JSONL artifact.
type Record interface {
	// AppendJSON appends the record as one JSON object without a newline.
	AppendJSON(b []byte) []byte
}

// Writer takes the records of one probe. It is not safe for concurrent use. The
// record may be reused as soon as Write returns.
type Writer interface {
	Write(r Record) error
}

// Missing is the error of a probe that read most of its family: Skipped things were
// seen but could not be read, Err is the first reason.
type Missing struct {
	Skipped int64
	Err     error
}

func (m *Missing) Error() string { return "partly unread: " + m.Err.Error() }

// Unwrap returns the first reason.
func (m *Missing) Unwrap() error { return m.Err }

// AsMissing returns the *Missing in err's chain, or nil.
func AsMissing(err error) *Missing {
	m, _ := errors.AsType[*Missing](err)
	return m
}
