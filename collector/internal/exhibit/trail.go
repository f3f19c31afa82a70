package exhibit

import (
	"strings"
	"time"
)

// GapCode says how custody was broken.
type GapCode string

// The ways in which custody is broken. A gap is something to explain, not an accusation.
const (
	// GapTransit is from a shipping to its arrival that was never recorded.
	GapTransit GapCode = "transit"
	// GapNotHolder means that somebody gave it away who did not hold it; the gap is from when
	// it was last known where it was.
	GapNotHolder GapCode = "not_holder"
	// GapOtherReceiver means that somebody else received it than it was sent to.
	GapOtherReceiver GapCode = "other_receiver"
	// GapOrder means that an event happened before one that was recorded earlier and that it
	// should follow.
	GapOrder GapCode = "order"
	// GapNoStart means that custody goes on that never began: nobody acquired or received it.
	GapNoStart GapCode = "no_start"
	// GapNobody means that it was passed on and it was not said to whom.
	GapNobody GapCode = "nobody"
	// GapDisposed means that somebody held it after it had been disposed of.
	GapDisposed GapCode = "disposed"
)

// Gap is an interval in which custody is not shown.
type Gap struct {
	Code     GapCode
	From, To time.Time // To is zero while it lasts; for what has no length both are the same
	Seq      int64     // of the event that shows it
	Before   int64     // of the last event before it that moved custody; 0: none
	Holder   Party     // whom the record has as custodian before it
	Named    Party     // whom the event names instead
}

// Trail is what the events of one exhibit say of its custody.
type Trail struct {
	// Holder is the custodian now; empty when nobody is known, and after disposal.
	Holder Party
	Since  time.Time
	Place  string // where its custodian has it; empty when nobody said
	// Carrier is who carries it now, when it was shipped and has not arrived; To to whom.
	Carrier  string
	To       Party
	Disposed bool
	Gaps     []Gap
}

// custody is the state while events are followed.
type custody struct {
	Trail
	last   Event     // that moved custody; Seq 0: none
	newest time.Time // of the events by the collector's clock
	parted bool      // shipped, not arrived
	lost   bool      // nobody is known to hold it
	steps  []Step
}

// Follow reads the events of one exhibit, in the order in which they were recorded (see
// [Of]), and says who holds it and where custody is not shown. It is a pure function of
// what people and machines recorded: what they said, not what was so.
func Follow(events []Event) Trail {
	return follow(events).Trail
}

func follow(events []Event) *custody {
	var c custody
	for _, e := range events {
		if e.ItemID == "" {
			continue // of the whole incident: nothing moves
		}
		switch e.Type {
		case Collect, Receive, HandOver, Return, Ship, Dispose, Store, Seal:
			c.follow(e)
		}
	}
	switch {
	case c.parted:
		c.gap(GapTransit, c.last.At, time.Time{}, c.last, c.To)
	case c.lost:
		c.gap(GapNobody, c.last.At, time.Time{}, c.last, Party{})
	}
	return &c
}

func (c *custody) follow(e Event) {
	if e.Clock == ClockCollector { // two clocks have no order
		if e.At.Before(c.newest) {
			c.gap(GapOrder, e.At, c.newest, e, e.From)
		} else {
			c.newest = e.At
		}
	}
	switch {
	case c.Disposed:
		if e.Type != Dispose {
			c.gap(GapDisposed, c.last.At, e.At, e, e.From)
		}
		return // what is gone has no custodian
	case e.Type == Collect:
		c.take(e, e.To)
		return
	case c.last.Seq == 0 && e.Type != Receive:
		c.gap(GapNoStart, e.At, e.At, e, e.From)
	}
	switch e.Type {
	case Store, Seal: // by whom it is does not move it; at most somebody else is named
		if c.last.Seq != 0 && !e.To.Empty() && !c.holds(e.To) {
			c.gap(GapNotHolder, c.last.At, e.At, e, e.To)
			c.take(e, e.To)
			return
		}
		if e.Place != "" {
			c.Place = e.Place
		}
		return
	case Receive:
		c.receive(e)
	case HandOver, Return:
		c.give(e)
		c.take(e, e.To)
	case Ship:
		c.give(e)
		c.Holder, c.Since, c.Place, c.Carrier, c.To, c.parted, c.lost = Party{}, e.At, "", e.Carrier, e.To, true, false
		c.step(e)
	case Dispose:
		c.give(e)
		c.Holder, c.Since, c.Place, c.Disposed, c.parted, c.lost, c.Carrier, c.To = Party{}, e.At, "", true, false, false, "", Party{}
		c.step(e)
	}
}

func (c *custody) receive(e Event) {
	switch {
	case c.parted:
		if !c.To.Empty() && !e.To.Empty() && !e.To.same(c.To) {
			c.gap(GapOtherReceiver, c.last.At, e.At, e, e.To)
		}
	case c.last.Seq == 0: // custody begins with whom it came to
	case c.lost:
		c.gap(GapNobody, c.last.At, e.At, e, e.From)
	case !e.From.Empty() && c.holds(e.From):
	case c.holds(e.To): // it was there already
	default:
		c.gap(GapNotHolder, c.last.At, e.At, e, e.From)
	}
	c.take(e, e.To)
}

// give checks that who gives it away holds it. Whoever is not named is the holder.
func (c *custody) give(e Event) {
	if c.last.Seq == 0 {
		return
	}
	from := e.From
	switch {
	case c.parted:
		c.gap(GapTransit, c.last.At, e.At, e, from)
	case c.lost:
		c.gap(GapNobody, c.last.At, e.At, e, from)
	case !from.Empty() && !c.holds(from):
		c.gap(GapNotHolder, c.last.At, e.At, e, from)
	}
}

// take makes somebody the custodian.
func (c *custody) take(e Event, to Party) {
	c.Holder, c.Since, c.Place, c.parted, c.lost, c.Carrier, c.To = to, e.At, e.Place, false, to.Empty(), "", Party{}
	c.step(e)
}

func (c *custody) holds(p Party) bool { return !c.parted && !c.lost && p.same(c.Holder) }

func (c *custody) gap(code GapCode, from, to time.Time, by Event, named Party) {
	g := Gap{Code: code, From: from, To: to, Seq: by.Seq, Holder: c.Holder, Named: named}
	if by.Seq != c.last.Seq {
		g.Before = c.last.Seq
	}
	if !g.To.IsZero() && g.To.Before(g.From) {
		g.From, g.To = g.To, g.From
	}
	c.Gaps = append(c.Gaps, g)
}

// same reports whether two parties may be one. People write names as they come: blanks,
// width and letter case do not count, and whoever names the person or the organisation
// alone may mean the same.
func (p Party) same(o Party) bool {
	pp, op := fold(p.Person), fold(o.Person)
	po, oo := fold(p.Organisation), fold(o.Organisation)
	if pp != "" && op != "" {
		return pp == op && (po == "" || oo == "" || po == oo)
	}
	return po != "" && po == oo
}

// fold is a name without what people vary.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\u3000' || r == ' ' || r == '\t':
			return -1
		case r >= '\uff01' && r <= '\uff5e': // the full width forms of ASCII
			return r - '\uff01' + '!'
		}
		return r
	}, s)
	return strings.ToLower(s)
}
