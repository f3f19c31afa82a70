package act_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/id"
	"hozen/internal/releasecode"
)

// modern is an endpoint whose agent knows all of an order to isolate.
func (x *fixture) modern(hostname string) pc {
	x.t.Helper()
	p := x.enrolled(hostname)
	d := described()
	d.Capability = 3
	if err := x.EndpointConnected(x.t.Context(), p.id, d, "192.0.2.7:1"); err != nil {
		x.t.Fatal(err)
	}
	return p
}

func TestOrderToIsolateIsChecked(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p, old := x.modern("pc"), x.enrolled("old")
		soon := x.clock.Add(time.Hour)
		permit := func(f func(*dispatch.Permit)) dispatch.Isolation {
			p := dispatch.Permit{Network: netip.MustParsePrefix("192.0.2.7/24"), Protocol: "tcp", First: 443, Last: 443, Reason: "bank", ExpiresAt: soon}
			f(&p)
			return dispatch.Isolation{Mode: dispatch.Selective, Permits: []dispatch.Permit{p}}
		}
		for name, c := range map[string]struct {
			field string
			i     dispatch.Isolation
		}{
			"mode":           {"mode", dispatch.Isolation{Mode: "half"}},
			"stray permit":   {"permits", dispatch.Isolation{Permits: []dispatch.Permit{{}}}},
			"everything":     {"permits.1", permit(func(p *dispatch.Permit) { p.Network = netip.MustParsePrefix("0.0.0.0/0") })},
			"mapped":         {"permits.1", permit(func(p *dispatch.Permit) { p.Network = netip.MustParsePrefix("::ffff:192.0.2.0/120") })},
			"wide IPv6":      {"permits.1", permit(func(p *dispatch.Permit) { p.Network = netip.MustParsePrefix("2000::/3") })},
			"no network":     {"permits.1", permit(func(p *dispatch.Permit) { p.Network = netip.Prefix{} })},
			"no host":        {"permits.1", permit(func(p *dispatch.Permit) { p.Network = netip.MustParsePrefix("0.0.0.0/8") })},
			"no host IPv6":   {"permits.1", permit(func(p *dispatch.Permit) { p.Network = netip.MustParsePrefix("::/32") })},
			"multicast":      {"permits.1", permit(func(p *dispatch.Permit) { p.Network = netip.MustParsePrefix("224.0.0.251/32") })},
			"multicast net":  {"permits.1", permit(func(p *dispatch.Permit) { p.Network = netip.MustParsePrefix("224.0.0.0/8") })},
			"multicast IPv6": {"permits.1", permit(func(p *dispatch.Permit) { p.Network = netip.MustParsePrefix("ff02::1:0/112") })},
			"host name":      {"permits.1", permit(func(p *dispatch.Permit) { p.Host = "銀行.example" })},
			"protocol":       {"permits.1", permit(func(p *dispatch.Permit) { p.Protocol = "icmp" })},
			"ports":          {"permits.1", permit(func(p *dispatch.Permit) { p.First = 444 })},
			"no reason":      {"permits.1", permit(func(p *dispatch.Permit) { p.Reason = " " })},
			"no end":         {"permits.1", permit(func(p *dispatch.Permit) { p.ExpiresAt = time.Time{} })},
			"until is over":  {"until", dispatch.Isolation{Until: x.clock}},
			"until is soon":  {"until", dispatch.Isolation{Until: x.clock.Add(time.Second)}},
			"confirm a day":  {"confirm_within", dispatch.Isolation{ConfirmWithin: 24 * time.Hour}},
			"confirm full":   {"confirm_within", dispatch.Isolation{Mode: dispatch.Full, Until: soon, ConfirmWithin: time.Minute}},
			"fallback":       {"fallback", dispatch.Isolation{Fallback: "open"}},
			"notice is long": {"notice", dispatch.Isolation{Notice: dispatch.Notice{Text: strings.Repeat("x", 1025)}}},
		} {
			var bad *act.Invalid
			if _, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{Isolation: c.i}); !errors.As(err, &bad) || bad.Field != c.field {
				t.Errorf("%s: %v, want field %s", name, err, c.field)
			}
		}
		ok := permit(func(*dispatch.Permit) {})
		ok.Until, ok.ConfirmWithin, ok.Fallback = soon, time.Minute, dispatch.RollBack
		var bad *act.Invalid
		if _, err := x.Isolate(t.Context(), x.owner, old.id, act.Order{Isolation: ok}); !errors.As(err, &bad) || bad.Code != "old_agent" {
			t.Errorf("an agent that would not understand got it: %v", err)
		}
		if _, err := x.Isolate(t.Context(), x.owner, old.id, act.Order{}); err != nil {
			t.Error(err)
		}
		c, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{Isolation: ok, Reason: "why"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.Command(t.Context(), x.owner, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		i := got.Isolation
		if i.Mode != dispatch.Selective || i.Permits[0].Network.String() != "192.0.2.0/24" || !i.Until.Equal(soon) || i.ConfirmWithin != time.Minute ||
			i.Fallback != dispatch.RollBack || i.Lease != organisation.DefaultLease {
			t.Errorf("kept as %+v", i)
		}
		facts := x.details(c.ID)
		if facts["mode"] != "selective" || !strings.HasPrefix(facts["permit_1"], "192.0.2.0/24 tcp 443-443 until ") || facts["code_number"] != i.Code.Number {
			t.Errorf("ledger keeps %q", facts)
		}
	})
}

// The code that is shown is the one that the endpoint can check, who saw it is in the
// ledger, and the code is not.
func TestReleaseCodeIsShown(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.modern("pc")
		if _, err := x.ShowReleaseCode(t.Context(), x.owner, p.id, "123456789012", "call"); !errors.Is(err, act.ErrInvalid) {
			t.Errorf("without isolation: %v", err)
		}
		c, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.ShowReleaseCode(t.Context(), x.owner, p.id, c.Isolation.Code.Number, ""); !errors.Is(err, act.ErrInvalid) {
			t.Errorf("without a reason: %v", err)
		}
		// Another order is on its way: the endpoint says by its number which one is in force.
		if _, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{Isolation: dispatch.Isolation{Mode: dispatch.Full}}); err != nil {
			t.Fatal(err)
		}
		other := x.modern("other")
		if _, err := x.ShowReleaseCode(t.Context(), x.owner, other.id, c.Isolation.Code.Number, "call"); !errors.Is(err, act.ErrInvalid) {
			t.Errorf("the number of another endpoint: %v", err)
		}
		shown, err := x.ShowReleaseCode(t.Context(), x.owner, p.id, releasecode.FormatNumber(c.Isolation.Code.Number), "call from reception")
		if err != nil {
			t.Fatal(err)
		}
		code, err := releasecode.Check(shown.Code)
		if k := c.Isolation.Code; err != nil || !releasecode.Verify(code, k.Hash, k.Salt, k.Iterations) || shown.CommandID != c.ID {
			t.Errorf("%+v is not the code: %v", shown, err)
		}
		facts := x.details(p.id)
		if facts["reason"] != "call from reception" || facts["code_number"] != c.Isolation.Code.Number {
			t.Errorf("ledger keeps %q", facts)
		}
		for k, v := range facts {
			if strings.Contains(v, string(code)) || strings.Contains(v, shown.Code) {
				t.Errorf("the code stands in the ledger as %s", k)
			}
		}
		x.ledgerStands()
	})
}

func TestReleaseByTwoPersons(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p, other := x.modern("pc"), x.person("second", operator.Handler)
		cut, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{})
		if err != nil {
			t.Fatal(err)
		}
		number := cut.Isolation.Code.Number
		if err := x.SetIsolationSettings(t.Context(), x.owner, organisation.Isolation{TwoPersons: true, NoticePhone: "03-0000-0000"}); err != nil {
			t.Fatal(err)
		}
		waits := func(a act.Actor) *act.SecondPerson {
			t.Helper()
			c, err := x.Release(t.Context(), a, p.id, act.Order{Reason: "clean"})
			var w *act.SecondPerson
			if !errors.As(err, &w) || w.Asked.ID == "" || w.Asked.AskedBy != x.owner.ID {
				t.Fatalf("%+v, %v", c, err)
			}
			return w
		}
		first := waits(x.owner)
		if again := waits(x.owner); again.Asked.ID != first.Asked.ID {
			t.Error("asking twice asks two things")
		}
		var w *act.SecondPerson
		if _, err := x.ShowReleaseCode(t.Context(), x.owner, p.id, number, "call"); !errors.As(err, &w) {
			t.Errorf("one person alone saw the code: %v", err)
		}
		if _, err := x.ShowReleaseCode(t.Context(), other, p.id, number, "call"); err != nil {
			t.Errorf("the second person sees no code: %v", err)
		}
		if err := x.RefuseRelease(t.Context(), other, p.id, "not clean"); err != nil {
			t.Fatal(err)
		}
		lines, err := x.Timeline(t.Context(), x.owner, first.Asked.IncidentID)
		if last := lines[len(lines)-1]; err != nil || last.Params["command"] != "refuse_release" || last.Text != "not clean" {
			t.Errorf("the last line of the timeline is %+v, %v", last, err)
		}
		if _, err := x.ReleaseWaiting(t.Context(), other, p.id); !errors.Is(err, act.ErrNotFound) {
			t.Errorf("still waits: %v", err)
		}
		waits(x.owner)
		x.clock = x.clock.Add(dispatch.ReleaseWaits + time.Second)
		waits(x.owner) // the first was too long ago
		c, err := x.Release(t.Context(), other, p.id, act.Order{Reason: "agreed"})
		if err != nil || c.Verb != dispatch.Release || c.Isolation.Notice.Phone != "03-0000-0000" {
			t.Fatalf("%+v, %v", c, err)
		}
		if f := x.details(c.ID); f["asked_by"] != x.owner.ID {
			t.Errorf("ledger keeps %q", f)
		}
		// What was agreed is used up.
		if _, err := x.Release(t.Context(), other, p.id, act.Order{}); !errors.As(err, &w) || w.Asked.AskedBy != other.ID {
			t.Errorf("%v", err)
		}
		glass := act.Actor{Kind: act.ByLocal, BreakGlass: "nobody else is reached"}
		if c, err = x.Release(t.Context(), glass, p.id, act.Order{}); err != nil || x.details(c.ID)["break_glass"] == "" {
			t.Errorf("breaking the glass: %v", err)
		}
		// Switching it off takes a day, so that nobody alone does that and then releases.
		if err := x.SetIsolationSettings(t.Context(), x.owner, organisation.Isolation{}); err != nil {
			t.Fatal(err)
		}
		if err := x.RefuseRelease(t.Context(), other, p.id, ""); err != nil {
			t.Fatal(err)
		}
		waits(x.owner)
		x.clock = x.clock.Add(organisation.TwoPersonsLinger + time.Second)
		if _, err := x.Release(t.Context(), x.owner, p.id, act.Order{}); err != nil {
			t.Error(err)
		}
		x.ledgerStands()
	})
}

// Where a release takes two, one person alone opens nothing by other orders either.
func TestOnePersonAloneLoosensNothing(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p, other := x.modern("pc"), x.modern("other")
		if err := x.SetIsolationSettings(t.Context(), x.owner, organisation.Isolation{TwoPersons: true}); err != nil {
			t.Fatal(err)
		}
		permit := dispatch.Permit{Network: netip.MustParsePrefix("192.0.2.0/24"), Protocol: "tcp", First: 443, Last: 443, Reason: "bank", ExpiresAt: x.clock.Add(time.Hour)}
		selective := dispatch.Isolation{Mode: dispatch.Selective, Permits: []dispatch.Permit{permit}}
		if _, err := x.Isolate(t.Context(), x.owner, other.id, act.Order{Isolation: selective}); err != nil {
			t.Errorf("what is not isolated may be isolated anyhow: %v", err)
		}
		if _, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{}); err != nil {
			t.Fatal(err)
		}
		for name, i := range map[string]dispatch.Isolation{
			"end": {Until: x.clock.Add(time.Minute)}, "permits": selective, "roll back": {ConfirmWithin: time.Minute, Fallback: dispatch.RollBack}, "drill": x.Drill(),
		} {
			if _, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{Isolation: i}); !errors.Is(err, act.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, i := range []dispatch.Isolation{{}, {Mode: dispatch.Full}} {
			if _, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{Isolation: i}); err != nil {
				t.Errorf("%s: %v", i.Mode, err)
			}
		}
		glass := act.Actor{Kind: act.ByLocal, BreakGlass: "nobody else is reached"}
		if _, err := x.Isolate(t.Context(), glass, p.id, act.Order{Isolation: selective}); err != nil {
			t.Errorf("breaking the glass: %v", err)
		}
	})
}

func TestWhatHappenedToAnIsolationIsKeptOnce(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.modern("pc")
		inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{p.id}})
		if err != nil {
			t.Fatal(err)
		}
		ev := endpoint.IsolationEvent{ID: id.New(id.IsolationEvent), Kind: endpoint.EventDrift, At: x.clock.Add(-time.Minute), Differences: []string{"rule missing"},
			Seen: []string{"table deleted by nft"}, Count: 3}
		i := measured(endpoint.Isolated, x.clock)
		i.More.Trials = []endpoint.Trial{{Name: "tcp4", Outcome: endpoint.AsOrdered}}
		for range 2 {
			if err := x.IsolationHappened(t.Context(), p.id, ev, &i); err != nil {
				t.Fatal(err)
			}
		}
		list, err := x.IsolationEvents(t.Context(), x.owner, p.id, 0)
		if err != nil || len(list) != 1 || list[0].Kind != endpoint.EventDrift || list[0].Count != 3 || list[0].Seen[0] != "table deleted by nft" {
			t.Fatalf("%+v, %v", list, err)
		}
		if got := x.kinds(inc.ID); got != "opened isolation_event isolation" {
			t.Errorf("timeline: %s", got)
		}
		e, err := x.Endpoint(t.Context(), x.owner, p.id)
		if err != nil || len(e.Isolation.More.Trials) != 1 {
			t.Errorf("%+v, %v", e.Isolation, err)
		}
		// One that waited at the endpoint says nothing about now.
		stale := measured(endpoint.Released, x.clock.Add(-time.Hour))
		ev.ID = id.New(id.IsolationEvent)
		if err := x.IsolationHappened(t.Context(), p.id, ev, &stale); err != nil {
			t.Fatal(err)
		}
		if e, err = x.Endpoint(t.Context(), x.owner, p.id); err != nil || e.Isolation.Observed != endpoint.Isolated {
			t.Errorf("%s, %v", e.Isolation.Observed, err)
		}
		// Nor does the newest that is known, if it came late.
		x.clock = x.clock.Add(time.Hour)
		stale = measured(endpoint.Isolated, x.clock.Add(-2*endpoint.StaleAfter))
		ev.ID = id.New(id.IsolationEvent)
		if err := x.IsolationHappened(t.Context(), p.id, ev, &stale); err != nil {
			t.Fatal(err)
		}
		if e, err = x.Endpoint(t.Context(), x.owner, p.id); err != nil || e.Isolation.Observed != endpoint.Unknown || !e.Isolation.ReceivedAt.Equal(x.clock) {
			t.Errorf("%s received at %v, %v", e.Isolation.Observed, e.Isolation.ReceivedAt, err)
		}
		ev.ID = "iev_x"
		if err := x.IsolationHappened(t.Context(), p.id, ev, nil); !errors.Is(err, act.ErrInvalid) {
			t.Errorf("a name that is none: %v", err)
		}
		x.ledgerStands()
	})
}

// What is told late says nothing about now, also when only heartbeats told of now.
func TestLateResultDoesNotShowAnOldState(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.modern("pc")
		c, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{})
		if err != nil {
			t.Fatal(err)
		}
		then := x.clock
		if err := x.EndpointSeen(t.Context(), p.id, measured(endpoint.Released, then)); err != nil {
			t.Fatal(err)
		}
		x.clock = x.clock.Add(time.Minute) // remembered only: the same as a minute ago
		if err := x.EndpointSeen(t.Context(), p.id, measured(endpoint.Released, x.clock)); err != nil {
			t.Fatal(err)
		}
		late := measured(endpoint.Isolated, then.Add(30*time.Second))
		late.CommandID = c.ID
		r := dispatch.Result{CommandID: c.ID, Status: dispatch.Done, FinishedAt: then}
		if err := x.CommandFinished(t.Context(), p.id, r, &late); err != nil {
			t.Fatal(err)
		}
		ev := endpoint.IsolationEvent{ID: id.New(id.IsolationEvent), Kind: endpoint.EventDrift, At: then}
		if err := x.IsolationHappened(t.Context(), p.id, ev, &late); err != nil {
			t.Fatal(err)
		}
		e, err := x.Endpoint(t.Context(), x.owner, p.id)
		if err != nil || e.Isolation.Observed != endpoint.Released || !e.Isolation.MeasuredAt.Equal(x.clock) {
			t.Errorf("shown as %s, measured %v, now it is %v: %v", e.Isolation.Observed, e.Isolation.MeasuredAt, x.clock, err)
		}
		if done, err := x.Command(t.Context(), x.owner, c.ID); err != nil || done.Status != dispatch.Done {
			t.Errorf("the result itself was lost: %+v, %v", done, err)
		}
	})
}

// details is what the newest ledger entry about a subject says, of a group that of its order.
func (x *fixture) details(subject string) map[string]string {
	x.t.Helper()
	list, err := x.LedgerEntries(x.t.Context(), x.owner, act.LedgerFilter{Subject: subject})
	list = slices.DeleteFunc(list, func(e ledger.Recorded) bool { return e.Act == group.ActMembers })
	if err != nil || len(list) == 0 {
		x.t.Fatalf("%d entries, %v", len(list), err)
	}
	return list[0].Details
}

func TestPermitsAreWrittenByPeople(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	got, err := x.Permits(t.Context(), []act.PermitCall{
		{Target: "bank.example", Ports: "443", Reason: "bank"}, {Target: "192.0.2.9/24", Protocol: "UDP", Ports: " 53 - 54 "}, {Target: "fe80::1%eth0", Ports: "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, p := range got {
		list = append(list, fmt.Sprintf("%s %s %d-%d %s", p.Network, p.Protocol, p.First, p.Last, p.Host))
	}
	want := "192.0.2.80/32 tcp 443-443 bank.example, 2001:db8::5/128 tcp 443-443 bank.example, 192.0.2.0/24 udp 53-54 , fe80::1/128 tcp 1-1 "
	if s := strings.Join(list, ", "); s != want {
		t.Errorf("%s, want %s", s, want)
	}
	for _, bad := range []act.PermitCall{{Target: "nobody.example", Ports: "1"}, {Target: "", Ports: "1"}, {Target: "a b", Ports: "1"}, {Target: "銀行.example", Ports: "1"}, {Target: "192.0.2.1"}, {Target: "192.0.2.1", Ports: "2-1"}, {Target: "192.0.2.1", Ports: "0"}, {Target: "192.0.2.1", Ports: "70000"}} {
		if _, err := x.Permits(t.Context(), []act.PermitCall{bad}); !errors.Is(err, act.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
