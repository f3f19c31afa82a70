package identity_test

import (
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
