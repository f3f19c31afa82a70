package verify

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Who holds an exhibit, and where that is not shown, follows from its events (custody.md,
// "Who held it: gaps"). It is made again here, from the entries of the ledger.

// party is who gives or takes.
type party struct{ person, organisation string }

func (p party) empty() bool { return p == party{} }

func (p party) String() string {
	if p.person == "" || p.organisation == "" {
		return p.person + p.organisation
	}
	return p.person + " / " + p.organisation
}

// same reports whether two parties may be one: where one side names no person, or no
// organisation, the rest decides.
func (p party) same(o party) bool {
	person, organisation := folded(p.person), folded(p.organisation)
	otherPerson, other := folded(o.person), folded(o.organisation)
	if person != "" && otherPerson != "" {
		return person == otherPerson && (organisation == "" || other == "" || organisation == other)
	}
	return organisation != "" && organisation == other
}

// folded is a name without blanks, width of ASCII and case.
func folded(s string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '\t' || r == '\u3000':
			return -1
		case '\uff01' <= r && r <= '\uff5e':
			return r - '\uff01' + '!'
		}
		return r
	}, s))
}

// custodyGap is an interval in which custody is not shown. to is zero while it lasts.
type custodyGap struct {
	code     string
	from, to time.Time
	seq      int64
}

func (g custodyGap) equal(o custodyGap) bool {
	return g.code == o.code && g.seq == o.seq && g.from.Equal(o.from) && g.to.Equal(o.to)
}

// custodyEvent is an event that moves an exhibit.
type custodyEvent struct {
	kind     string
	seq      int64
	at       time.Time
	endpoint bool // at is by the endpoint's clock
	from, to party
}

func eventOf(e *ledgerEntry) custodyEvent {
	d := e.details
	v := custodyEvent{kind: strings.TrimPrefix(e.act, actCustody), endpoint: d["clock"] == "endpoint",
		from: party{d["from_person"], d["from_organisation"]}, to: party{d["to_person"], d["to_organisation"]}}
	// What is none of the form leaves the zero value, and so other gaps than were written.
	v.seq, _ = strconv.ParseInt(d["seq"], 10, 64)
	v.at, _ = time.Parse(time.RFC3339Nano, d["at"])
	return v
}

// states of an exhibit.
const (
	unknown   = iota // nobody acquired or received it so far
	held             // by the holder
	onItsWay         // shipped to sentTo, not arrived
	withNone         // passed on, and not said to whom
	destroyed        // disposed of
)

// trail follows the events of one exhibit in the order of the ledger.
type trail struct {
	state  int
	holder party
	sentTo party
	since  time.Time // of the event that moved it last
	last   int64     // its seq
	newest time.Time // of the events by clocks of the collector
	gaps   []custodyGap
}

// follow makes custodian and gaps of the entries about an exhibit.
func follow(entries []*ledgerEntry) *trail {
	t := &trail{}
	for _, e := range entries {
		switch v := eventOf(e); v.kind {
		case "collect", "receive", "hand_over", "return", "ship", "dispose", "store", "seal":
			t.event(v)
		}
	}
	switch t.state {
	case onItsWay:
		t.gap("transit", t.since, time.Time{}, t.last)
	case withNone:
		t.gap("nobody", t.since, time.Time{}, t.last)
	}
	return t
}

func (t *trail) gap(code string, from, to time.Time, seq int64) {
	if !to.IsZero() && to.Before(from) {
		from, to = to, from
	}
	t.gaps = append(t.gaps, custodyGap{code, from, to, seq})
}

func (t *trail) event(v custodyEvent) {
	if !v.endpoint {
		if v.at.Before(t.newest) {
			t.gap("order", v.at, t.newest, v.seq)
		} else {
			t.newest = v.at
		}
	}
	if t.state == destroyed {
		if v.kind != "dispose" {
			t.gap("disposed", t.since, v.at, v.seq)
		}
		return
	}
	if t.state == unknown && v.kind != "collect" && v.kind != "receive" {
		t.gap("no_start", v.at, v.at, v.seq)
	}
	switch v.kind {
	case "collect":
		t.to(v)
	case "store", "seal":
		if t.state != unknown && !v.to.empty() && !t.heldBy(v.to) {
			t.gap("not_holder", t.since, v.at, v.seq)
			t.to(v)
		}
	case "receive":
		t.received(v)
		t.to(v)
	case "hand_over", "return":
		t.given(v)
		t.to(v)
	case "ship":
		t.given(v)
		t.state, t.holder, t.sentTo, t.since, t.last = onItsWay, party{}, v.to, v.at, v.seq
	case "dispose":
		t.given(v)
		t.state, t.holder, t.since, t.last = destroyed, party{}, v.at, v.seq
	}
}

func (t *trail) to(v custodyEvent) {
	t.state, t.holder, t.since, t.last = held, v.to, v.at, v.seq
	if v.to.empty() {
		t.state = withNone
	}
}

func (t *trail) heldBy(p party) bool { return t.state == held && p.same(t.holder) }

func (t *trail) received(v custodyEvent) {
	code := ""
	switch t.state {
	case onItsWay:
		if !t.sentTo.empty() && !v.to.empty() && !v.to.same(t.sentTo) {
			code = "other_receiver"
		}
	case withNone:
		code = "nobody"
	case held:
		if (v.from.empty() || !t.heldBy(v.from)) && !t.heldBy(v.to) {
			code = "not_holder"
		}
	}
	if code != "" {
		t.gap(code, t.since, v.at, v.seq)
	}
}

func (t *trail) given(v custodyEvent) {
	code := ""
	switch t.state {
	case onItsWay:
		code = "transit"
	case withNone:
		code = "nobody"
	case held:
		if !v.from.empty() && !t.heldBy(v.from) {
			code = "not_holder"
		}
	}
	if code != "" {
		t.gap(code, t.since, v.at, v.seq)
	}
}

// differs says which of custodian and gaps is not what follows from the entries, if any.
func (t *trail) differs(custodian string, gaps []custodyGap) (what string) {
	if custodian != t.holder.String() {
		return "custodian"
	}
	if !slices.EqualFunc(gaps, t.gaps, custodyGap.equal) {
		return "gaps"
	}
	return ""
}
