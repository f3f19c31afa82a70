package identity

import "time"

// Check lets a fuzz test at the reader of identity.json.
func Check(b []byte) error {
	_, err := parse(b)
	return err
}

// Sleep lets the PC sleep.
func (s *Store) Sleep(d time.Duration) { s.boot -= d }
