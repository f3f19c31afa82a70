package sqldb

import (
	"fmt"
	"strings"
	"time"
)

// timeLayout is RFC 3339 in UTC with nine digits always, so that text sorts as time.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// FormatTime writes t as the database keeps it; the zero time is "".
func FormatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

// ParseTime is the inverse of [FormatTime].
func ParseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(timeLayout, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("time in the database: %w", err)
	}
	return t, nil
}

// ScanTime returns a destination for Scan that sets *t from a column written by
// [FormatTime].
func ScanTime(t *time.Time) *TimeScanner { return &TimeScanner{t} }

// TimeScanner implements sql.Scanner; see [ScanTime].
type TimeScanner struct{ t *time.Time }

// Scan sets the time.
func (s *TimeScanner) Scan(v any) error {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case []byte:
		text = string(v)
	case time.Time:
		*s.t = v.UTC()
		return nil
	default:
		return fmt.Errorf("time in the database is a %T, not text", v)
	}
	t, err := ParseTime(text)
	*s.t = t
	return err
}

// FormatBool writes b as the database keeps it, 1 or 0 in a BIGINT column.
func FormatBool(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// ScanBool returns a destination for Scan that sets *b from a column written by
// [FormatBool].
func ScanBool(b *bool) *BoolScanner { return &BoolScanner{b} }

// BoolScanner implements sql.Scanner; see [ScanBool].
type BoolScanner struct{ b *bool }

// Scan sets the flag.
func (s *BoolScanner) Scan(v any) error {
	n, ok := v.(int64)
	if !ok || n != 0 && n != 1 {
		return fmt.Errorf("flag in the database is %v, neither 0 nor 1", v)
	}
	*s.b = n == 1
	return nil
}

// CleanText returns s as a TEXT column can hold it: PostgreSQL refuses NUL and
// bytes that are not UTF-8, which a host name or a message from a PC may contain.
// They become U+FFFD.
func CleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
