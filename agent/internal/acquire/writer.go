package acquire

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

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
	return artifact.ArtifactDir + "/" + string(k) + "." + string(k.Form()) + ".zst"
}

// writer takes the records of one probe: lines → digest → zstd → part. The part is
// made with the first record, or as soon as the acquisition is open. It can be cut off
// under the hands of a probe that does not stop.
type writer struct {
	acq  *opening
	enc  *zstd.Encoder
	name string

	mu      sync.Mutex
	over    bool
	late    bool // the acquisition was not open when the probe ended
	buf     []byte
	records int64
	part    *spool.Part
	plain   *digest.Writer
	err     error // first error of what lies under it

	// How many bytes are expected, where that is known, how many are written, in how many
	// lines: for whoever wants to know while it goes on.
	expected, written, lines atomic.Int64
}

func newWriter(acq *opening, enc *zstd.Encoder, name string) *writer {
	return &writer{acq: acq, enc: enc, name: name}
}

// Write implements probe.Writer. While the acquisition is not open yet, lines stay in
// memory.
func (w *writer) Write(r probe.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return errClosed
	}
	if w.err != nil {
		return w.err
	}
	if w.part == nil && w.acq.ready() && !w.create() {
		return w.err
	}
	held := len(w.buf)
	w.buf = append(r.AppendJSON(w.buf), '\n')
	w.records++
	w.lines.Add(1)
	w.written.Add(int64(len(w.buf) - held))
	if len(w.buf) >= batch && w.part != nil {
		w.flush()
	}
	return w.err
}

// Room implements probe.RawWriter.
func (w *writer) Room(n int64) error {
	if err := w.acq.wait(); err != nil {
		return err
	}
	w.expected.Store(n)
	return w.acq.acq.Room(n)
}

// WriteRaw implements probe.RawWriter. Bytes that are no lines count as one record.
func (w *writer) WriteRaw(b []byte) error {
	_ = w.acq.wait() // create tells the error
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return errClosed
	}
	if w.err != nil || w.part == nil && !w.create() {
		return w.err
	}
	if _, w.err = w.plain.Write(b); w.err == nil {
		w.records = 1
		w.written.Add(int64(len(b)))
	}
	return w.err
}

// far is how far the probe has come, so long after it began.
func (w *writer) far(took time.Duration) far {
	f := far{records: w.lines.Load(), bytes: w.written.Load(), expected: w.expected.Load()}
	if f.expected > 0 {
		f.expected = max(f.expected, f.bytes) // nobody is told of more than all
	}
	if took > 0 {
		f.rate = int64(float64(f.bytes) / took.Seconds())
	}
	return f
}

func (w *writer) create() bool {
	part, err := w.acq.create(w.name)
	if err != nil {
		w.err = err
		return false
	}
	w.part = part
	w.enc.Reset(part)
	w.plain = digest.NewWriter(w.enc)
	return true
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

// end lets nothing more in, writes out what is left, lets go of the encoder, and returns
// how many records there are. After an error the part is given up. While the acquisition
// is not open yet, all that is left to [writer.place].
func (w *writer) end() (records int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.part == nil && w.err == nil && w.records > 0 {
		if !w.acq.ready() {
			w.late = true
			return w.records, nil
		}
		w.create()
	}
	return w.compress()
}

func (w *writer) compress() (records int64, err error) {
	if w.part == nil {
		return 0, w.err
	}
	w.flush()
	if w.err == nil {
		w.err = w.enc.Close()
	}
	w.buf = nil
	if w.err != nil {
		return 0, errors.Join(w.err, w.part.Discard())
	}
	return w.records, nil
}

// catchUp does what end left, with an encoder of its own: the other one is in use.
func (w *writer) catchUp() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.late {
		return nil
	}
	if w.err = w.acq.wait(); w.err == nil {
		w.enc, w.err = newEncoder()
	}
	if w.err == nil {
		w.create()
	}
	_, err := w.compress()
	return err
}

// place makes the part durable and describes it, or returns nil when there is none.
func (w *writer) place(kind artifact.Kind, schema string) (*artifact.Entry, error) {
	if err := w.catchUp(); err != nil {
		return nil, err
	}
	if w.part == nil || w.err != nil {
		return nil, nil
	}
	sum, size := w.part.Sum()
	e := &artifact.Entry{
		Name:        w.name,
		Kind:        kind,
		Schema:      schema,
		Records:     w.records,
		Compression: "zstd",
		Envelope:    artifact.Envelope{Scheme: "none"},
		Plain:       artifact.Content{SHA256: w.plain.Sum().String(), Size: w.plain.Size()},
		Stored:      artifact.Content{SHA256: sum.String(), Size: size},
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("note artifact: %w", err)
	}
	w.part.Note(b) // a part that is encrypted cannot be read again
	if err := w.part.Close(); err != nil {
		return nil, err
	}
	return e, nil
}
