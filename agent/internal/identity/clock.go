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
	return nil
}

// Now returns the latest of the PC's clock, the build time and the last time seen.
// It is for checking certificates and never for evidence.
func (s *Store) Now() time.Time { return s.clock.Now() }

// Reckoned returns the last time that Saw was told in this process and what has passed
// since by a clock that nobody sets, sleep left out; zero if it was told none.
func (s *Store) Reckoned() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told.IsZero() {
		return time.Time{}
	}
	return s.told.Add(time.Since(s.at))
}

// Saw tells that t has passed, such as the collector's clock over an authenticated
// connection, and keeps it, at most once a minute. A time after the end of the agent's
// own certificate counts as that end, so that one wrong clock cannot lock the agent
// out for ever.
func (s *Store) Saw(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told, s.at = t, time.Now()
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
