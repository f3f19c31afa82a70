package act_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/internal/artifact"
	"hozen/internal/capability"
	"hozen/internal/id"
)

// connected makes an endpoint whose agent knows the order to preserve.
func (x *fixture) connected(hostname string) pc {
	x.t.Helper()
	p := x.enrolled(hostname)
	d := described()
	d.Capability, d.Spooled, d.Isolation = uint32(capability.Preserve), 3, measured(endpoint.Released, x.clock)
	if err := x.EndpointConnected(x.t.Context(), p.id, d, "192.0.2.7"); err != nil {
		x.t.Fatal(err)
	}
	return p
}

func TestNoPCIsSwitchedOffWithoutReasonAndConfirmedFacts(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.connected("pc")
		gate, err := x.PowerOffGate(ctx, x.owner, p.id)
		if err != nil {
			t.Fatal(err)
		}
		off := act.Order{Then: dispatch.ThenPowerOff, Reason: "ランサムウェアを確認", Confirmed: gate.Fingerprint()}
		for field, change := range map[string]func(*act.Order){
			"reason required": func(o *act.Order) { o.Reason = "" }, "confirmed required": func(o *act.Order) { o.Confirmed = "" },
			"confirmed changed": func(o *act.Order) { o.Confirmed = "0123456789abcdef" }, "then unknown": func(o *act.Order) { o.Then = "explode" },
		} {
			o := off
			change(&o)
			_, err := x.Preserve(ctx, x.owner, p.id, o)
			f, code, _ := strings.Cut(field, " ")
			wantInvalid(t, err, f, code)
		}
		for name, a := range map[string]act.Actor{"viewer": x.person("viewer", operator.Viewer), "auditor": x.person("auditor", operator.Auditor), "vendor": x.person("vendor", operator.Vendor)} {
			if _, err := x.Preserve(ctx, a, p.id, off); !errors.Is(err, act.ErrForbidden) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := x.PowerOffGate(ctx, a, p.id); !errors.Is(err, act.ErrForbidden) {
				t.Errorf("%s sees the gate: %v", name, err)
			}
		}
		if list, err := x.Commands(ctx, x.owner, act.CommandFilter{}); err != nil || len(list) != 0 {
			t.Fatalf("%+v, %v", list, err)
		}

		// What was confirmed must be what is so now.
		if err := x.EndpointSeen(ctx, p.id, measured(endpoint.Isolated, x.clock)); err != nil {
			t.Fatal(err)
		}
		_, err = x.Preserve(ctx, x.owner, p.id, off)
		wantInvalid(t, err, "confirmed", "changed")
		if gate, err = x.PowerOffGate(ctx, x.owner, p.id); err != nil {
			t.Fatal(err)
		}
		off.Confirmed = gate.Fingerprint()
		c, err := x.Preserve(ctx, x.owner, p.id, off)
		if err != nil || c.Then != dispatch.ThenPowerOff {
			t.Fatalf("%+v, %v", c, err)
		}
		open, err := x.Outstanding(ctx, p.id) // the endpoint is away, the order waits
		if err != nil || len(open) != 1 || open[0].Verb != dispatch.Preserve || open[0].Then != dispatch.ThenPowerOff || open[0].Reason != off.Reason {
			t.Fatalf("%+v, %v", open, err)
		}
		list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: c.ID})
		if err != nil || len(list) != 1 || list[0].Act != "dispatch.preserve" || list[0].ActorName != "社長" {
			t.Fatalf("%+v, %v", list, err)
		}
		timeline, err := x.Timeline(ctx, x.owner, c.IncidentID)
		if err != nil {
			t.Fatal(err)
		}
		var told incident.Entry
		for _, l := range timeline {
			if l.Kind == incident.EntryCommand {
				told = l
			}
		}
		for k, want := range map[string]string{"then": "power_off", "gate_isolation": "isolated", "gate_spooled": "3", "gate_memory": "not_acquired", "gate_disk_encryption": "unknown",
			"gate_captured_at": "never", "gate_processes": "unknown", "gate_confirmed": gate.Fingerprint()} {
			if list[0].Details[k] != want || told.Params[k] != want {
				t.Errorf("%s: ledger %q, timeline %q, want %q", k, list[0].Details[k], told.Params[k], want)
			}
		}
		if list[0].Details["reason"] != off.Reason || told.Text != off.Reason {
			t.Errorf("the reason: %q, %q", list[0].Details["reason"], told.Text)
		}
		x.ledgerStands()
	})
}

func TestPreservingAloneNeedsNoConfirmation(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.connected("pc")
		c, err := x.Preserve(t.Context(), x.owner, p.id, act.Order{})
		if err != nil || c.Then != dispatch.ThenNothing {
			t.Fatalf("%+v, %v", c, err)
		}
	})
}

func TestOldAgentsAreNotOrderedToPreserve(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.enrolled("pc")
		for range 2 {
			_, err := x.Preserve(ctx, x.owner, p.id, act.Order{})
			if !errors.Is(err, act.ErrTooOld) || !errors.Is(err, act.ErrConflict) {
				t.Errorf("%v", err)
			}
			if err := x.EndpointConnected(ctx, p.id, described(), "192.0.2.7"); err != nil { // capability 1
				t.Fatal(err)
			}
		}
		p = x.connected("other")
		if err := x.RevokeEndpoint(ctx, x.owner, p.id, "lost"); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Preserve(ctx, x.owner, p.id, act.Order{}); !errors.Is(err, act.ErrConflict) || errors.Is(err, act.ErrTooOld) {
			t.Errorf("%v", err)
		}
		if _, err := x.PowerOffGate(ctx, x.owner, "end_none"); !errors.Is(err, act.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

func TestEndpointsAreToldOfOpenIncidents(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.enrolled("pc")
		wake, _, cancel := x.hub.SubscribeEndpoint(p.id)
		defer cancel()
		expect := func(want act.Attention, woken bool) {
			t.Helper()
			if got, err := x.Attention(ctx, p.id); err != nil || got != want {
				t.Errorf("%+v, %v, want %+v", got, err, want)
			}
			select {
			case <-wake:
				if !woken {
					t.Error("woken for nothing")
				}
			default:
				if woken {
					t.Error("not woken")
				}
			}
		}
		expect(act.Attention{}, false)
		first, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "one", EndpointIDs: []string{p.id}})
		if err != nil {
			t.Fatal(err)
		}
		expect(act.Attention{Open: true, Number: first.Number}, true)
		x.clock = x.clock.Add(time.Hour)
		second, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "two"})
		if err != nil {
			t.Fatal(err)
		}
		expect(act.Attention{Open: true, Number: first.Number}, false)
		joined := x.accept(p, second.ID, artifact.KindProcess, "{}\n") // the endpoint joins by its evidence
		x.EvidenceChanged(ctx, p.id, joined.ID)
		expect(act.Attention{Open: true, Number: second.Number}, true)
		for _, inc := range []incident.Incident{second, first} {
			if err := x.CloseIncident(ctx, x.owner, inc.ID, "done"); err != nil {
				t.Fatal(err)
			}
			left := act.Attention{Open: true, Number: first.Number}
			if inc.ID == first.ID {
				left = act.Attention{}
			}
			expect(left, true)
		}
	})
}

// down orders a PC to be switched off, with what the gate says now.
func (x *fixture) down(p pc) (dispatch.Command, error) {
	x.t.Helper()
	gate, err := x.PowerOffGate(x.t.Context(), x.owner, p.id)
	if err != nil {
		x.t.Fatal(err)
	}
	return x.Preserve(x.t.Context(), x.owner, p.id, act.Order{Then: dispatch.ThenPowerOff, Reason: "r", Confirmed: gate.Fingerprint()})
}

// command reads a command as people are shown it.
func (x *fixture) command(commandID string) dispatch.Command {
	x.t.Helper()
	c, err := x.Command(x.t.Context(), x.owner, commandID)
	if err != nil {
		x.t.Fatal(err)
	}
	return c
}

func TestNoPCIsSwitchedOffByAnOldOrderOrByTwo(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.connected("pc")
		c, err := x.down(p)
		if err != nil || !c.ExpiresAt.Equal(x.clock.Add(24*time.Hour)) {
			t.Fatalf("%+v, %v", c, err)
		}
		if _, err := x.down(p); !errors.Is(err, act.ErrPending) || !errors.Is(err, act.ErrConflict) {
			t.Errorf("a second one: %v", err)
		}
		if _, err := x.down(x.connected("other")); err != nil {
			t.Errorf("another PC's: %v", err)
		}
		if n, err := x.Preserve(ctx, x.owner, p.id, act.Order{}); err != nil || !n.ExpiresAt.IsZero() {
			t.Errorf("preserving alone: %+v, %v", n, err)
		}
		gate, err := x.PowerOffGate(ctx, x.owner, p.id)
		if err != nil || gate.Pending == nil || gate.Pending.ID != c.ID || gate.Facts()["gate_pending"] != c.ID || gate.Facts()["gate_pending_then"] != "power_off" || gate.Facts()["gate_pending_by"] != "社長" {
			t.Errorf("%+v, %v", gate, err)
		}
		x.clock = x.clock.Add(24 * time.Hour)
		if got := x.command(c.ID); got.Status != dispatch.Expired || got.Detail == "" {
			t.Errorf("shown as %s", got.Status)
		}
		again, err := x.down(p)
		if err != nil {
			t.Fatalf("after it expired: %v", err)
		}
		open, err := x.Outstanding(ctx, p.id)
		if err != nil || len(open) != 2 || open[1].ID != again.ID {
			t.Errorf("%+v, %v", open, err)
		}
		if got := x.acts(c.ID); strings.Join(got, " ") != "dispatch.preserve dispatch.finish" {
			t.Errorf("%q", got)
		}
		// One that was confirmed and never heard of again is given up, too.
		if err := x.CommandAcked(ctx, p.id, again.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := x.down(p); !errors.Is(err, act.ErrPending) {
			t.Errorf("beside one under way: %v", err)
		}
		x.clock = x.clock.Add(25 * time.Hour)
		if _, err := x.down(p); err != nil {
			t.Errorf("%v", err)
		}
		x.ledgerStands()
	})
}

func TestOrdersToGoDownAreWithdrawn(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.connected("pc")
		order := func() dispatch.Command {
			t.Helper()
			c, err := x.down(p)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		c := order()
		for name, a := range map[string]act.Actor{"viewer": x.person("viewer", operator.Viewer), "vendor": x.person("vendor", operator.Vendor)} {
			wantErr(t, x.Withdraw(ctx, a, c.ID, ""), act.ErrForbidden)
			_ = name
		}
		wantErr(t, x.Withdraw(ctx, x.owner, "cmd_none", ""), act.ErrNotFound)
		for range 2 {
			if err := x.Withdraw(ctx, x.owner, c.ID, "誤りでした"); err != nil {
				t.Fatal(err)
			}
		}
		if got := x.command(c.ID); got.Status != dispatch.Withdrawn || got.Detail != "誤りでした" {
			t.Errorf("%+v", got)
		}
		if open, err := x.Outstanding(ctx, p.id); err != nil || len(open) != 0 {
			t.Errorf("%+v, %v", open, err)
		}
		if got := strings.Join(x.acts(c.ID), " "); got != "dispatch.preserve dispatch.withdraw" {
			t.Errorf("ledger: %s", got)
		}
		acquire, err := x.Acquire(ctx, x.owner, p.id, act.Order{})
		if err != nil {
			t.Fatal(err)
		}
		wantErr(t, x.Withdraw(ctx, x.owner, acquire.ID, ""), act.ErrConflict)

		c = order()
		if err := x.CommandAcked(ctx, p.id, c.ID); err != nil {
			t.Fatal(err)
		}
		wantErr(t, x.Withdraw(ctx, x.owner, c.ID, ""), act.ErrTooLate)
		if err := x.CommandFinished(ctx, p.id, dispatch.Result{CommandID: c.ID, Status: dispatch.Failed, FinishedAt: x.clock}, nil); err != nil {
			t.Fatal(err)
		}
		if got := x.command(c.ID).Status; got != dispatch.Failed { // nothing was sealed
			t.Error(got)
		}

		// Closing the incident withdraws what waits, and nothing else.
		c = order()
		if err := x.CloseIncident(ctx, x.owner, c.IncidentID, "解決"); err != nil {
			t.Fatal(err)
		}
		if got := x.command(c.ID); got.Status != dispatch.Withdrawn || got.Detail != "解決" {
			t.Errorf("at the incident's end: %+v", got)
		}
		if got := x.command(acquire.ID).Status; got != dispatch.Queued {
			t.Errorf("an order to acquire: %s", got)
		}
		x.ledgerStands()
	})
}

func TestTheEndpointsWordStandsAgainstAWithdrawalThatWasTooLate(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		for _, acked := range []bool{true, false} {
			for _, expired := range []bool{true, false} {
				p := x.connected("pc")
				c, err := x.down(p)
				if err != nil {
					t.Fatal(err)
				}
				if expired { // it had been sent before
					x.clock = x.clock.Add(25 * time.Hour)
					if _, err := x.Outstanding(ctx, p.id); err != nil {
						t.Fatal(err)
					}
				} else if err := x.Withdraw(ctx, x.owner, c.ID, ""); err != nil {
					t.Fatal(err)
				}
				if acked {
					for range 2 {
						if err := x.CommandAcked(ctx, p.id, c.ID); err != nil {
							t.Fatal(err)
						}
					}
					if got := x.command(c.ID); got.Status != dispatch.Accepted || got.Detail != "" || got.AcceptedAt.IsZero() {
						t.Errorf("%+v", got)
					}
				}
				for range 2 {
					if err := x.CommandFinished(ctx, p.id, dispatch.Result{CommandID: c.ID, Status: dispatch.Done, FinishedAt: x.clock}, nil); err != nil {
						t.Fatal(err)
					}
				}
				if got := x.command(c.ID).Status; got != dispatch.Done {
					t.Errorf("acked %t, expired %t: %s", acked, expired, got)
				}
				want := "opened command result result"
				if got := x.kinds(c.IncidentID); got != want+map[bool]string{true: " result"}[acked] {
					t.Errorf("acked %t: timeline %s", acked, got)
				}
			}
		}
		x.ledgerStands()
	})
}

func TestAPCThatDoesNotGoDownIsNotTakenForOff(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.connected("pc")
		c, err := x.down(p)
		if err != nil {
			t.Fatal(err)
		}
		acq := id.New(id.Acquisition)
		for _, r := range []dispatch.Result{{Status: dispatch.Done, AcquisitionID: acq}, {Status: dispatch.Failed, Detail: "logind: refused"}, {Status: dispatch.Failed, Detail: "again"}, {Status: dispatch.Done}} {
			r.CommandID, r.FinishedAt = c.ID, x.clock
			if err := x.CommandFinished(ctx, p.id, r, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := x.command(c.ID); got.Status != dispatch.NotDown || got.Detail != "logind: refused" || got.AcquisitionID != acq {
			t.Errorf("%+v", got)
		}
		if got := strings.Join(x.acts(c.ID), " "); got != "dispatch.preserve dispatch.finish dispatch.finish" {
			t.Errorf("ledger: %s", got)
		}
		if _, err := x.down(p); err != nil {
			t.Errorf("it cannot be ordered again: %v", err)
		}
		// Preserving alone ends once.
		n, err := x.Preserve(ctx, x.owner, p.id, act.Order{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []dispatch.Status{dispatch.Done, dispatch.Failed} {
			if err := x.CommandFinished(ctx, p.id, dispatch.Result{CommandID: n.ID, Status: s, FinishedAt: x.clock}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := x.command(n.ID).Status; got != dispatch.Done {
			t.Error(got)
		}
		x.ledgerStands()
	})
}

func TestTheConfirmationIsOfOnePCAndOfNothingThatMovesByItself(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, twin := x.connected("pc"), x.connected("twin")
		gate, err := x.PowerOffGate(ctx, x.owner, p.id)
		if err != nil {
			t.Fatal(err)
		}
		other, err := x.PowerOffGate(ctx, x.owner, twin.id)
		if err != nil || gate.Fingerprint() == other.Fingerprint() {
			t.Errorf("two PCs, one confirmation: %v", err)
		}
		o := act.Order{Then: dispatch.ThenPowerOff, Reason: "r", Confirmed: gate.Fingerprint()}
		_, err = x.Preserve(ctx, x.owner, twin.id, o)
		wantInvalid(t, err, "confirmed", "changed")
		d := described() // connects again, with less on its disk and measured anew
		x.clock = x.clock.Add(time.Minute)
		d.Capability, d.Spooled, d.Isolation = uint32(capability.Preserve), 1, measured(endpoint.Released, x.clock)
		if err := x.EndpointConnected(ctx, p.id, d, ""); err != nil {
			t.Fatal(err)
		}
		c, err := x.Preserve(ctx, x.owner, p.id, o)
		if err != nil {
			t.Fatal(err)
		}
		list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: c.ID})
		if err != nil || len(list) != 1 || list[0].Details["gate_spooled"] != "1" || list[0].Details["gate_enrolled_at"] == "" {
			t.Errorf("the figures of the moment of the order: %+v, %v", list, err)
		}
	})
}

func TestTheAgentsReportThatThePCStaysOnIsOfItsOrder(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		for name, want := range map[string]struct {
			reporter string
			after    time.Duration
			status   dispatch.Status
		}{
			"the agent's":      {"hozen-agent", 6 * time.Second, dispatch.NotDown},
			"a person's":       {"keiri", 6 * time.Second, dispatch.Done},
			"one of another":   {"hozen-agent", time.Hour, dispatch.Done},
			"one from earlier": {"hozen-agent", -time.Minute, dispatch.Done},
		} {
			p := x.connected("pc")
			c, err := x.down(p)
			if err != nil {
				t.Fatal(err)
			}
			acq := id.New(id.Acquisition)
			if err := x.CommandFinished(ctx, p.id, dispatch.Result{CommandID: c.ID, Status: dispatch.Done, FinishedAt: x.clock, AcquisitionID: acq}, nil); err != nil {
				t.Fatal(err)
			}
			al := act.AlertCall{AlertID: id.New(id.Alert), Reporter: want.reporter, Message: "証拠は保全しましたが、このPCの電源を切れませんでした。PCは動いたままです。決めた人: 社長 原因: \"logind: no\"\nThe PC could not be switched off.", ReportedAt: x.clock.Add(want.after)}
			for range 2 {
				if _, err := x.ReportTrouble(ctx, p.id, al); err != nil {
					t.Fatal(err)
				}
			}
			if got := x.command(c.ID); got.Status != want.status || got.AcquisitionID != acq || got.Status == dispatch.NotDown && got.Detail != "証拠は保全しましたが、このPCの電源を切れませんでした。PCは動いたままです。決めた人: 社長 原因: \"logind: no\"" {
				t.Errorf("%s: %+v", name, got)
			}
		}
		x.ledgerStands()
	})
}
