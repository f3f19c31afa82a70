package identity_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/identity"
)

// What the collector said of the time goes on by itself, and a restart forgets it.
func TestReckonedTime(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := identity.Open(dir)
		must(t, err)
		if at := s.Reckoned(); !at.IsZero() {
			t.Errorf("told nothing: %s", at)
		}
		told := time.Now().AddDate(0, -6, 0) // by half a year our clock is ahead
		_ = s.Saw(told)                      // not enrolled, so nothing is kept
		time.Sleep(48 * time.Hour)
		if at := s.Reckoned(); !at.Equal(told.Add(48 * time.Hour)) {
			t.Errorf("%s, not two days after %s", at, told)
		}
	})
}

// A time that is told never takes back what was known before: what was told, what was seen
// before a restart, and what passed since, also in sleep. Else the key of a certificate
// that is over would keep it alive.
func TestReckonedTimeNeverGoesBack(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "seen"), []byte("1999-06-01T00:00:00Z\n"), 0o600))
	synctest.Test(t, func(t *testing.T) {
		seen := time.Date(1999, 6, 1, 0, 0, 0, 0, time.UTC) // half a year before the PC's clock
		s, err := identity.Open(dir)
		must(t, err)
		time.Sleep(time.Hour)
		if at := s.Reckoned(); !at.IsZero() {
			t.Errorf("a file alone lets reckon: %s", at)
		}
		_ = s.Saw(seen.AddDate(-1, 0, 0))
		if at := s.Reckoned(); at.Before(seen.Add(time.Hour)) || at.After(seen.Add(2*time.Hour)) {
			t.Errorf("told a time before what was seen: %s", at)
		}
		told := seen.AddDate(0, 0, 9)
		_ = s.Saw(told)
		time.Sleep(48 * time.Hour)
		_ = s.Saw(told.Add(time.Hour))
		if at := s.Reckoned(); at.Before(told.Add(48*time.Hour)) || at.After(told.Add(49*time.Hour)) {
			t.Errorf("told a time before what was reckoned: %s", at)
		}
		s.Sleep(240 * time.Hour)
		if at := s.Reckoned(); at.Before(told.Add(288 * time.Hour)) {
			t.Errorf("after ten days of sleep: %s", at)
		}
		_ = s.Saw(told)
		if at := s.Reckoned(); at.Before(told.Add(288 * time.Hour)) {
			t.Errorf("told a time before the sleep: %s", at)
		}
	})
}
