package api

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/sqldb/sqldbtest"
)

// TestIsolationIsAMeasurementWithItsAge: one endpoint and the list of them say the same, and
// neither says isolated of what is old or of what something passes through.
func TestIsolationIsAMeasurementWithItsAge(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t), generous)
	token := x.token(act.ScopeRead)
	doc := parsed(t, x.ask("GET", "/openapi.json", "", "", nil).body)
	now := time.Now()
	// Each measurement is one that an agent tells of with its heartbeat; what it did not
	// measure anew is as old as it was.
	for _, c := range []struct {
		name   string
		ago    time.Duration
		trials []endpoint.Trial
		want   string
	}{
		{"just measured", 3 * time.Second, []endpoint.Trial{
			{Name: "tcp4", Outcome: endpoint.AsOrdered, Target: "192.0.2.1:53", At: now, Dropped: 2}, {Name: "udp4", Outcome: endpoint.AsOrdered, At: now.Add(-time.Hour)},
			{Name: "raw4", Outcome: endpoint.NotShown, Reason: "no_control"},
		}, "isolated  [] [tcp4=cut udp4=unknown:old raw4=unknown:no_control]"},
		{"something passes", 0, []endpoint.Trial{{Name: "tcp4", Outcome: endpoint.Contrary, Reason: "answered", At: now}}, "failed  [leak] [tcp4=leaks:answered]"},
		{"measured long ago", 2 * endpoint.StaleAfter, nil, "unknown stale [] []"},
	} {
		i := endpoint.IsolationStatus{Desired: endpoint.Isolated, Observed: endpoint.Isolated, MeasuredAt: now.Add(-c.ago), WayHome: true, Capable: true,
			More: endpoint.Measured{Mode: "standard", Drill: true, Until: now.Add(time.Hour), Trials: c.trials, Limits: []string{"no egress hook"}}}
		must(t, x.EndpointConnected(t.Context(), x.endpoint, endpoint.Description{Hostname: "pc-1", AgentTime: now, Isolation: i}, "192.0.2.7"))
		one := x.ask("GET", "/endpoints/"+x.endpoint, token, "", nil)
		var all Page[Endpoint]
		must(t, json.Unmarshal([]byte(x.ask("GET", "/endpoints", token, "", nil).body), &all))
		var e Endpoint
		must(t, json.Unmarshal([]byte(one.body), &e))
		for _, v := range []Isolation{e.Isolation, all.Items[0].Isolation} {
			var trials []string
			for _, tr := range v.Trials {
				said := tr.Name + "=" + string(tr.Result)
				if tr.Reason != "" {
					said += ":" + tr.Reason
				}
				trials = append(trials, said)
			}
			if got := fmt.Sprint(v.Observed, " ", v.Why, " ", v.Notes, " ", trials); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
			if v.AgeSeconds == nil || *v.AgeSeconds < int64(c.ago/time.Second) || v.MeasuredAt.After(now.Add(time.Second-c.ago)) || v.ReceivedAt.IsZero() {
				t.Errorf("%s: measured at %v, %v seconds ago, received at %v", c.name, v.MeasuredAt, v.AgeSeconds, v.ReceivedAt)
			}
			if v.Mode != "standard" || !v.Drill || v.Until.IsZero() || fmt.Sprint(v.Limits) != "[no egress hook]" {
				t.Errorf("%s: %+v", c.name, v)
			}
		}
		schema := doc["components"].(map[string]any)["schemas"].(map[string]any)["Endpoint"].(map[string]any)
		if err := fits(doc, schema, parsed(t, one.body), "endpoint"); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
