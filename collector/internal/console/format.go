package console

import (
	"html/template"
	"strconv"
	"strings"
	"time"

	"hozen/internal/i18n"
)

// jst is where the people of the console are. It has had no summer time since 1951,
// so no zone database is needed.
func jst() *time.Location { return time.FixedZone("JST", 9*60*60) }

// clock writes a moment for people, "2026-11-22 19:30:05 JST", or "" for the zero time.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(jst()).Format("2006-01-02 15:04:05 JST")
}

// timeTag is [clock] with the exact moment in UTC for machines and for the pointer.
func timeTag(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	utc := t.UTC().Format(time.RFC3339Nano)
	return template.HTML(`<time datetime="` + utc + `" title="` + utc + `">` + clock(t) + `</time>`)
}

// span writes a length of time in its largest whole unit: "3秒", "12 min".
func span(p i18n.Printer, d time.Duration) string {
	if d < 0 {
		d = -d
	}
	unit, n := "second", int64(d/time.Second)
	switch {
	case d >= 48*time.Hour:
		unit, n = "day", int64(d/(24*time.Hour))
	case d >= 2*time.Hour:
		unit, n = "hour", int64(d/time.Hour)
	case d >= 2*time.Minute:
		unit, n = "minute", int64(d/time.Minute)
	}
	return p.Text("span."+unit, "n", strconv.FormatInt(n, 10))
}

// ago says how long before now t was. A moment in the future is "just now": clocks differ.
func ago(p i18n.Printer, now, t time.Time) string {
	if t.IsZero() {
		return p.Text("span.never")
	}
	d := now.Sub(t)
	if d < 2*time.Second {
		return p.Text("span.now")
	}
	return p.Text("span.ago", "span", span(p, d))
}

// number writes n with thousands separators, which both languages set as commas.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(s[i])
	}
	return sign + b.String()
}

// size writes a number of bytes in decimal units (MB = 10⁶ bytes).
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	v, u := float64(n), 0
	for v >= 1000 && u < len(units)-1 {
		v /= 1000
		u++
	}
	if u == 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[u]
}

// shortDigest is the beginning of a digest: enough to compare by eye, with the rest
// shown beside it on demand.
func shortDigest(s string) string {
	if len(s) <= 12 {
		return s
	}
	return s[:12] + "…"
}
