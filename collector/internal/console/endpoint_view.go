package console

import (
	"cmp"
	"slices"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/internal/capability"
)

// endpointView is an endpoint as the pages show it.
type endpointView struct {
	endpoint.Endpoint
	Name      string
	Presence  string // online, offline, never, revoked
	Isolation isolationView
	Ends      []endpoint.Boot // how its last boots ended; nil when not looked up or none
}

// isolationView is an isolation as it may be shown, see [endpoint.Shown].
type isolationView struct {
	State    string    // key of the word: released, isolating, isolated, releasing, failed, unknown
	Why      string    // key of the reason when unknown: never, stale, unclear, revoked
	Ordered  string    // of one that went stale: the state that was ordered last, or empty
	At       time.Time // when it was measured, by the collector's clock
	Ahead    bool      // of one that went stale: At is in the future, so how long ago it was is not known
	Measured endpoint.IsolationStatus
	Notes    []string // keys of what else to know: incapable, no_way_home, not_as_ordered, leak, shut
}

func viewIsolation(e endpoint.Endpoint, now time.Time) isolationView {
	i := e.Shown(now)
	v := isolationView{State: string(i.State), Why: string(i.Why), Ordered: string(i.Ordered), At: i.MeasuredAt, Measured: e.Isolation}
	_, known := i.Age(now)
	v.Ahead = i.Why == endpoint.WhyStale && !known
	for _, n := range i.Notes {
		v.Notes = append(v.Notes, string(n))
	}
	return v
}

func viewEndpoint(e endpoint.Endpoint, now time.Time) endpointView {
	v := endpointView{Endpoint: e, Name: cmp.Or(e.Label, e.Hostname, e.ID), Isolation: viewIsolation(e, now)}
	switch {
	case !e.RevokedAt.IsZero():
		v.Presence = "revoked"
	case e.Origin == endpoint.ByKit:
		v.Presence = "kit"
	case e.Online:
		v.Presence = "online"
	case e.LastSeenAt.IsZero():
		v.Presence = "never"
	default:
		v.Presence = "offline"
	}
	return v
}

// ClockOff reports whether the endpoint's clock is so far off that it matters when
// its times are read beside others.
func (v endpointView) ClockOff() bool { return v.ClockOffset.Abs() >= 2*time.Second }

// OfferIsolate reports whether isolating may be wanted: always, but where the network
// is known to be cut. One that failed, or of which nothing is known, can be tried again.
func (v endpointView) OfferIsolate() bool {
	return v.Isolation.State != string(endpoint.Isolated) && v.Isolation.State != string(endpoint.Isolating)
}

// OfferPreserve reports whether the agent knows the order to preserve.
func (v endpointView) OfferPreserve() bool {
	return capability.Number(v.Capability) >= capability.Preserve
}

// OfferRelease reports whether releasing may be wanted: where something of ours is or
// may be in force.
func (v endpointView) OfferRelease() bool {
	switch endpoint.State(v.Isolation.State) {
	case endpoint.Isolated, endpoint.Isolating, endpoint.Failed:
		return true
	}
	return v.Measured().Desired == endpoint.Isolated
}

// viewEndpoints sorts what needs eyes to the top: failed, isolated and in between
// first, then by name; revoked ones last.
func viewEndpoints(all []endpoint.Endpoint, now time.Time) []endpointView {
	views := make([]endpointView, len(all))
	for i, e := range all {
		views[i] = viewEndpoint(e, now)
	}
	rank := func(v endpointView) int {
		if v.Presence == "revoked" {
			return 9
		}
		switch endpoint.State(v.Isolation.State) {
		case endpoint.Failed:
			return 0
		case endpoint.Isolating, endpoint.Releasing:
			return 1
		case endpoint.Isolated:
			return 2
		}
		if v.Isolation.Ordered == string(endpoint.Isolated) {
			return 3
		}
		return 4
	}
	slices.SortStableFunc(views, func(a, b endpointView) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return views
}
