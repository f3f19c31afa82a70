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
