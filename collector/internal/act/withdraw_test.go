package act_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
)

// entry is the newest of an act in the ledger about a subject.
func (x *fixture) entry(subject, name string) (found ledger.Recorded) {
	x.t.Helper()
	list, err := x.LedgerEntries(x.t.Context(), x.owner, act.LedgerFilter{Subject: subject})
	ok(x.t, err)
	for _, e := range list {
		if e.Act == name && e.Index >= found.Index {
			found = e
		}
	}
	return found
}

// An order to isolate that its endpoint has not received is taken back for good: it is not
// among what the endpoint is told when it connects, and nothing else is sent in its place.
func TestAnIsolationThatWaitsIsWithdrawn(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.modern("pc")
		c := x.must(x.Isolate(ctx, x.owner, p.id, act.Order{Reason: "suspicious"}))
		for _, a := range []act.Actor{x.person("viewer", operator.Viewer), x.person("vendor", operator.Vendor), x.person("auditor", operator.Auditor)} {
			wantErr(t, x.Withdraw(ctx, a, c.ID, ""), act.ErrForbidden)
		}
		for range 2 {
			ok(t, x.Withdraw(ctx, x.owner, c.ID, "別のPCでした"))
		}
		if got := x.command(c.ID); got.Status != dispatch.Withdrawn || got.Detail != "別のPCでした" {
			t.Errorf("%+v", got)
		}
		if verbs, _ := x.outstanding(p); verbs != "" {
			t.Errorf("the endpoint is still told to %s", verbs)
		}
		if got := strings.Join(x.acts(c.ID), " "); got != "dispatch.isolate dispatch.withdraw" {
			t.Errorf("ledger: %s", got)
		}
		if got := x.kinds(c.IncidentID); got != "opened command result" {
			t.Errorf("timeline: %s", got)
		}
		// Another one is a new order, and that of the same incident.
		again := x.must(x.Isolate(ctx, x.owner, p.id, act.Order{}))
		if verbs, list := x.outstanding(p); verbs != "isolate" || list[0].ID != again.ID || again.Counter <= c.Counter || again.IncidentID != c.IncidentID {
			t.Errorf("%s: %+v", verbs, list)
		}
		x.ledgerStands()
	})
}

// What the endpoint has received stands: a confirmed order is not withdrawn, and the word of
// an endpoint that had it all the same is recorded against the withdrawal.
func TestAnIsolationThatWasDeliveredIsNotWithdrawn(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.modern("pc")
		c := x.must(x.Isolate(ctx, x.owner, p.id, act.Order{}))
		ok(t, x.CommandAcked(ctx, p.id, c.ID))
		wantErr(t, x.Withdraw(ctx, x.owner, c.ID, ""), act.ErrTooLate)
		x.done(p, c, endpoint.Isolated)
		wantErr(t, x.Withdraw(ctx, x.owner, c.ID, ""), act.ErrConflict)

		late := x.must(x.Isolate(ctx, x.owner, p.id, act.Order{Isolation: dispatch.Isolation{Mode: dispatch.Full}}))
		ok(t, x.Withdraw(ctx, x.owner, late.ID, ""))
		ok(t, x.CommandAcked(ctx, p.id, late.ID))
		if got := x.command(late.ID); got.Status != dispatch.Accepted || got.Detail != "" {
			t.Errorf("confirmed after all: %+v", got)
		}
		wantErr(t, x.Withdraw(ctx, x.owner, late.ID, ""), act.ErrTooLate)
		x.done(p, late, endpoint.Isolated)
		if got := x.command(late.ID).Status; got != dispatch.Done {
			t.Errorf("carried out after all: %s", got)
		}
		if got := strings.Join(x.acts(late.ID), " "); got != "dispatch.isolate dispatch.withdraw dispatch.accept dispatch.finish" {
			t.Errorf("ledger: %s", got)
		}
		if e := x.entry(late.ID, dispatch.ActAccept); e.Details["overrules"] != "withdrawn" {
			t.Errorf("%+v", e)
		}
		x.ledgerStands()
	})
}

// Where a release takes two persons, nobody alone keeps an isolation from its endpoint; a
// drill is nobody's isolation.
func TestWithdrawingAnIsolationTakesTwoWhereAReleaseDoes(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, q, second := x.modern("pc"), x.modern("other"), x.person("second", operator.Handler)
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{TwoPersons: true}))
		c := x.must(x.Isolate(ctx, x.owner, p.id, act.Order{}))
		for range 2 {
			var w *act.SecondPerson
			if err := x.Withdraw(ctx, x.owner, c.ID, "wrong PC"); !errors.As(err, &w) || w.Asked.AskedBy != x.owner.ID || w.Asked.ID == "" {
				t.Fatalf("one person alone: %v", err)
			}
		}
		if got := x.command(c.ID).Status; got != dispatch.Queued {
			t.Errorf("before the second person agreed: %s", got)
		}
		ok(t, x.Withdraw(ctx, second, c.ID, "agreed"))
		if got := x.command(c.ID).Status; got != dispatch.Withdrawn {
			t.Errorf("after the second person agreed: %s", got)
		}
		if _, err := x.ReleaseWaiting(ctx, second, p.id); !errors.Is(err, act.ErrNotFound) {
			t.Errorf("what was agreed still waits: %v", err)
		}
		if e := x.entry(c.ID, dispatch.ActWithdraw); e.Details["asked_by"] != x.owner.ID || e.ActorID != second.ID {
			t.Errorf("%+v", e)
		}
		drill := x.must(x.Isolate(ctx, x.owner, q.id, act.Order{Isolation: dispatch.Isolation{Drill: true}}))
		ok(t, x.Withdraw(ctx, x.owner, drill.ID, ""))
		x.ledgerStands()
	})
}

// Who takes back a further order for a PC that is isolated has not agreed to its release: else
// the next one would open it with nobody's word but one's own.
func TestWithdrawingIsNoWordForARelease(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, second := x.modern("pc"), x.person("second", operator.Handler)
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{TwoPersons: true}))
		x.done(p, x.must(x.Isolate(ctx, x.owner, p.id, act.Order{})), endpoint.Isolated)
		stricter := x.must(x.Isolate(ctx, x.owner, p.id, act.Order{Isolation: dispatch.Isolation{Mode: dispatch.Full}}))
		ok(t, x.Withdraw(ctx, x.owner, stricter.ID, "the first one is enough"))
		var w *act.SecondPerson
		if _, err := x.Release(ctx, second, p.id, act.Order{Reason: "clean"}); !errors.As(err, &w) || w.Asked.AskedBy != second.ID {
			t.Errorf("a release with one person's word: %v", err)
		}
		// What was asked for the release is not spent on a withdrawal.
		other := x.must(x.Isolate(ctx, x.owner, p.id, act.Order{Isolation: dispatch.Isolation{Mode: dispatch.Full}}))
		ok(t, x.Withdraw(ctx, x.owner, other.ID, ""))
		if got, err := x.ReleaseWaiting(ctx, x.owner, p.id); err != nil || got.AskedBy != second.ID {
			t.Errorf("what waits is gone: %+v, %v", got, err)
		}
		x.ledgerStands()
	})
}

// Who takes back that the collector isolates a PC again has ended what was lost; the
// withdrawal of a person's stricter order leaves the isolation in force, which is restored.
func TestAWithdrawnRestorationIsNotOrderedAgain(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		lose := func(p pc) string {
			t.Helper()
			x.clock = x.clock.Add(time.Minute)
			x.measures(p, endpoint.Isolated)
			x.clock = x.clock.Add(time.Second)
			x.measures(p, endpoint.Released)
			x.looks()
			x.clock = x.clock.Add(21 * time.Second)
			x.looks()
			verbs, _ := x.outstanding(p)
			return verbs
		}
		p := x.modern("pc")
		x.done(p, x.must(x.Isolate(ctx, x.owner, p.id, act.Order{})), endpoint.Isolated)
		stricter := x.must(x.Isolate(ctx, x.owner, p.id, act.Order{Isolation: dispatch.Isolation{Mode: dispatch.Full}}))
		ok(t, x.Withdraw(ctx, x.owner, stricter.ID, ""))
		if verbs := lose(p); verbs != "isolate" {
			t.Fatalf("an isolation that was lost is not ordered again: %q", verbs)
		}
		_, list := x.outstanding(p)
		ok(t, x.Withdraw(ctx, x.owner, list[0].ID, "the PC was set up anew"))
		if verbs := lose(p); verbs != "" {
			t.Errorf("what a person called off is ordered again: %s", verbs)
		}
		x.ledgerStands()
	})
}
