package spool_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hozen/agent/internal/spool"
	"hozen/internal/id"
)

// TestOfferedAgain: what was refused for want of a key waits again when the collector tells of
// other keys, or of the same ones a day later, or to an agent that was started anew; nothing
// else does. It is never dropped.
func TestOfferedAgain(t *testing.T) {
	now := time.Now()
	cfg := spool.Config{Dir: t.TempDir(), MaxBytes: 5 << 20, Now: func() time.Time { return now }}
	s := open(t, cfg)
	locked, bad, good := sealed(t, s, 1<<20), sealed(t, s, 1<<20), sealed(t, s, 100)
	lacking := func() { t.Helper(); must(t, s.Refused(locked, spool.OtherKey+": artifacts/process.jsonl.zst")) }
	lacking()
	must(t, s.Refused(bad, "digest_mismatch: other_key"))
	must(t, s.Receipt(good, []byte("{}")))
	state := func(want spool.State) {
		t.Helper()
		if i := s.List()[0]; i.State != want || (i.Reason != "") != (want == spool.Refused) {
			t.Errorf("%s because of %q, want %s", i.State, i.Reason, want)
		}
	}
	offered := func(keys string, want int) {
		t.Helper()
		changed := s.Changed()
		if n := s.OfferAgain(keys); n != want {
			t.Errorf("%d offered again under %s, want %d", n, keys, want)
		}
		select {
		case <-changed:
			if want == 0 {
				t.Error("the uploader is woken for nothing")
			}
		default:
			if want > 0 {
				t.Error("the uploader is not woken")
			}
		}
	}
	offered("a", 1)
	state(spool.Sealed)
	lacking()
	state(spool.Refused)
	used := s.Status().UsedBytes
	offered("a", 0)
	offered("b", 1)
	lacking()
	if got := s.Status().UsedBytes; got != used {
		t.Errorf("%d bytes used, %d before it was refused once more", got, used)
	}
	now = now.Add(25 * time.Hour)
	offered("b", 1)
	must(t, s.Close()) // before the collector answered
	s = open(t, cfg)
	state(spool.Refused)
	offered("b", 1)
	lacking()

	now = now.Add(30 * 24 * time.Hour)
	for n := range 9 { // room is made of what may go
		a, err := s.Begin(id.New(id.Acquisition), nil)
		if errors.Is(err, spool.ErrFull) {
			break
		}
		must(t, err)
		p, err := a.Create("artifacts/a")
		must(t, err)
		if _, err := p.Write(make([]byte, 1<<20)); errors.Is(err, spool.ErrFull) {
			break
		} else if err != nil || n == 8 {
			t.Fatal("it never gets full: ", err)
		}
	}
	state(spool.Refused)
	for _, i := range s.List() {
		if i.AcquisitionID == bad || i.AcquisitionID == good {
			t.Errorf("%s is kept", i.State)
		}
	}

	offered("c", 1)
	must(t, s.Receipt(locked, []byte("{}")))
	must(t, s.Close())
	s = open(t, spool.Config{Dir: cfg.Dir, KeepAfterReceipt: time.Hour})
	state(spool.Received)
}

// TestKeysComeBeforeTheRefusal: what is on its way when the collector tells of keys is refused
// by one that had not got them, so it waits once more, and not twice.
func TestKeysComeBeforeTheRefusal(t *testing.T) {
	cfg := spool.Config{Dir: t.TempDir()}
	s := open(t, cfg)
	acq := sealed(t, s, 100)
	want := func(when string, want spool.State) {
		t.Helper()
		if got := s.List()[0].State; got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	send := func() { // as the uploader begins to
		t.Helper()
		r, err := s.Open(acq)
		must(t, err)
		r.HandOver()
		must(t, r.Close())
	}
	refused := func(code string) { t.Helper(); must(t, s.Refused(acq, code)) }
	send()
	refused(spool.OtherKey)
	want("no keys were told", spool.Refused)
	s.OfferAgain("a")
	send()
	s.OfferAgain("b")
	r, err := s.Open(acq) // who only reads hands nothing over
	must(t, err)
	must(t, r.Close())
	refused(spool.OtherKey)
	want("other keys were told on the way", spool.Sealed)
	send()
	s.OfferAgain("b")
	refused(spool.OtherKey)
	want("the same keys were told on the way", spool.Refused)
	s.OfferAgain("c")
	send()
	s.OfferAgain("d")
	refused("digest_mismatch")
	want("it is refused for something else", spool.Refused)
	must(t, s.Close())
	s = open(t, cfg)
	want("started anew", spool.Refused)
}

// TestFileThatIsGone: what was whole and is not there any more ends early, and is not taken for
// a part that was given up.
func TestFileThatIsGone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	acq := sealed(t, s, 100)
	r, err := s.Open(acq)
	must(t, err)
	defer r.Close()
	file := filepath.Join(dir, acq, "artifacts", "process.jsonl.zst")
	must(t, os.Truncate(file, 40))
	b := make([]byte, 100)
	if n, err := r.ReadAt("artifacts/process.jsonl.zst", b, 0); n != 40 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %d, %v", n, err)
	}
	must(t, os.Remove(file))
	if n, err := r.ReadAt("artifacts/process.jsonl.zst", b, 0); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, spool.ErrGone) {
		t.Errorf("removed: %d, %v", n, err)
	}
	if _, err := r.ReadAt("artifacts/other", b, 0); !errors.Is(err, spool.ErrGone) {
		t.Errorf("a part that never was: %v", err)
	}
}
