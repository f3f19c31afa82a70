package kit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hozen/internal/artifact/record"
)

// ErrTime means that what was typed is no time.
var ErrTime = errors.New("want a time such as 14:05:00")

// Reference compares a time of day that a person typed with the PC's clock at the moment of
// Enter. It takes 14:05:00, 14:05, 140500, 1405 and 14時5分0秒, in full-width characters
// too, and a date 2026-11-23 or 2026/11/23 before it. Without a date it is the nearest moment
// with that time of day. It is read in the zone of pc.
func Reference(typed, source string, pc time.Time, bootNS int64) (record.ReferenceTime, error) {
	date, clock := "", strings.Join(strings.Fields(narrow(typed)), " ")
	if before, after, ok := strings.Cut(clock, " "); ok {
		date, clock = strings.ReplaceAll(before, "/", "-"), after
	}
	parts, err := timeOfDay(clock)
	if err != nil {
		return record.ReferenceTime{}, fmt.Errorf("%.40q: %w", typed, err)
	}
	r := record.ReferenceTime{Typed: typed, Source: source, PC: pc, BootNS: bootNS, Within: 1000}
	_, r.Zone = pc.Zone()
	if len(parts) == 2 {
		parts, r.Within = append(parts, 0), 60_000
	}
	at := func(day time.Time) time.Time {
		return time.Date(day.Year(), day.Month(), day.Day(), parts[0], parts[1], parts[2], 0, pc.Location())
	}
	if date != "" {
		day, err := time.ParseInLocation("2006-1-2", date, pc.Location())
		if err != nil {
			return record.ReferenceTime{}, fmt.Errorf("%.40q: %w", typed, ErrTime)
		}
		r.Time = at(day)
	} else {
		r.Day = true
		for days := -1; days <= 1; days++ {
			if t := at(pc.AddDate(0, 0, days)); r.Time.IsZero() || pc.Sub(t).Abs() < pc.Sub(r.Time).Abs() {
				r.Time = t
			}
		}
	}
	r.Offset = pc.Sub(r.Time).Milliseconds()
	return r, nil
}

// timeOfDay returns hour, minute and, if it was typed, second.
func timeOfDay(s string) ([]int, error) {
	s = strings.TrimRight(strings.NewReplacer("時", ":", "分", ":", "秒", "", ".", ":").Replace(s), ":")
	fields := strings.Split(s, ":")
	if len(fields) == 1 && (len(s) == 4 || len(s) == 6) {
		fields = fields[:0]
		for ; s != ""; s = s[2:] {
			fields = append(fields, s[:2])
		}
	}
	if len(fields) < 2 || len(fields) > 3 {
		return nil, ErrTime
	}
	var out []int
	for i, f := range fields {
		n, err := strconv.Atoi(f)
		if err != nil || len(f) > 2 || f[0] == '+' || n < 0 || n >= []int{24, 60, 60}[i] {
			return nil, ErrTime
		}
		out = append(out, n)
	}
	return out, nil
}

// narrow turns full-width forms of ASCII into ASCII.
func narrow(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '！' && r <= '～':
			return r - '！' + '!'
		case r == '　':
			return ' '
		}
		return r
	}, s)
}
