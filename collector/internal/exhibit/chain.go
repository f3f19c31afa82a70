package exhibit

import (
	"slices"
	"time"
)

// Step is one stretch of custody: from one event that moved an exhibit to the next.
type Step struct {
	Seq     int64 // of the event
	Type    EventType
	From    time.Time
	Until   time.Time // zero: it lasts
	Clock   string    // whose clock From is of
	Holder  Party     // empty on the way, after disposal, and when it was not said to whom
	Carrier string    // who carries it, on the way
	To      Party     // to whom it is on the way
	Place   string
	// Before are the gaps that the event shows, between the step before and this one;
	// Within those that later events show, and the one that lasts.
	Before, Within []Gap
}

// OnTheWay reports whether somebody carries it to somebody else.
func (s Step) OnTheWay() bool { return s.Type == Ship }

// Gone reports whether it was disposed of.
func (s Step) Gone() bool { return s.Type == Dispose }

// step notes that e moved the exhibit, with what is so now.
func (c *custody) step(e Event) {
	c.last = e
	if n := len(c.steps); n > 0 {
		c.steps[n-1].Until = e.At
	}
	c.steps = append(c.steps, Step{Seq: e.Seq, Type: e.Type, From: e.At, Clock: e.Clock, Holder: c.Holder, Carrier: c.Carrier, To: c.To, Place: c.Place})
}

// Chain reads the events as [Follow] does and returns who held the exhibit one after the
// other, with every gap of [Trail] at the step where it shows. It is empty when nobody is
// recorded to have ever held it; the gaps then stand in the Trail alone.
func Chain(events []Event) []Step {
	c := follow(events)
	if len(c.steps) == 0 {
		return nil
	}
	c.steps[len(c.steps)-1].Place = c.Place // where its custodian put it since
	for _, g := range c.Gaps {
		n := len(c.steps) - 1
		for n > 0 && c.steps[n].Seq > g.Seq {
			n--
		}
		if s := &c.steps[n]; s.Seq == g.Seq && !g.To.IsZero() || s.Seq > g.Seq {
			s.Before = append(s.Before, g)
		} else {
			s.Within = append(s.Within, g)
		}
	}
	return slices.Clip(c.steps)
}
