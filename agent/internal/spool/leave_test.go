package spool_test

import (
	"testing"

	"hozen/agent/internal/spool"
	"hozen/internal/id"
)

// TestReaderHearsThatTheWriterGaveUp: an upload that follows a running acquisition
// must come to an end when nobody writes any more, or it waits for ever and what is
// sealed later is never sent.
func TestReaderHearsThatTheWriterGaveUp(t *testing.T) {
	for name, end := range map[string]func(*spool.Acquisition) error{"left": (*spool.Acquisition).Leave, "aborted": (*spool.Acquisition).Abort} {
		t.Run(name, func(t *testing.T) {
			s := open(t, spool.Config{Dir: t.TempDir()})
			a, err := s.Begin(id.New(id.Acquisition), []byte("plan"))
			must(t, err)
			r, err := s.Open(a.ID())
			must(t, err)
			defer r.Close()
			if st := r.Info().State; st != spool.Live {
				t.Fatalf("while it is written: %s", st)
			}
			changed := s.Changed()
			must(t, end(a))
			select {
			case <-changed:
			default:
				t.Error("nobody was woken")
			}
			if st := r.Info().State; st != spool.Interrupted {
				t.Errorf("after the end: %s", st)
			}
		})
	}
}

// TestFullDiskIsToldWithoutAReserve: who keeps nothing free still wants to know.
func TestFullDiskIsToldWithoutAReserve(t *testing.T) {
	free := int64(1 << 30)
	s := open(t, spool.Config{Dir: t.TempDir(), MinFreeBytes: -1, Free: func(string) (int64, error) { return free, nil }})
	if s.Status().Full {
		t.Error("full with a gibibyte free")
	}
	if free = 4096; !s.Status().Full {
		t.Error("not full with 4 KiB free")
	}
}
