package osservice

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// DelayNeeded is how long logind must be willing to wait for evidence before it goes
// on with a shutdown.
const DelayNeeded = 30 * time.Second

// delayDefault is logind's own InhibitDelayMaxSec (logind.conf(5)).
const delayDefault = 5 * time.Second

const (
	logindDropInDir = "/etc/systemd/logind.conf.d"
	logindDropIn    = logindDropInDir + "/" + dropIn
)

const logindText = `# How long a shutdown waits for evidence at the most; without an open incident it
# is a fraction of a second.
[Login]
InhibitDelayMaxSec=30s
`

// confFile is one of logind's configuration files.
type confFile struct {
	path string
	text string
}

// delayOf returns the InhibitDelayMaxSec that the files say, in the order in which
// they are read: the last one counts, and what cannot be read does not.
func delayOf(files []confFile) time.Duration {
	delay := delayDefault
	for _, f := range files {
		section := ""
		for line := range strings.Lines(f.text) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") {
				section = line
				continue
			}
			key, value, ok := strings.Cut(line, "=")
			if !ok || section != "[Login]" || strings.TrimSpace(key) != "InhibitDelayMaxSec" {
				continue
			}
			if strings.TrimSpace(value) == "" {
				delay = delayDefault
			} else if d, ok := timeSpan(value); ok {
				delay = d
			}
		}
	}
	return delay
}

// forever is a span without end.
const forever = time.Duration(1<<63 - 1)

// timeSpan reads a span of time (systemd.time(7), "PARSING TIME SPANS"); a bare number
// counts seconds.
func timeSpan(s string) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	if s == "infinity" {
		return forever, true
	}
	var sum float64
	seen := false
	for s != "" {
		n := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if n < 0 {
			n = len(s)
		}
		number, err := strconv.ParseFloat(s[:n], 64)
		if err != nil {
			return 0, false
		}
		s = strings.TrimLeft(s[n:], " \t")
		n = strings.IndexFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r >= '0' && r <= '9' })
		if n < 0 {
			n = len(s)
		}
		unit, ok := unitOf(s[:n])
		if !ok {
			return 0, false
		}
		sum += number * float64(unit)
		seen = true
		s = strings.TrimLeft(s[n:], " \t")
	}
	if sum >= float64(forever) {
		return forever, seen
	}
	return time.Duration(sum), seen
}

func unitOf(s string) (time.Duration, bool) {
	for _, u := range []struct {
		names []string
		is    time.Duration
	}{
		{[]string{"nsec", "ns"}, time.Nanosecond},
		{[]string{"usec", "us", "μs", "µs"}, time.Microsecond},
		{[]string{"msec", "ms"}, time.Millisecond},
		{[]string{"", "seconds", "second", "sec", "s"}, time.Second},
		{[]string{"minutes", "minute", "min", "m"}, time.Minute},
		{[]string{"hours", "hour", "hr", "h"}, time.Hour},
		{[]string{"days", "day", "d"}, 24 * time.Hour},
		{[]string{"weeks", "week", "w"}, 7 * 24 * time.Hour},
		{[]string{"months", "month", "M"}, 2629800 * time.Second},
		{[]string{"years", "year", "y"}, 31557600 * time.Second},
	} {
		if slices.Contains(u.names, s) {
			return u.is, true
		}
	}
	return 0, false
}
