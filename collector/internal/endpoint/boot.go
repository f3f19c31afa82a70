package endpoint

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"hozen/internal/artifact/record"
)

// Boot is how the boot before an endpoint's present one ended, as the endpoint's own
// record [record.Boot] says. Times are the endpoint's clock; nothing in it is trusted.
type Boot struct {
	AcquisitionID  string
	OrganisationID string
	EndpointID     string
	EvidenceID     string // the piece of evidence that says so
	BootID         string // of the boot that began
	PreviousBootID string // of the boot that ended
	// Verdict is one of the words of [record.Boot], [Unreadable] or, as it came, a word
	// of a newer agent; see [Boot.Known].
	Verdict string
	Reason  string    // code of why it is not judged otherwise
	Asked   BootAsked // who or what asked for the end; empty when nothing is known
	// The end lies between these two; zero where there is no bound.
	EndedAfter, EndedBefore time.Time
	LastEvidenceAt          time.Time // zero when there is none
	// GapMin and GapMax bound the time from the last evidence to the end; negative when
	// not known.
	GapMin, GapMax   time.Duration
	ClockContradicts bool
	// AddedDelay is by how much taking evidence held the end up; negative when not known.
	AddedDelay time.Duration
	Basis      []BootBasis
	ReceivedAt time.Time
}

// BootAsked is who or what asked for the end.
type BootAsked struct{ By, Type, Who string }

// BootBasis is what one source says.
type BootBasis struct {
	Source string `json:"source"`
	Read   string `json:"read,omitempty"`  // ok, absent, denied, unread
	Says   string `json:"says,omitempty"`  // stable code
	Leans  string `json:"leans,omitempty"` // which end it speaks for
}

// Unreadable is the verdict of a record that is none.
const Unreadable = "unreadable"

// Known returns the verdict when it is a word of ours, else [record.BootUnknown].
func (b Boot) Known() string {
	switch b.Verdict {
	case record.BootCleanWithCapture, record.BootCleanWithoutCapture, record.BootForced, record.BootCrash, record.BootPowerLoss,
		record.BootAbrupt, record.BootAgentRestarted, record.BootFirstRun, Unreadable:
		return b.Verdict
	}
	return record.BootUnknown
}

// Judged reports whether the record is about the end of a boot at all.
func (b Boot) Judged() bool {
	return b.Verdict != record.BootAgentRestarted && b.Verdict != record.BootFirstRun
}

// Limits of what is kept of a record, in bytes and entries.
const (
	maxBootWord  = 64
	maxBootText  = 256
	maxBootBasis = 32
)

// members are the members of a JSON object, not looked at yet.
type members map[string]json.RawMessage

// ReadBoot reads one line of a record "hozen.boot/1". An endpoint wrote it, which may
// be in the hands of an attacker: each member is read by itself and bounded, and one
// that makes no sense is left out. What is no record at all is [Unreadable].
func ReadBoot(line []byte) Boot {
	b := Boot{Verdict: Unreadable, GapMin: -1, GapMax: -1, AddedDelay: -1}
	var m members
	if json.Unmarshal(line, &m) != nil || m["verdict"] == nil {
		return b
	}
	if b.Verdict = m.text("verdict", maxBootWord); b.Verdict == "" {
		b.Verdict = Unreadable
	}
	b.Reason = m.text("reason", maxBootWord)
	b.BootID, b.PreviousBootID = m.text("boot_id", maxBootWord), m.text("previous_boot_id", maxBootWord)
	asked := m.object("asked_by")
	b.Asked = BootAsked{asked.text("by", maxBootText), asked.text("type", maxBootWord), asked.text("who", maxBootText)}
	b.EndedAfter, b.EndedBefore = m.moment("previous_ended_after"), m.moment("previous_ended_before")
	b.LastEvidenceAt = m.moment("last_evidence_at")
	b.ClockContradicts = m.is("clock_contradicts")
	if gap := m.object("gap"); gap.is("known") && !b.ClockContradicts {
		b.GapMin, b.GapMax = gap.nanoseconds("at_least_ns"), gap.nanoseconds("at_most_ns")
	}
	if b.GapMax < b.GapMin {
		b.GapMin, b.GapMax = -1, -1
	}
	shutdown := m.object("shutdown")
	b.AddedDelay = shutdown.nanoseconds("added_delay_ns")
	if b.AddedDelay < 0 && shutdown["added_delay_ns"] == nil && !shutdown.moment("released_at").IsZero() {
		b.AddedDelay = 0 // left out where it is nothing
	}
	var all []json.RawMessage
	if json.Unmarshal(m["basis"], &all) != nil {
		return b
	}
	for _, one := range all[:min(len(all), maxBootBasis)] {
		var o members
		if json.Unmarshal(one, &o) != nil {
			continue
		}
		if s := (BootBasis{o.text("source", maxBootWord), o.text("read", maxBootWord), o.text("says", maxBootWord), o.text("leans", maxBootWord)}); s.Source != "" {
			b.Basis = append(b.Basis, s)
		}
	}
	return b
}

// text is a string of at most limit bytes, cut where it is longer; empty when the
// member is no string.
func (m members) text(name string, limit int) string {
	var s string
	if json.Unmarshal(m[name], &s) != nil {
		return ""
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	for s = s[:limit]; !utf8.ValidString(s); {
		s = s[:len(s)-1]
	}
	return s
}

func (m members) is(name string) bool {
	var v bool
	return json.Unmarshal(m[name], &v) == nil && v
}

// moment is the zero time when the member is no moment that the database can hold.
func (m members) moment(name string) time.Time {
	var t time.Time
	if json.Unmarshal(m[name], &t) != nil {
		return time.Time{}
	}
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		return time.Time{}
	}
	return t.UTC()
}

// nanoseconds is negative when the member is no length of time.
func (m members) nanoseconds(name string) time.Duration {
	var n *int64
	if json.Unmarshal(m[name], &n) != nil || n == nil || *n < 0 {
		return -1
	}
	return time.Duration(*n)
}

// object has no members when the member is no object.
func (m members) object(name string) members {
	var o members
	if json.Unmarshal(m[name], &o) != nil {
		return nil
	}
	return o
}
