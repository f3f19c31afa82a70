package act_test

import (
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
)

// What a cut ended stands in the ledger and in the incident's timeline: once for each order, and
// again for what is ended later under the same one.
func TestWhatACutEnded(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.modern("pc")
		inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{p.id}})
		if err != nil {
			t.Fatal(err)
		}
		says := func(command string, s *endpoint.Severed) {
			t.Helper()
			x.clock = x.clock.Add(time.Second)
			i := measured(endpoint.Isolated, x.clock)
			i.CommandID, i.More.Severed = command, s
			if err := x.EndpointIsolation(t.Context(), p.id, i); err != nil {
				t.Fatal(err)
			}
		}
		want := func(n int, ended, failed string) map[string]string {
			t.Helper()
			if got := strings.Count(x.kinds(inc.ID), " severed"); got != n {
				t.Fatalf("%d lines, want %d: %s", got, n, x.kinds(inc.ID))
			}
			f := x.details(p.id)
			if n > 0 && (f["n"] != ended || f["failed"] != failed) {
				t.Errorf("the ledger ends with %q", f)
			}
			return f
		}
		says("cmd_1", nil)
		says("cmd_1", &endpoint.Severed{Gone: 3})
		want(0, "", "")
		line := `tcp 192.0.2.1:443 sent=1 received=2 destroyed pid=7 "curl" started=2026-11-22T00:00:00Z`
		first := []string{line, strings.Repeat("x", 400)}
		for range 20 {
			first = append(first, line)
		}
		says("cmd_1", &endpoint.Severed{Destroyed: 12, First: first})
		f := want(1, "12", "")
		if got := strings.Split(f["connections"], "\n"); len(got) != 8 || got[0] != line || len(got[1]) != 240 {
			t.Errorf("connections %q", got)
		}
		says("cmd_1", &endpoint.Severed{Destroyed: 12, First: first}) // the same again
		says("cmd_1", nil)                                            // after a restart of the agent
		want(1, "12", "")
		says("cmd_1", &endpoint.Severed{Destroyed: 2})
		want(2, "2", "")
		says("cmd_1", &endpoint.Severed{Destroyed: 5, Failed: 1})
		want(3, "3", "1")
		says("cmd_2", &endpoint.Severed{Destroyed: 5, Failed: 1})
		want(4, "5", "1")
	})
}
