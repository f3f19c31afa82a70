package spool_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hozen/agent/internal/spool"
	"hozen/internal/crashpoint"
	"hozen/internal/id"
)

const (
	partA, partB       = "artifacts/a.jsonl.zst", "artifacts/b.jsonl.zst"
	bytesA, bytesB     = "first part", "second part"
	crashAcq, crashOld = "acq_06g3z8v4z8x7h0k2m4n6p8r0t4", "acq_06g3z8v4z8x7h0k2m4n6p8r0t0"
)

// life is one acquisition from beginning to receipt, with an older one that has its
// receipt already and is dropped on the way. It stops at the first error.
func life(s *spool.Spool) error {
	for _, acq := range []string{crashOld, crashAcq} {
		a, err := s.Begin(acq, []byte("plan"))
		if err != nil {
			return err
		}
		for _, part := range [][2]string{{partA, bytesA}, {partB, bytesB}} {
			p, err := a.Create(part[0])
			if err != nil {
				return err
			}
			if _, err := io.WriteString(p, part[1]); err != nil {
				return err
			}
			if err := p.Close(); err != nil {
				return err
			}
			if err := a.Note([]byte("noted " + part[0])); err != nil {
				return err
			}
		}
		if err := a.Seal(seal); err != nil {
			return err
		}
		if err := s.Receipt(acq, []byte("receipt")); err != nil {
			return err
		}
	}
	return nil
}

// survivors checks what lies in the spool after a crash in the middle of life, brings
// it to its end and checks that too.
func survivors(t *testing.T, dir string) {
	t.Helper()
	survivorsWith(t, dir, func(r *spool.Reader, p spool.PartInfo) string {
		b := make([]byte, 100)
		n, err := r.ReadAt(p.Name, b, 0)
		if err != nil {
			return err.Error()
		}
		return string(b[:n])
	})
}

// survivorsWith does so with what reads a part.
func survivorsWith(t *testing.T, dir string, read func(*spool.Reader, spool.PartInfo) string) {
	t.Helper()
	s := open(t, spool.Config{Dir: dir})
	if p := s.Status().Problems; len(p) > 0 {
		t.Errorf("problems: %q", p)
	}
	for _, info := range s.List() {
		r, err := s.Open(info.AcquisitionID)
		must(t, err)
		parts, err := r.Parts()
		must(t, err)
		for _, p := range parts {
			want := map[string]string{partA: bytesA, partB: bytesB}[p.Name]
			if got := read(r, p); got != want || !p.Complete {
				t.Errorf("%s: %q, complete %t", p.Name, got, p.Complete)
			}
		}
		switch info.State {
		case spool.Interrupted:
			a, err := s.Resume(info.AcquisitionID)
			must(t, err)
			noted, ok := strings.CutPrefix(string(a.Plan()), "noted ")
			if ok && !strings.Contains(fmt.Sprint(parts), noted) {
				t.Errorf("the notes know of %s, which is lost", noted)
			}
			must(t, a.Seal(seal))
		case spool.Sealed, spool.Received:
			if _, ok, err := r.Seal(); !ok || err != nil || len(parts) != 2 {
				t.Errorf("sealed with %d parts: %t, %v", len(parts), ok, err)
			}
		default:
			t.Errorf("state %s", info.State)
		}
		must(t, r.Close())
		must(t, s.Receipt(info.AcquisitionID, []byte("receipt")))
	}
	must(t, s.Close())
	s = open(t, spool.Config{Dir: dir, KeepAfterReceipt: -1})
	sealed(t, s, 1)
	if got := states(s); got != "sealed" {
		t.Errorf("in the end: %s", got)
	}
	must(t, s.Close())
	if list, err := os.ReadDir(dir); err != nil || len(list) != 2 { // the lock and the new one
		t.Errorf("left behind: %v, %v", list, err)
	}
}

var errCrash = errors.New("crash")

func points() (list []string) {
	for _, p := range crashpoint.All() {
		if strings.HasPrefix(p, "spool.") {
			list = append(list, p)
		}
	}
	return list
}

// TestStoppedAtEachStep stops before and after each step persisted, each time that it
// comes, and lets nothing persist any more from there on.
func TestStoppedAtEachStep(t *testing.T) {
	for _, point := range points() {
		for nth := 1; ; nth++ {
			reached := false
			t.Run(fmt.Sprintf("%s/%d", point, nth), func(t *testing.T) {
				dir := t.TempDir()
				n := 0
				s := open(t, spool.Config{Dir: dir, KeepAfterReceipt: -1, Step: func(p string) error {
					if p == point {
						n++
					}
					if n >= nth {
						reached = true
						return errCrash
					}
					return nil
				}})
				err := life(s)
				if reached != errors.Is(err, errCrash) || !reached && err != nil {
					t.Errorf("reached %t, error %v", reached, err)
				}
				must(t, s.Close())
				survivors(t, dir)
			})
			if !reached {
				if nth == 1 {
					t.Errorf("%s is never reached", point)
				}
				break
			}
		}
	}
}

// TestKilledAtEachStep is the same with a process that is killed. It needs the build
// tag crashpoint, which ordinary builds do not have.
func TestKilledAtEachStep(t *testing.T) {
	if dir := os.Getenv("HOZEN_TEST_SPOOL"); dir != "" {
		s, err := spool.Open(spool.Config{Dir: dir, KeepAfterReceipt: -1, MinFreeBytes: -1})
		must(t, err)
		must(t, life(s))
		return
	}
	if !crashpoint.Enabled {
		t.Skip("built without the tag crashpoint")
	}
	for _, point := range points() {
		t.Run(point, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spool")
			c := exec.Command(os.Args[0], "-test.run=^TestKilledAtEachStep$")
			c.Env = append(os.Environ(), "HOZEN_TEST_SPOOL="+dir, "HOZEN_CRASH_AT="+point)
			if out, err := c.CombinedOutput(); err == nil {
				t.Fatalf("survived: %s", out)
			}
			survivors(t, dir)
		})
	}
}

func TestIdentifiersOfTheCrashTest(t *testing.T) {
	for _, s := range []string{crashAcq, crashOld} {
		must(t, id.Check(id.Acquisition, s))
	}
}
