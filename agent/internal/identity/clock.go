package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hozen/internal/durable"
	"hozen/internal/pki"
)

const (
	seenFile = "seen"
	// seenStep is how much later a time must be to be worth a write to disk.
	seenStep = time.Minute
)

func (s *Store) openClock() error {
	b, err := os.ReadFile(filepath.Join(s.dir, seenFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A damaged file is no reason not to start: the time check is then only as good as
	// the PC's clock and the build time, and the next Saw mends the file.
	s.saved, _ = time.Parse(time.RFC3339, strings.TrimSpace(string(b[:min(len(b), 64)])))
	s.clock = pki.NewClock(time.Now, floor(s.saved))
	s.reckonFrom(floor(s.saved))
	return nil
}

// Now returns the latest of the PC's clock, the build time and the last time seen.
// It is for checking certificates and never for evidence.
func (s *Store) Now() time.Time { return s.clock.Now() }

// Reckoned returns the earliest that it can be by what was known before: the build time,
// the last time seen and what Saw was told in this process, and what has passed since then
// by clocks that nobody sets, sleep included. It never goes back. It is zero until Saw was
// told something in this process.
func (s *Store) Reckoned() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told {
		return time.Time{}
	}
	return s.reckon()
}

func (s *Store) reckonFrom(t time.Time) {
	s.known, s.at, s.boot = t.Round(0), time.Now(), sinceBoot()
}

// reckon takes the greater of two clocks, as that of Go leaves sleep out on Linux.
func (s *Store) reckon() time.Time {
	return s.known.Add(max(time.Since(s.at), sinceBoot()-s.boot))
}

// Saw tells that t has passed, such as the collector's clock over an authenticated
// connection, and keeps it, at most once a minute. A time after the end of the agent's
// own certificate counts as that end, so that one wrong clock cannot lock the agent
// out for ever. A time before what is reckoned counts as that: whoever has the key of a
// collector's certificate that is over would else keep it alive by telling old times.
func (s *Store) Saw(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.reckon(); t.Before(r) {
		t = r
	}
	s.reckonFrom(t)
	s.told = true
	e, err := s.read()
	if err != nil {
		return fmt.Errorf("keep time seen: %w", err)
	}
	leaf, err := pki.ParseCertificate(e.Certificate)
	if err != nil {
		return fmt.Errorf("keep time seen: %w", err)
	}
	if t.After(leaf.NotAfter) {
		t = leaf.NotAfter
	}
	s.clock.See(t)
	if t.Sub(s.saved) < seenStep {
		return nil
	}
	if err := durable.WriteFile(filepath.Join(s.dir, seenFile), []byte(t.UTC().Format(time.RFC3339)+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep time seen: %w", err)
	}
	s.saved = t
	return nil
}
