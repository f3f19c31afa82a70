package endpoint_test

import (
	"fmt"
	"testing"
	"time"

	"hozen/collector/internal/endpoint"
)

// What is not known now is shown as isolated by nobody: every screen and every answer
// asks this.
func TestIsolatedIsShownOnlyWhileItWasJustMeasured(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	with := func(change func(e *endpoint.Endpoint)) endpoint.Endpoint {
		e := endpoint.Endpoint{ClockOffset: time.Hour, Isolation: endpoint.IsolationStatus{Desired: endpoint.Isolated, Observed: endpoint.Isolated, WayHome: true, Capable: true,
			MeasuredAt: now.Add(time.Hour - 2*time.Second), ReceivedAt: now.Add(-time.Second)}}
		change(&e)
		return e
	}
	trials := func(outcome endpoint.TrialOutcome, reason string) func(e *endpoint.Endpoint) {
		return func(e *endpoint.Endpoint) {
			e.Isolation.More.Trials = []endpoint.Trial{{Name: "tcp4", Outcome: outcome, Reason: reason}}
		}
	}
	for name, c := range map[string]struct {
		e    endpoint.Endpoint
		want string // state, why, ordered, notes, age
	}{
		"just measured": {with(func(*endpoint.Endpoint) {}), "isolated   [] 2s"},
		"at the limit": {with(func(e *endpoint.Endpoint) {
			e.Isolation.ReceivedAt, e.Isolation.MeasuredAt = now.Add(-endpoint.StaleAfter), time.Time{}
		}), "isolated   [] 1m30s"},
		"received long ago":       {with(func(e *endpoint.Endpoint) { e.Isolation.ReceivedAt = now.Add(-endpoint.StaleAfter - 1) }), "unknown stale isolated [] 1m30.000000001s"},
		"waited at the endpoint":  {with(func(e *endpoint.Endpoint) { e.Isolation.MeasuredAt = now }), "unknown stale isolated [] 1h0m0s"},
		"nothing new is measured": {with(func(e *endpoint.Endpoint) { e.ClockOffset, e.Isolation.MeasuredAt = 0, now.Add(-2*endpoint.StaleAfter) }), "unknown stale isolated [] 3m0s"},
		"a clock that runs ahead": {with(func(e *endpoint.Endpoint) { e.ClockOffset = 0 }), "isolated   [] 1s"},
		"of a future that is near": {with(func(e *endpoint.Endpoint) {
			e.Isolation.ReceivedAt, e.Isolation.MeasuredAt = now.Add(endpoint.StaleAfter), time.Time{}
		}), "isolated   [] 0s"},
		"of a future that is far": {with(func(e *endpoint.Endpoint) {
			e.Isolation.ReceivedAt, e.Isolation.MeasuredAt = now.Add(endpoint.StaleAfter+1), time.Time{}
		}), "unknown stale isolated [] -"},
		"measured and received in a future that is far": {with(func(e *endpoint.Endpoint) {
			e.Isolation.ReceivedAt, e.Isolation.MeasuredAt = now.Add(24*time.Hour), now.Add(24*time.Hour+time.Hour)
		}), "unknown stale isolated [] -"},
		"old, and ordered what nobody knows": {with(func(e *endpoint.Endpoint) { e.Isolation.Desired, e.Isolation.ReceivedAt = "odd", now.Add(-time.Hour) }), "unknown stale  [] 1h0m0s"},
		"never":                              {with(func(e *endpoint.Endpoint) { e.Isolation = endpoint.IsolationStatus{Observed: endpoint.Isolated} }), "unknown never  [] -"},
		"measured, never received":           {with(func(e *endpoint.Endpoint) { e.Isolation.ReceivedAt = time.Time{} }), "unknown never  [] -"},
		"revoked":                            {with(func(e *endpoint.Endpoint) { e.RevokedAt = now }), "unknown revoked  [] 2s"},
		"not said":                           {with(func(e *endpoint.Endpoint) { e.Isolation.Observed = "" }), "unknown unclear  [] 2s"},
		"odd":                                {with(func(e *endpoint.Endpoint) { e.Isolation.Observed = "perfect" }), "unknown unclear  [] 2s"},
		"leak":                               {with(trials(endpoint.Contrary, "answered")), "failed   [leak] 2s"},
		"odd reason":                         {with(trials(endpoint.Contrary, "odd")), "failed   [leak] 2s"},
		"shut":                               {with(trials(endpoint.Contrary, "no_answer")), "isolated   [shut] 2s"},
		"no proof":                           {with(trials(endpoint.NotShown, "no_control")), "isolated   [] 2s"},
		"no way home":                        {with(func(e *endpoint.Endpoint) { e.Isolation.WayHome = false }), "isolated   [no_way_home] 2s"},
		"otherwise":                          {with(func(e *endpoint.Endpoint) { e.Isolation.Observed, e.Isolation.Capable = endpoint.Released, false }), "released   [incapable not_as_ordered] 2s"},
	} {
		v := c.e.Shown(now)
		age := "-"
		if d, ok := v.Age(now); ok {
			age = d.String()
		}
		if got := fmt.Sprint(v.State, " ", v.Why, " ", v.Ordered, " ", v.Notes, " ", age); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if again := c.e.AsOf(now); again.Isolation.Observed != v.State || again.AsOf(now).Shown(now).State != v.State {
			t.Errorf("%s: as of now %s, want %s", name, again.Isolation.Observed, v.State)
		}
	}
}

func TestATrialSaysNothingForLong(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome endpoint.TrialOutcome
		reason  string
		mode    string
		age     time.Duration
		want    string
	}{
		{"tcp4", endpoint.AsOrdered, "", "standard", endpoint.TrialStaleAfter, "cut "},
		{"tcp4", endpoint.AsOrdered, "", "standard", endpoint.TrialStaleAfter + 1, "unknown old"},
		{"tcp4", endpoint.Contrary, "left", "standard", time.Hour, "leaks left"},
		{"collector", endpoint.AsOrdered, "", "standard", 0, "passes "},
		{"collector", endpoint.AsOrdered, "", "full", 0, "cut "},
		{"collector", endpoint.Contrary, "no_answer", "standard", time.Hour, "shut no_answer"},
		{"permit4", endpoint.AsOrdered, "", "selective", 0, "passes "},
		{"udp6", endpoint.NotShown, "no_control", "standard", 0, "unknown no_control"},
		{"udp6", "odd", "", "", 0, "unknown "},
	} {
		result, reason := endpoint.Trial{Name: c.name, Outcome: c.outcome, Reason: c.reason}.Result(c.mode, c.age)
		if got := string(result) + " " + reason; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
