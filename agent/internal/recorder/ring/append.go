package ring

import (
	"encoding/json"
	"fmt"

	"hozen/internal/artifact"
)

// gapRoom is kept in the buffer for the entry that tells of a loss.
const gapRoom = 512

// loss is what found the buffer full since the last gap entry.
type loss struct {
	entries, bytes uint64
	from, until    artifact.Instant
}

// Append takes an entry into the buffer; [Ring.Flush] writes it. It never waits for the
// disk. When the buffer is full the entry is lost and counted, a [KindGap] entry will
// stand in its place, and the error is [ErrBufferFull]: there is nothing more to do.
// Kind 0 or a payload over MaxPayload is [ErrEntry]; a closed ring [ErrClosed].
// The payload is copied.
func (r *Ring) Append(k Kind, at artifact.Instant, payload []byte) error {
	if k == KindGap || len(payload) > MaxPayload {
		return fmt.Errorf("append entry of kind %d with %d bytes: %w", k, len(payload), ErrEntry)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if r.buffered+len(payload)+maxEntry-MaxPayload+gapRoom > r.cfg.BufferBytes {
		if r.loss.entries == 0 {
			r.loss.from = at
		}
		r.loss.entries++
		r.loss.bytes += uint64(len(payload))
		r.loss.until = at
		r.stats.Lost++
		r.signal()
		return ErrBufferFull
	}
	r.noteLoss()
	r.add(k, at, payload)
	r.lastAt = at
	if r.buffered > r.cfg.BufferBytes/2 {
		r.signal()
	}
	return nil
}

func (r *Ring) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// add puts an entry into the newest chunk. mu is held.
func (r *Ring) add(k Kind, at artifact.Instant, payload []byte) {
	n := len(r.pending)
	if n == 0 || r.pending[n-1].sealed || len(r.pending[n-1].plain)+len(payload)+maxEntry-MaxPayload > maxPlain {
		r.pending = append(r.pending, &chunk{first: r.nextSeq})
		n++
	}
	c := r.pending[n-1]
	before := len(c.plain)
	c.add(k, at, payload)
	r.buffered += len(c.plain) - before
	r.nextSeq++
}

// noteLoss turns the loss so far into an entry. mu is held.
func (r *Ring) noteLoss() {
	if r.loss.entries == 0 {
		return
	}
	l := r.loss
	r.loss = loss{}
	r.addGap(Gap{Reason: GapBufferFull, Entries: l.entries, Bytes: l.bytes, From: l.from, Until: l.until}, l.until)
}

func (r *Ring) addGap(g Gap, at artifact.Instant) {
	b, err := json.Marshal(g)
	if err != nil { // a wall clock outside the years that JSON knows
		g.From, g.Until = artifact.Instant{}, artifact.Instant{}
		b, _ = json.Marshal(g) // numbers and a constant
	}
	r.add(KindGap, at, b)
}
