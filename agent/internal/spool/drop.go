package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hozen/agent/internal/sorted"
	"hozen/internal/crashpoint"
	"hozen/internal/durable"
)

// step does one thing that persists something, with the marks that tests use to stop
// before and after it.
func (s *Spool) step(name string, do func() error) error {
	for _, mark := range []string{".before", ".after"} {
		if mark == ".after" {
			if err := do(); err != nil {
				return err
			}
		}
		crashpoint.Hit(name + mark)
		if s.cfg.Step != nil {
			if err := s.cfg.Step(name + mark); err != nil {
				return err
			}
		}
	}
	return nil
}

// Receipt keeps the collector's receipt beside the acquisition, which from now on may
// be dropped. Calling it again is no error. The error wraps ErrUnknown when the
// acquisition is not here or not sealed.
func (s *Spool) Receipt(acquisitionID string, receipt []byte) error {
	if len(receipt) == 0 || len(receipt) > maxReceipt {
		return fmt.Errorf("keep receipt of %s: %d bytes, want 1 to %d", acquisitionID, len(receipt), maxReceipt)
	}
	return s.settle(acquisitionID, Received, "", receiptFile, receipt)
}

// Refused keeps the word that the collector will not take the acquisition, so that
// it isn't sent for ever. The evidence stays.
func (s *Spool) Refused(acquisitionID, reason string) error {
	reason = strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "\ufffd")
	b, err := json.Marshal(verdict{Reason: reason, At: s.cfg.Now().UTC()})
	if err != nil {
		return fmt.Errorf("keep refusal of %s: %w", acquisitionID, err)
	}
	return s.settle(acquisitionID, Refused, reason, refusedFile, b)
}

func (s *Spool) settle(acquisitionID string, state State, reason, file string, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[acquisitionID]
	switch {
	case e == nil || e.state == Live || e.state == Interrupted:
		return fmt.Errorf("settle %.60q as %s: %w", acquisitionID, state, ErrUnknown)
	case e.state == state:
		return nil
	case e.state == Received:
		return fmt.Errorf("settle %s as %s: it has a receipt", acquisitionID, state)
	}
	err := s.step(crashpoint.SpoolSettle, func() error { return durable.WriteFile(filepath.Join(s.cfg.Dir, e.id, file), b, 0o600) })
	if err != nil {
		return fmt.Errorf("settle %s as %s: %w", acquisitionID, state, err)
	}
	e.state, e.reason, e.receivedAt = state, reason, s.cfg.Now()
	e.other += int64(len(b))
	if state == Refused { // it may be one of several, of which one file is left
		e.other -= e.verdict
		e.verdict = int64(len(b))
	}
	if e.locked() && s.keys != "" && e.offered != s.keys {
		s.offer(e) // what refused it had not got the keys yet
	}
	s.changedLocked()
	_, err = s.sweep()
	return err
}

// OtherKey begins the reason of a refusal that is not final: the collector lacks the key, as
// one does that was put back to a state before a key was made, and may get it back.
const OtherKey = "other_key"

// offerEvery is how long the same word of the collector's keys does not make the spool offer
// an acquisition again that those did not open.
const offerEvery = 24 * time.Hour

// locked reports whether an acquisition was refused for want of its key.
func (e *entry) locked() bool { return e.state == Refused && strings.HasPrefix(e.reason, OtherKey) }

// OfferAgain lets acquisitions that were refused for want of a key wait for the collector
// again, because it has told of keys: once under the same keys, which is any text that stands
// for them, and then once a day. It returns how many these are. What is refused anew is
// settled as before, unless it was on its way before these keys were told of: the refusal may
// have been on its way too, so it waits once more.
func (s *Spool) OfferAgain(keys string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
	for _, e := range s.entries {
		if !e.locked() || e.offered == keys && s.cfg.Now().Sub(e.receivedAt) < offerEvery {
			continue
		}
		s.offer(e)
		n++
	}
	if n > 0 {
		s.cfg.Log.Info("evidence that was refused for want of a key is offered again", slog.Int("acquisitions", n))
		s.changedLocked()
	}
	return n
}

// offer lets an acquisition wait again, under the keys that were told last.
func (s *Spool) offer(e *entry) { e.state, e.reason, e.offered = Sealed, "", s.keys }

// Sweep drops acquisitions with a receipt that are past their time.
func (s *Spool) Sweep() (dropped int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sweep()
}

func (s *Spool) sweep() (dropped int, err error) {
	for _, e := range s.candidates() {
		if e.state == Received && s.pastTime(e) {
			if err := s.drop(e); err != nil {
				return dropped, err
			}
			dropped++
		}
	}
	return dropped, nil
}

// pastTime reports whether an acquisition was settled longer ago than it is kept. A
// clock that ran backwards makes that later, never sooner.
func (s *Spool) pastTime(e *entry) bool {
	keep := s.cfg.KeepAfterReceipt
	if e.state == Received && e.counted() < e.bytes() {
		keep = min(keep, keepImage)
	}
	return keep < 0 || s.cfg.Now().Sub(e.receivedAt) > keep
}

// candidates lists what may be dropped, the first to go first. This is the order
// that the package comment promises.
func (s *Spool) candidates() []*entry {
	var list []*entry
	for _, e := range s.entries {
		if e.state == Received || (e.state == Refused && !e.locked() && s.pastTime(e)) {
			list = append(list, e)
		}
	}
	sorted.Func(list, func(a, b *entry) int {
		if a.state != b.state {
			return int(a.state) - int(b.state)
		}
		if a.sequence < b.sequence {
			return -1
		}
		return 1
	})
	return list
}

// used is what the quota counts.
func (s *Spool) used() (n int64) {
	for _, e := range s.entries {
		n += e.counted()
	}
	return n
}

// lack is how many bytes must go before more fit: of what the quota counts, and of the
// disk.
type lack struct{ quota, disk int64 }

func (l lack) none() bool { return l.quota <= 0 && l.disk <= 0 }

// less is what is still lacking without an acquisition.
func (l lack) less(e *entry) lack { return lack{l.quota - e.counted(), l.disk - e.bytes()} }

// keepImage is how long an acquisition with an image of memory stays at most once the
// collector has it: it takes as much of the disk as the PC has memory.
const keepImage = 24 * time.Hour

// imageSpare is what an image of memory leaves free on the disk besides
// Config.MinFreeBytes.
const imageSpare = 1 << 30

// short returns what must go before n more bytes fit.
func (s *Spool) short(n int64, image bool) (l lack) {
	if !image {
		l.quota = s.used() + n - s.cfg.MaxBytes
	}
	if s.cfg.MinFreeBytes > 0 {
		// Where free space cannot be known the quota alone has to do.
		if free, err := s.cfg.Free(s.cfg.Dir); err == nil {
			l.disk = s.cfg.MinFreeBytes + n - free
		}
	}
	return l
}

// afterDropping is what is still lacking when everything is gone that may go.
func (s *Spool) afterDropping(l lack) lack {
	for _, e := range s.candidates() {
		l = l.less(e)
	}
	return l
}

// makeRoom drops what may be dropped until nothing is lacking. When that cannot succeed
// it drops nothing.
func (s *Spool) makeRoom(l lack) error {
	if l.none() {
		return nil
	}
	if !s.afterDropping(l).none() {
		return fmt.Errorf("%d bytes short of %d: %w", max(l.quota, l.disk), s.cfg.MaxBytes, ErrFull)
	}
	for _, e := range s.candidates() {
		if l.none() {
			break
		}
		l = l.less(e)
		if err := s.drop(e); err != nil {
			return err
		}
	}
	return nil
}

// reserve implements host.
func (s *Spool) reserve(n int64, image bool) error { return s.makeRoom(s.short(n, image)) }

// behind implements host.
func (s *Spool) behind(f *os.File, offset, n int64) error { return s.cfg.Behind(f, offset, n) }

// room implements host. Nothing is dropped yet: writing does that. An image leaves room on
// the disk even where other evidence need not.
func (s *Spool) room(n int64) error {
	stays := max(s.cfg.MinFreeBytes, 0) + imageSpare
	free, err := s.cfg.Free(s.cfg.Dir)
	if err != nil { // where it cannot be known, writing will tell
		return nil
	}
	if l := s.afterDropping(lack{disk: n + stays - free}); l.disk > 0 {
		return fmt.Errorf("%d bytes more would have to be free (%d are needed, %d stay free): %w", l.disk, n, stays, ErrNoRoom)
	}
	return nil
}

// drop takes an acquisition away. The folder loses its name first, so that a crash in
// the middle never leaves something that looks like an unsealed acquisition.
func (s *Spool) drop(e *entry) error {
	s.cfg.Log.Info("acquisition dropped from the spool", slog.String("acquisition", e.id), slog.String("state", e.state.String()),
		slog.Duration("after", s.cfg.Now().Sub(e.receivedAt).Round(time.Second)), slog.Int64("bytes", e.bytes()))
	err := s.step(crashpoint.SpoolDrop, func() error {
		return durable.Rename(filepath.Join(s.cfg.Dir, e.id), filepath.Join(s.cfg.Dir, e.id+dropping))
	})
	if err != nil {
		return fmt.Errorf("drop %s: %w", e.id, err)
	}
	delete(s.entries, e.id)
	s.changedLocked()
	if err := s.root.RemoveAll(e.id + dropping); err != nil {
		return fmt.Errorf("drop %s: %w", e.id, err)
	}
	return nil
}

// Abort takes a live acquisition away as if it had never been begun.
func (a *Acquisition) Abort() error {
	err := errors.Join(a.notes.close(), a.root.Close())
	switch h := a.host.(type) {
	case *Spool:
		h.mu.Lock()
		defer h.mu.Unlock()
		return errors.Join(err, h.drop(a.e))
	default:
		for _, p := range a.e.parts {
			err = errors.Join(err, os.RemoveAll(filepath.Join(a.dir, p.onDisk)))
		}
		return err
	}
}

// Leave gives the acquisition up without sealing it, as a crash would. In a spool it
// is interrupted from now on and can be resumed.
func (a *Acquisition) Leave() error {
	err := errors.Join(a.notes.close(), a.root.Close())
	s, ok := a.host.(*Spool)
	if !ok {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, a.e.id)
	err = errors.Join(err, s.loadOne(a.e.id))
	s.changedLocked()
	return err
}
