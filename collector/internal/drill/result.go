package drill

import (
	"slices"
	"time"
)

// Course is when which moment was reached; one that is missing was not.
type Course map[Moment]time.Time

// reach sets a moment to the earlier of two times.
func (c Course) reach(m Moment, at time.Time) {
	if old, ok := c[m]; !at.IsZero() && (!ok || at.Before(old)) {
		c[m] = at
	}
}

// State is how a time stands against its target.
type State string

// The states.
const (
	InTime  State = "in_time"
	Late    State = "late"    // reached, but after the time that is aimed at
	Running State = "running" // not reached, and there is time left
	Overdue State = "overdue" // not reached, and the time is over
	NotDone State = "not_done"
)

// Lap is one target and what came of it.
type Lap struct {
	Target
	Start time.Time     `json:"start,omitzero"`
	At    time.Time     `json:"at,omitzero"`
	Took  time.Duration `json:"took"` // of what was reached, else how long it has been; ns
	State State         `json:"state"`
}

// Result is what came of a drill.
type Result struct {
	EndedAt   time.Time `json:"ended_at,omitzero"` // zero while it goes on
	Endpoints int       `json:"endpoints"`
	Simulated int       `json:"simulated"` // how often something was only simulated
	Laps      []Lap     `json:"laps"`
	// FirstEvidence says whether the evidence was safe before the isolation; nil: one of the two
	// was not reached.
	FirstEvidence *bool `json:"first_evidence,omitempty"`
}

// InTime counts the targets that were reached in time.
func (r Result) InTime() int {
	n := 0
	for _, l := range r.Laps {
		if l.State == InTime {
			n++
		}
	}
	return n
}

// Done is something that happened to an endpoint for real, in a drill.
type Done struct {
	EndpointID string
	What       What
	At         time.Time
}

// Facts are what a drill is measured by.
type Facts struct {
	Reported, Opened time.Time
	EndedAt          time.Time // zero while it goes on
	EndpointIDs      []string
	Steps            []Step
	Real             []Done    // what was done for real: evidence that was received, isolation that was measured
	ToldAt           time.Time // when a document went to the owner; zero: never
	DocumentAt       time.Time // when the first document was issued; zero: never
}

// Course says when which moment was reached. Evidence and isolation are those of every
// endpoint of the drill: of the last one. A step that is about the drill as a whole is one of
// each endpoint.
func (f Facts) Course() Course {
	c := Course{}
	c.reach(Reported, f.Reported)
	c.reach(Opened, f.Opened)
	c.reach(Evidence, f.everywhere(Acquire))
	c.reach(Isolated, f.everywhere(Isolate))
	for _, s := range f.Steps {
		if s.What == ToldOwner {
			c.reach(Told, s.At)
		}
	}
	c.reach(Told, f.ToldAt)
	c.reach(Document, f.DocumentAt)
	return c
}

// everywhere is when something had been done at every endpoint; zero: it was not.
func (f Facts) everywhere(w What) time.Time {
	at := map[string]time.Time{}
	reach := func(endpoint string, t time.Time) {
		if old, ok := at[endpoint]; !ok || t.Before(old) {
			at[endpoint] = t
		}
	}
	for _, s := range f.Steps {
		if s.What == w {
			reach(s.EndpointID, s.At)
		}
	}
	for _, d := range f.Real {
		if d.What == w {
			reach(d.EndpointID, d.At)
		}
	}
	whole, forAll := at[""]
	if len(f.EndpointIDs) == 0 {
		return whole
	}
	var last time.Time
	for _, e := range f.EndpointIDs {
		t, ok := at[e]
		if forAll && (!ok || whole.Before(t)) {
			t, ok = whole, true
		}
		if !ok {
			return time.Time{}
		}
		if t.After(last) {
			last = t
		}
	}
	return last
}

// Measure compares a drill with the targets.
func (b *Book) Measure(f Facts, now time.Time) Result {
	r := Result{EndedAt: f.EndedAt, Endpoints: len(f.EndpointIDs)}
	for _, s := range f.Steps {
		if slices.Contains(Simulated(), s.What) {
			r.Simulated++
		}
	}
	c := f.Course()
	until := now
	if !f.EndedAt.IsZero() {
		until = f.EndedAt
	}
	for _, t := range b.targets {
		l := Lap{Target: t, Start: c[t.From], At: c[t.Moment]}
		end := l.At
		if end.IsZero() {
			end = until
		}
		l.Took = max(0, end.Sub(l.Start))
		switch over := l.Took > t.Limit(); {
		case !l.At.IsZero() && !over:
			l.State = InTime
		case !l.At.IsZero():
			l.State = Late
		case !f.EndedAt.IsZero():
			l.State = NotDone
		case over:
			l.State = Overdue
		default:
			l.State = Running
		}
		r.Laps = append(r.Laps, l)
	}
	if evidence, isolated := c[Evidence], c[Isolated]; !evidence.IsZero() && !isolated.IsZero() {
		first := !evidence.After(isolated)
		r.FirstEvidence = &first
	}
	return r
}
