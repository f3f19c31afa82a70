package logind

import (
	"testing"
	"time"
)

func TestParseSchedule(t *testing.T) {
	at := time.UnixMicro(1_800_000_000_000_000).UTC()
	for text, want := range map[string]schedule{
		"USEC=1800000000000000\nWARN_WALL=1\nMODE=poweroff\n":                       {at, "poweroff", -1, "", false},
		"USEC=1800000000000000\nMODE=soft-reboot\nUID=0\nTTY=pts/3\nNEW=thing\n":    {at, "soft-reboot", 0, "pts/3", false},
		"USEC=1800000000000000\nMODE=dry-reboot\nDRY_RUN=1\nUID=4294967295\nbroken": {at, "reboot", -1, "", true},
		"USEC=1800000000000000\nMODE=\x01\nUID=-4\n":                                {at, "", -1, "", false},
	} {
		if got, err := parseSchedule([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MODE=poweroff\n", "USEC=0\n", "USEC=x\n", "USEC=-1\n", "USEC=9223372036854775807\n", "\xff"} {
		if got, err := parseSchedule([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	f.Add([]byte("USEC=1800000000000000\nMODE=poweroff\nUID=0\nTTY=pts/3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSchedule(b)
		if err == nil && (s.at.IsZero() || s.at.Year() > 9999 || s.uid < -1 || len(s.mode) > 64 || len(s.tty) > 70) {
			t.Errorf("%+v", s)
		}
	})
}
