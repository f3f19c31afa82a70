package acquire

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
	"hozen/internal/digest"
)

// batch is how many bytes of lines are gathered before they are hashed and compressed.
const batch = 64 << 10

// window bounds the memory of compressing here and of decompressing everywhere else.
const window = 1 << 20

var errClosed = errors.New("the time of this probe is over")

func newEncoder() (*zstd.Encoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	return enc, nil
}

// artifactName returns the name of the part that holds a kind.
func artifactName(k artifact.Kind) string {
	return artifact.ArtifactDir + "/" + string(k) + ".jsonl.zst"
}

// writer takes the records of one probe: lines → digest → zstd → part. The part is
// made with the first record. It can be cut off under the hands of a probe that does
// not stop.
type writer struct {
	acq  *spool.Acquisition
	enc  *zstd.Encoder
	name string

	mu      sync.Mutex
	over    bool
	buf     []byte
	records int64
	part    *spool.Part
	plain   *digest.Writer
	err     error // first error of what lies under it
}

func newWriter(acq *spool.Acquisition, enc *zstd.Encoder, name string) *writer {
	return &writer{acq: acq, enc: enc, name: name}
}

// Write implements probe.Writer.
func (w *writer) Write(r probe.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return errClosed
	}
	if w.err != nil {
		return w.err
	}
	if w.part == nil {
		part, err := w.acq.Create(w.name)
		if err != nil {
			w.err = err
			return err
		}
		w.part = part
		w.enc.Reset(part)
		w.plain = digest.NewWriter(w.enc)
	}
	w.buf = append(r.AppendJSON(w.buf), '\n')
	w.records++
	if len(w.buf) >= batch {
		w.flush()
	}
	return w.err
}

func (w *writer) flush() {
	if w.err == nil {
		_, w.err = w.plain.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// cutOff makes every later Write fail.
func (w *writer) cutOff() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// finish makes the part durable and describes it, or returns nil when nothing was
// written. After an error the part is given up.
func (w *writer) finish(kind artifact.Kind, schema string) (*artifact.Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.part == nil {
		return nil, w.err
	}
	w.flush()
	if w.err == nil {
		w.err = w.enc.Close()
	}
	if w.err != nil {
		return nil, errors.Join(w.err, w.part.Discard())
	}
	if err := w.part.Close(); err != nil {
		return nil, err
	}
	sum, size := w.part.Sum()
	return &artifact.Entry{
		Name:        w.name,
		Kind:        kind,
		Schema:      schema,
		Records:     w.records,
		Compression: "zstd",
		Envelope:    artifact.Envelope{Scheme: "none"},
		Plain:       artifact.Content{SHA256: w.plain.Sum().String(), Size: w.plain.Size()},
		Stored:      artifact.Content{SHA256: sum.String(), Size: size},
	}, nil
}
