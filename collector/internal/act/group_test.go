package act_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/internal/id"
)

// office is a PC that is there and can be isolated.
func (x *fixture) office(n int) []pc {
	x.t.Helper()
	var pcs []pc
	for i := range n {
		p := x.modern(fmt.Sprintf("pc-%d", i))
		d := described()
		d.Hostname, d.Capability, d.Isolation = fmt.Sprintf("pc-%d", i), 3, measured(endpoint.Released, x.clock)
		d.Isolation.Capable = true
		if err := x.EndpointConnected(x.t.Context(), p.id, d, fmt.Sprintf("192.0.2.%d:4000", i+1)); err != nil {
			x.t.Fatal(err)
		}
		_, _, gone := x.hub.SubscribeEndpoint(p.id)
		x.t.Cleanup(gone)
		pcs = append(pcs, p)
	}
	return pcs
}

func (x *fixture) finished(p pc, commandID string) {
	x.t.Helper()
	if err := x.CommandFinished(x.t.Context(), p.id, dispatch.Result{CommandID: commandID, Status: dispatch.Done, FinishedAt: x.clock}, nil); err != nil {
		x.t.Fatal(err)
	}
}

// outstanding is what an endpoint has to do, by verb.
func (x *fixture) outstanding(p pc) (verbs string, list []dispatch.Command) {
	x.t.Helper()
	list, err := x.Outstanding(x.t.Context(), p.id)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, c := range list {
		verbs += string(c.Verb) + " "
	}
	return strings.TrimSpace(verbs), list
}

// Nobody is cut before the evidence of all is there, then all are at once, and who is
// away finds its order when it is back.
func TestGroupIsCutTogether(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		pcs := x.office(3)
		away := x.modern("away")
		sel := act.Selection{All: true}
		o := act.GroupOrder{Verb: dispatch.Isolate, BreakGlass: "ransomware everywhere", Order: act.Order{Reason: "ransomware"}}
		pv, err := x.PreviewGroup(t.Context(), x.owner, sel, o)
		if err != nil || pv.Cut != 4 || pv.Online != 3 || pv.Share != 100 || fmt.Sprint(pv.Rails) != "[share]" {
			t.Fatalf("%+v, %v", pv, err)
		}
		var bad *act.Invalid
		if _, err := x.OrderGroup(t.Context(), x.owner, sel, o); !errors.As(err, &bad) || bad.Code != "changed" {
			t.Errorf("without a look at the preview: %v", err)
		}
		o.Confirmed = pv.Fingerprint
		o.BreakGlass = ""
		if _, err := x.OrderGroup(t.Context(), x.owner, sel, o); !errors.As(err, &bad) || bad.Field != "break_glass" {
			t.Errorf("over the share without a reason: %v", err)
		}
		o.BreakGlass = "ransomware everywhere"
		g, err := x.OrderGroup(t.Context(), x.owner, sel, o)
		if err != nil || g.Phase != group.Capturing || g.IncidentID == "" {
			t.Fatalf("%+v, %v", g, err)
		}
		for _, p := range pcs {
			if got, _ := x.outstanding(p); got != "acquire" {
				t.Errorf("first comes %q", got)
			}
		}
		for _, p := range pcs[:2] {
			_, list := x.outstanding(p)
			x.finished(p, list[0].ID)
		}
		x.looks()
		if got, _ := x.outstanding(pcs[0]); got != "" {
			t.Errorf("cut before the evidence of all is there: %q", got)
		}
		_, list := x.outstanding(pcs[2])
		x.finished(pcs[2], list[0].ID)
		x.looks()
		g, members, err := x.Group(t.Context(), x.owner, g.ID)
		if err != nil || g.Phase != group.Ordered || g.CutAt.IsZero() || len(members) != 4 {
			t.Fatalf("%+v, %v", g, err)
		}
		codes := map[string]bool{}
		for _, p := range append(pcs, away) {
			got, list := x.outstanding(p)
			if got != "isolate" {
				t.Fatalf("%q", got)
			}
			c := list[0]
			if c.IsolateFirst == (p.id == away.id) || c.Isolation.Code == nil || codes[c.Isolation.Code.Number] || !c.ExpiresAt.IsZero() || c.IncidentID != g.IncidentID || c.Issuer != "社長" {
				t.Errorf("%+v", c)
			}
			codes[c.Isolation.Code.Number] = true
		}
		inc, err := x.Incident(t.Context(), x.owner, g.IncidentID)
		if err != nil || len(inc.EndpointIDs) != 4 {
			t.Errorf("%+v, %v", inc, err)
		}
		if f := x.details(g.ID); f["break_glass_reason"] != "ransomware everywhere" || f["rail_share"] != "passed" || f["members"] != "4" {
			t.Errorf("ledger keeps %q", f)
		}
		x.ledgerStands()
	})
}

// One PC that hangs holds the others up for a bounded time.
func TestGroupWaitsForNobodyForLong(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		pcs := x.office(2)
		o := act.GroupOrder{Verb: dispatch.Isolate, BreakGlass: "because", Order: act.Order{Reason: "why"}}
		g := x.ordered(act.Selection{All: true}, o)
		x.clock = x.clock.Add(16 * time.Second)
		x.looks()
		for _, p := range pcs {
			if got, _ := x.outstanding(p); got != "acquire isolate" {
				t.Errorf("%q", got)
			}
		}
		if again, _, err := x.Group(t.Context(), x.owner, g.ID); err != nil || again.Phase != group.Ordered {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

func TestWhoIsSelectedAndLeftOut(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		pcs := x.office(4)
		place := func(p pc, site string, purpose endpoint.Purpose, tags ...string) {
			t.Helper()
			if err := x.PlaceEndpoint(t.Context(), x.owner, p.id, act.Place{Site: site, Purpose: purpose, Tags: tags}); err != nil {
				t.Fatal(err)
			}
		}
		place(pcs[0], "大阪", endpoint.PC, "経理")
		place(pcs[1], "大阪", endpoint.Server)
		place(pcs[2], "東京", "", "経理", "役員")
		old := x.enrolled("old")
		inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{pcs[3].id}})
		if err != nil {
			t.Fatal(err)
		}
		until := dispatch.Isolation{Until: x.clock.Add(time.Hour)}
		for name, c := range map[string]struct {
			sel  act.Selection
			o    act.GroupOrder
			want string
		}{
			"site":        {act.Selection{Site: "大阪"}, act.GroupOrder{}, "pc-0 pc-1:server"},
			"servers":     {act.Selection{Site: "大阪"}, act.GroupOrder{Servers: true}, "pc-0 pc-1"},
			"tag":         {act.Selection{Tag: "経理"}, act.GroupOrder{}, "pc-0 pc-2"},
			"incident":    {act.Selection{IncidentID: inc.Number}, act.GroupOrder{}, "pc-3"},
			"names":       {act.Selection{Names: []string{" PC-2 ", pcs[0].id, "192.0.2.4", "nobody", ""}}, act.GroupOrder{}, "pc-0 pc-2 pc-3 ?nobody"},
			"old agent":   {act.Selection{Names: []string{"old"}}, act.GroupOrder{Order: act.Order{Isolation: until}}, "old:old_agent"},
			"plain":       {act.Selection{Names: []string{"old"}}, act.GroupOrder{}, "old"},
			"drill":       {act.Selection{All: true}, act.GroupOrder{Order: act.Order{Isolation: dispatch.Isolation{Drill: true}}}, "old:old_agent pc-0 pc-1:server pc-2 pc-3"},
			"nobody":      {act.Selection{}, act.GroupOrder{}, ""},
			"operator":    {act.Selection{Names: []string{"pc-1"}}, act.GroupOrder{Servers: true, OperatorAddr: netip.MustParseAddr("::ffff:192.0.2.2")}, "pc-1!operator_here"},
			"own machine": {act.Selection{Names: []string{"pc-2"}}, act.GroupOrder{}, "pc-2!collector_host"},
		} {
			c.o.Verb = dispatch.Isolate
			x.own = name == "own machine"
			pv, err := x.PreviewGroup(t.Context(), x.owner, c.sel, c.o)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			var got []string
			for _, m := range pv.Members {
				s := m.Endpoint.Hostname
				if m.LeftOut != "" {
					s += ":" + string(m.LeftOut)
				}
				for _, r := range m.Rails {
					s += "!" + string(r)
				}
				got = append(got, s)
			}
			for _, u := range pv.Unknown {
				got = append(got, "?"+u)
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("%s: %q, want %q", name, s, c.want)
			}
		}
		_ = old
		for _, bad := range []act.Place{{Purpose: "toaster"}, {Site: strings.Repeat("x", 65)}, {Tags: []string{""}}, {Tags: make([]string, 17)}} {
			if err := x.PlaceEndpoint(t.Context(), x.owner, pcs[0].id, bad); !errors.Is(err, act.ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

func TestGroupIsReleasedByTwoPersons(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		pcs, second := x.office(2), x.person("second", operator.Handler)
		if err := x.SetIsolationSettings(t.Context(), x.owner, organisation.Isolation{TwoPersons: true}); err != nil {
			t.Fatal(err)
		}
		o := act.GroupOrder{Verb: dispatch.Release, Order: act.Order{Reason: "clean"}}
		pv, err := x.PreviewGroup(t.Context(), x.owner, act.Selection{All: true}, o)
		if err != nil {
			t.Fatal(err)
		}
		o.Confirmed = pv.Fingerprint
		var w *act.SecondPerson
		if _, err := x.OrderGroup(t.Context(), x.owner, act.Selection{All: true}, o); !errors.As(err, &w) {
			t.Fatal(err)
		}
		if got, _ := x.outstanding(pcs[0]); got != "" {
			t.Errorf("released by one person: %q", got)
		}
		if _, err := x.OrderGroup(t.Context(), second, act.Selection{All: true}, o); err != nil {
			t.Fatal(err)
		}
		for _, p := range pcs {
			if got, _ := x.outstanding(p); got != "release" {
				t.Errorf("%q", got)
			}
		}
		x.ledgerStands()
	})
}

// A drill that is due begins by itself, leaves out who must not be cut, and keeps a
// score.
func TestScheduledDrill(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		x.clock = time.Date(2026, 11, 24, 1, 30, 0, 0, time.UTC) // Tuesday, 10:30 in Japan
		pcs := x.office(2)
		if err := x.SetIsolationSettings(t.Context(), x.owner, organisation.Isolation{DrillDays: 7, DrillHour: 10}); err != nil {
			t.Fatal(err)
		}
		if err := x.PlaceEndpoint(t.Context(), x.owner, pcs[1].id, act.Place{Purpose: endpoint.Server}); err != nil {
			t.Fatal(err)
		}
		x.looks()
		got, list := x.outstanding(pcs[0])
		if got != "acquire" {
			t.Fatalf("%q", got)
		}
		if got, _ := x.outstanding(pcs[1]); got != "" {
			t.Errorf("the server got %q", got)
		}
		x.finished(pcs[0], list[0].ID)
		x.looks()
		got, list = x.outstanding(pcs[0])
		if c := list[0]; got != "isolate" || !c.Isolation.Drill || c.Isolation.Fallback != dispatch.RollBack || c.ExpiresAt.IsZero() || c.Isolation.Until.Sub(x.clock) != act.DrillTime {
			t.Fatalf("%q, %+v", got, c)
		}
		i := measured(endpoint.Isolated, x.clock)
		i.CommandID, i.WayHome = list[0].ID, true
		i.More = endpoint.Measured{Drill: true, Severed: &endpoint.Severed{At: x.clock.Add(300 * time.Millisecond)}, Trials: []endpoint.Trial{
			{Name: "tcp4", Outcome: endpoint.AsOrdered}, {Name: "raw4", Outcome: endpoint.Contrary}, {Name: "tcp6", Outcome: endpoint.NotShown},
			{Name: "loopback4", Outcome: endpoint.Contrary}, {Name: "collector", Outcome: endpoint.Contrary},
		}}
		if err := x.CommandFinished(t.Context(), pcs[0].id, dispatch.Result{CommandID: list[0].ID, Status: dispatch.Done, FinishedAt: x.clock}, &i); err != nil {
			t.Fatal(err)
		}
		ev := endpoint.IsolationEvent{ID: id.New(id.IsolationEvent), Kind: endpoint.EventReleasedByTime, At: x.clock.Add(time.Minute), CommandID: list[0].ID}
		if err := x.IsolationHappened(t.Context(), pcs[0].id, ev, nil); err != nil {
			t.Fatal(err)
		}
		groups, err := x.Groups(t.Context(), x.owner, 0)
		if err != nil || len(groups) != 1 || !groups[0].Drill {
			t.Fatalf("%+v, %v", groups, err)
		}
		_, members, err := x.Group(t.Context(), x.owner, groups[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		m := members[0]
		if m.Result == nil || m.Result.AsOrdered != 1 || m.Result.Unknown != 1 || fmt.Sprint(m.Result.Leaks) != "[raw4]" || !m.Result.WayHome ||
			m.Result.Took != 300*time.Millisecond || m.Ended != "released_by_time" {
			t.Errorf("%+v, %+v", m, m.Result)
		}
		x.looks()
		if groups, _ = x.Groups(t.Context(), x.owner, 0); len(groups) != 1 {
			t.Errorf("%d drills in one day", len(groups))
		}
		x.ledgerStands()
	})
}

// What keeps one group from being cut keeps no other, and one whose incident was closed
// is given up.
func TestOneGroupHoldsUpNoOther(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		pcs := x.office(2)
		o := act.GroupOrder{Verb: dispatch.Isolate, BreakGlass: "because", Order: act.Order{Reason: "why"}}
		g := x.ordered(act.Selection{Names: []string{pcs[0].id}}, o)
		if err := x.CloseIncident(t.Context(), x.owner, g.IncidentID, "mistake"); err != nil {
			t.Fatal(err)
		}
		x.ordered(act.Selection{Names: []string{pcs[1].id}}, o)
		x.clock = x.clock.Add(time.Hour)
		x.looks()
		if got, _ := x.outstanding(pcs[0]); got != "acquire" {
			t.Errorf("cut after its incident was closed: %q", got)
		}
		if got, _ := x.outstanding(pcs[1]); got != "acquire isolate" {
			t.Errorf("the other group: %q", got)
		}
		if g, members, err := x.Group(t.Context(), x.owner, g.ID); err != nil || g.Phase != group.Ordered || members[0].LeftOut != string(act.LeftOutClosed) {
			t.Errorf("%+v, %+v, %v", g, members, err)
		}
		x.ledgerStands()
	})
}

// A drill never ends an isolation in earnest, whichever comes first.
func TestDrillLeavesTheRealThingAlone(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.office(1)[0]
		if _, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{Isolation: dispatch.Isolation{Drill: true, Mode: dispatch.Full}}); err != nil {
			t.Fatal(err)
		}
		_, list := x.outstanding(p)
		if i := list[0].Isolation; i.Mode != dispatch.Standard || i.Until.Sub(x.clock) != act.DrillTime || i.Fallback != dispatch.RollBack {
			t.Errorf("a drill that is none: %+v", i)
		}
		x.finished(p, list[0].ID)
		x.ordered(act.Selection{All: true}, act.GroupOrder{Verb: dispatch.Isolate, Order: act.Order{Reason: "drill", Isolation: x.Drill()}})
		if _, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{Reason: "ransomware", IsolateFirst: true}); err != nil {
			t.Fatal(err)
		}
		x.clock = x.clock.Add(16 * time.Second)
		x.looks()
		if got, list := x.outstanding(p); got != "acquire isolate" || list[1].Isolation.Drill {
			t.Errorf("%q, %+v", got, list)
		}
		if _, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{Isolation: x.Drill()}); !errors.Is(err, act.ErrConflict) {
			t.Errorf("a drill over it: %v", err)
		}
	})
}

// Three times thirty percent is ninety.
func TestShareCountsWhatIsIsolated(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		pcs := x.office(10)
		names := func(n ...int) (s act.Selection) {
			for _, i := range n {
				s.Names = append(s.Names, pcs[i].id)
			}
			return s
		}
		o := act.GroupOrder{Verb: dispatch.Isolate, Order: act.Order{Reason: "why", IsolateFirst: true}}
		x.ordered(names(0, 1, 2), o)
		pv, err := x.PreviewGroup(t.Context(), x.owner, names(3, 4, 5), o)
		if err != nil || pv.Share != 60 || fmt.Sprint(pv.Rails) != "[share]" {
			t.Errorf("%+v, %v", pv, err)
		}
	})
}

// An endpoint tells of its own members only.
func TestMembersEndByTheirOwnWord(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		pcs := x.office(3)
		g := x.ordered(act.Selection{Names: []string{pcs[0].id, pcs[1].id}}, act.GroupOrder{Verb: dispatch.Isolate, BreakGlass: "because", Order: act.Order{Reason: "why", IsolateFirst: true}})
		_, list := x.outstanding(pcs[0])
		for _, commandID := range []string{"", list[0].ID} {
			ev := endpoint.IsolationEvent{ID: id.New(id.IsolationEvent), Kind: endpoint.EventReleasedByCode, At: x.clock, Count: 1, CommandID: commandID}
			if err := x.IsolationHappened(t.Context(), pcs[2].id, ev, nil); err != nil {
				t.Fatal(err)
			}
		}
		_, members, err := x.Group(t.Context(), x.owner, g.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if m.Ended != "" {
				t.Errorf("%s ended %q by the word of another", m.EndpointID, m.Ended)
			}
		}
	})
}

// ordered previews and orders.
func (x *fixture) ordered(sel act.Selection, o act.GroupOrder) group.Order {
	x.t.Helper()
	pv, err := x.PreviewGroup(x.t.Context(), x.owner, sel, o)
	if err != nil {
		x.t.Fatal(err)
	}
	o.Confirmed = pv.Fingerprint
	g, err := x.OrderGroup(x.t.Context(), x.owner, sel, o)
	if err != nil {
		x.t.Fatal(err)
	}
	return g
}

// looks lets what cuts groups and begins drills look once.
func (x *fixture) looks() {
	x.t.Helper()
	if err := x.LookAtGroups(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
}
