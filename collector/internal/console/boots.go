package console

import (
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact/record"
	"hozen/internal/i18n"
)

// bootView is how a boot ended, as the pages show it.
type bootView struct {
	endpoint.Boot
	Word  string // key of the verdict
	Raw   string // the agent's own word where it is not one of ours
	Tone  string // good, warn, bad, unknown
	Facts []string
}

func viewBoots(p i18n.Printer, all []endpoint.Boot) []bootView {
	var views []bootView
	for _, b := range all {
		if !b.Judged() {
			continue // an agent that was started again says nothing of how a boot ended
		}
		v := bootView{Boot: b, Word: b.Known(), Tone: bootTone(b.Known()), Facts: bootFacts(p, factsOfBoot(b))}
		if b.Verdict != v.Word {
			v.Raw = b.Verdict
		}
		views = append(views, v)
	}
	return views
}

// bootTone is how a verdict is marked. Only an orderly end with evidence is good, and
// what is not known is never like it.
func bootTone(verdict string) string {
	switch verdict {
	case record.BootCleanWithCapture:
		return "good"
	case record.BootCleanWithoutCapture:
		return "warn"
	case record.BootForced, record.BootCrash, record.BootPowerLoss, record.BootAbrupt:
		return "bad"
	}
	return "unknown"
}

// factsOfBoot are the facts under the names that the timeline uses.
func factsOfBoot(b endpoint.Boot) map[string]string {
	ns := func(d time.Duration) string {
		if d < 0 {
			return ""
		}
		return strconv.FormatInt(int64(d), 10)
	}
	f := map[string]string{
		"boot_reason": b.Reason, "asked_by": b.Asked.By, "asked_type": b.Asked.Type, "asked_who": b.Asked.Who,
		"last_evidence_at": sqldb.FormatTime(b.LastEvidenceAt), "gap_min_ns": ns(b.GapMin), "gap_max_ns": ns(b.GapMax), "added_delay_ns": ns(b.AddedDelay),
	}
	if b.Verdict != b.Known() {
		f["verdict_raw"] = b.Verdict
	}
	return f
}

// bootFacts says in sentences what is known of the end of a boot.
func bootFacts(p i18n.Printer, f map[string]string) []string {
	var out []string
	if raw := f["verdict_raw"]; raw != "" {
		out = append(out, p.Text("boot.raw", "word", own(raw, 64)))
	}
	if r := f["boot_reason"]; r != "" && p.Has("boot.reason."+r) {
		out = append(out, p.Text("boot.reason."+r))
	}
	if by := f["asked_by"]; by != "" || f["asked_type"] != "" {
		word := p.Text("unknown")
		if by != "" {
			word = ownWord(p, "asked.by.", by)
		}
		if kind := f["asked_type"]; kind != "" {
			word += p.Text("asked.with", "type", ownWord(p, "asked.type.", kind))
		}
		if who := f["asked_who"]; who != "" {
			word += " " + own(who, 120)
		}
		out = append(out, p.Text("boot.asked", "by", word))
	}
	least, hasLeast := nanoseconds(f["gap_min_ns"])
	switch most, ok := nanoseconds(f["gap_max_ns"]); {
	case ok && hasLeast && least >= 100*time.Millisecond:
		out = append(out, p.Text("boot.gap.range", "least", seconds(p, least), "most", seconds(p, most)))
	case ok:
		out = append(out, p.Text("boot.gap", "most", seconds(p, most)))
	default:
		out = append(out, p.Text("boot.gap.unknown"))
	}
	if d, ok := nanoseconds(f["added_delay_ns"]); ok {
		out = append(out, p.Text("boot.delay", "span", seconds(p, d)))
	}
	return out
}

// shutdownFacts says in sentences what an agent was told of a shutdown.
func shutdownFacts(p i18n.Printer, f map[string]string) []string {
	var out []string
	if source := f["shutdown_source"]; source != "" {
		word := ownWord(p, "shutdown.source.", source)
		if kind := f["shutdown_type"]; kind != "" {
			word += p.Text("asked.with", "type", ownWord(p, "asked.type.", kind))
		}
		out = append(out, p.Text("shutdown.told", "by", word))
	}
	who := f["shutdown_tty"]
	if uid := f["shutdown_uid"]; uid != "" {
		who = strings.TrimSpace("uid " + plain(uid, 20) + " " + who)
	}
	if who != "" {
		out = append(out, p.Text("boot.asked", "by", own(who, 80)))
	}
	allowed, known := nanoseconds(f["shutdown_allowed_ns"])
	if hold, ok := nanoseconds(f["shutdown_hold_ns"]); ok && known {
		out = append(out, p.Text("shutdown.hold", "hold", seconds(p, hold), "allowed", seconds(p, allowed)))
	}
	return out
}

func nanoseconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Duration(n), err == nil && n >= 0
}

// seconds writes a length of time with tenths of a second where they matter, else in
// the two units that say most, rounded up: a gap is never shown shorter than it is.
func seconds(p i18n.Printer, d time.Duration) string {
	up := func(unit time.Duration) int64 {
		n := int64(d / unit)
		if d%unit != 0 {
			n++
		}
		return n
	}
	part := func(unit string, n int64) string { return p.Text("span."+unit, "n", strconv.FormatInt(n, 10)) }
	two := func(large, small string, n, ratio int64) string {
		if n%ratio == 0 {
			return part(large, n/ratio)
		}
		return p.Text("span.two", "large", part(large, n/ratio), "small", part(small, n%ratio))
	}
	switch minutes := up(time.Minute); {
	case d < 2*time.Minute:
		tenths := up(100 * time.Millisecond)
		return p.Text("span.second", "n", strconv.FormatInt(tenths/10, 10)+"."+strconv.FormatInt(tenths%10, 10))
	case minutes < 2*60:
		return part("minute", minutes)
	case minutes < 2*24*60:
		return two("hour", "minute", minutes, 60)
	}
	return two("day", "hour", up(time.Hour), 24)
}

// moment writes a moment that stands in a fact for people.
func moment(s string) string {
	t, err := sqldb.ParseTime(s)
	if err != nil {
		return plain(s, 40)
	}
	return clock(t)
}
