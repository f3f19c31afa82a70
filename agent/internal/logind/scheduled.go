package logind

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxScheduled bounds what is read of the file.
const maxScheduled = 16 << 10

// schedule is what logind writes when a shutdown is scheduled (shutdown(8)): lines of
// NAME=value, not otherwise documented; see logind-dbus.c, update_schedule_file.
type schedule struct {
	at   time.Time
	mode string
	uid  int64
	tty  string
	dry  bool
}

// parseSchedule reads the file. Names that it does not know are passed over.
func parseSchedule(b []byte) (schedule, error) {
	s := schedule{uid: -1}
	if len(b) > maxScheduled || !utf8.Valid(b) {
		return s, errors.New("schedule of the shutdown is no text of this size")
	}
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if !ok {
			continue
		}
		switch key {
		case "USEC": // of CLOCK_REALTIME
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n <= 0 || time.UnixMicro(n).UTC().Year() > 9999 {
				return s, fmt.Errorf("schedule of the shutdown: USEC=%.40q", value)
			}
			s.at = time.UnixMicro(n).UTC()
		case "MODE":
			s.mode = typeOf(value)
		case "UID":
			if n, err := strconv.ParseUint(value, 10, 32); err == nil && n != 1<<32-1 {
				s.uid = int64(n)
			}
		case "TTY":
			s.tty = short(value)
		case "DRY_RUN":
			s.dry = value == "1"
		}
	}
	if s.at.IsZero() {
		return s, errors.New("schedule of the shutdown has no time")
	}
	return s, nil
}

// typeOf keeps the name of a way to go down, whatever ways are still to be invented.
func typeOf(s string) string {
	s = strings.TrimPrefix(s, "dry-")
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && c != '-' {
			return ""
		}
	}
	return short(s)
}

func short(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
