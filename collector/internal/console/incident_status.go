package console

import (
	"context"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/internal/profile"
)

// incidentStatus is the strip at the top of an incident: is it cut off, is the evidence safe,
// what is the next deadline.
type incidentStatus struct {
	Cut, PCs, Unknown int
	Open              int       // endpoints that ought to be isolated and are not known to be
	Oldest            time.Time // of the measurements behind Cut; zero: none
	// Received is how many acquisitions the collector has; it verifies each before it says so.
	// Coming is how many more are ordered or wait on a PC.
	// Lost is how many orders to take evidence ended without any.
	Received, Coming, Lost int
	Deadline               deadlineCard
}

// viewStatus counts only what was measured and what was received.
func viewStatus(endpoints []incidentEndpoint, orders map[string]bool, commands []dispatch.Command, acquisitions []evidence.Acquisition) incidentStatus {
	st := incidentStatus{}
	var views []endpointView
	for _, e := range endpoints {
		if e.Presence == "revoked" {
			continue
		}
		st.PCs++
		views = append(views, e.endpointView)
		switch endpoint.State(e.Isolation.State) {
		case endpoint.Isolated:
			st.Cut++
			if at := e.Isolation.At; st.Oldest.IsZero() || at.Before(st.Oldest) {
				st.Oldest = at
			}
		case endpoint.Unknown:
			st.Unknown++
		}
	}
	st.Open = len(uncut(views, orders))
	here := map[string]bool{} // acquisitions, and the commands that they came of
	for _, a := range acquisitions {
		if a.DisposedAt.IsZero() {
			st.Received++
		}
		here[a.ID], here[a.CommandID] = true, true
	}
	again := repeated(commands, here)
	coming := map[string]int{} // by endpoint
	for _, c := range commands {
		if c.Verb == dispatch.Release || c.Isolation.Drill || here[c.ID] || c.AcquisitionID != "" && here[c.AcquisitionID] {
			continue
		}
		switch {
		case gaveNothing(c):
			if !again[c.ID] {
				st.Lost++
			}
		case !c.Status.Final() || c.AcquisitionID != "":
			coming[c.EndpointID]++
		}
	}
	for _, n := range coming {
		st.Coming += n
	}
	return st
}

// repeated are the orders after which the same was ordered of the same endpoint and its evidence
// is here: that one of them gave nothing needs nobody any more.
func repeated(commands []dispatch.Command, here map[string]bool) map[string]bool {
	again := map[string]bool{}
	for _, c := range commands {
		for _, o := range commands {
			if o.EndpointID == c.EndpointID && o.IssuedAt.After(c.IssuedAt) && covers(o, c) &&
				(here[o.ID] || o.AcquisitionID != "" && here[o.AcquisitionID]) {
				again[c.ID] = true
			}
		}
	}
	return again
}

// covers reports whether what an order takes has in it all that another was to take. A Preserve has
// no profile: the agent takes what [profile.Flash] has, and no memory.
func covers(o, c dispatch.Command) bool {
	if o.Verb == c.Verb {
		return o.Profile == c.Profile
	}
	return o.Verb == dispatch.Preserve && c.Verb == dispatch.Acquire && c.Profile == profile.Flash
}

// gaveNothing reports whether an order to take evidence, of which the collector has none, ended so
// that none need come. An acquisition that failed at the PC may have kept a part; when that
// arrives, it counts as received.
func gaveNothing(c dispatch.Command) bool {
	if c.Verb != dispatch.Acquire && c.Verb != dispatch.Preserve {
		return false
	}
	switch c.Status {
	case dispatch.Failed, dispatch.Expired, dispatch.Unsupported, dispatch.Refused:
		return true
	}
	return false
}

// Tone is how bad the isolation looks.
func (s incidentStatus) Tone() string {
	switch {
	case s.Open > 0:
		return "bad"
	case s.PCs > 0 && s.Cut == s.PCs:
		return "ok"
	case s.Unknown > 0:
		return "unknown"
	}
	return ""
}

// Kept is how the evidence looks.
func (s incidentStatus) Kept() string {
	switch {
	case s.Coming > 0, s.Lost > 0:
		return "warn"
	case s.Received > 0:
		return "ok"
	}
	return ""
}

// All is how many acquisitions there are, will be, or should have been.
func (s incidentStatus) All() int { return s.Received + s.Coming + s.Lost }

// status fills the strip of an incident's page.
func (s *server) status(v *visit, view *incidentShowView, commands []dispatch.Command, acquisitions []evidence.Acquisition) error {
	orders, err := s.uncutOrders(v)
	if err != nil {
		return err
	}
	view.Status = viewStatus(view.Endpoints, orders, commands, acquisitions)
	view.Status.Deadline = view.Deadlines
	return nil
}

// uncutting is what was ordered to be isolated and is not.
type uncutting interface {
	UncutOrders(ctx context.Context, a act.Actor) ([]dispatch.Command, error)
}
