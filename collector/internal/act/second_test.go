package act_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
)

// group orders something to everybody, as it is previewed for that person.
func (x *fixture) everybody(a act.Actor, verb dispatch.Verb, glass string) (string, *act.SecondPerson, error) {
	x.t.Helper()
	o := act.GroupOrder{Verb: verb, Order: act.Order{Reason: "because", IsolateFirst: true}, BreakGlass: glass}
	pv, err := x.PreviewGroup(x.t.Context(), a, act.Selection{All: true}, o)
	ok(x.t, err)
	o.Confirmed = pv.Fingerprint
	g, err := x.OrderGroup(x.t.Context(), a, act.Selection{All: true}, o)
	var waits *act.SecondPerson
	if errors.As(err, &waits) {
		return "", waits, nil
	}
	return g.ID, nil, err
}

func TestGroupIsolationAboveTheShareTakesTwo(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.office(4)
		second := x.person("second", operator.Handler)
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{MaxShare: 100, TwoShare: 50}))
		_, waits, err := x.everybody(x.owner, dispatch.Isolate, "")
		ok(t, err)
		if waits == nil || waits.Group == nil || waits.Group.AskedBy != x.owner.ID {
			t.Fatalf("%+v", waits)
		}
		asked := waits.Group.ID
		commands, err := x.Commands(ctx, x.owner, act.CommandFilter{})
		ok(t, err)
		if len(commands) != 0 {
			t.Fatalf("%d commands before the second person agreed", len(commands))
		}
		if _, err := x.AgreeGroup(ctx, x.owner, asked, "", netip.Addr{}); !errors.Is(err, act.ErrSecondPerson) {
			t.Errorf("the first person agrees with themselves: %v", err)
		}
		if _, again, err := x.everybody(x.owner, dispatch.Isolate, ""); again == nil || err != nil {
			t.Errorf("ordered again by the same person: %v", err)
		}
		g, err := x.AgreeGroup(ctx, second, asked, "", netip.Addr{})
		ok(t, err)
		if commands, err = x.Commands(ctx, x.owner, act.CommandFilter{}); err != nil || len(commands) != 4 {
			t.Errorf("%d commands, %v", len(commands), err)
		}
		if list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: g.ID}); err != nil || len(list) != 2 || list[1].Details["asked_by"] != x.owner.ID || list[1].ActorID != second.ID {
			t.Errorf("%+v, %v", list, err)
		}
		if _, err := x.AgreeGroup(ctx, second, asked, "", netip.Addr{}); !errors.Is(err, act.ErrConflict) {
			t.Errorf("agreed twice: %v", err)
		}
		x.ledgerStands()
	})
}

// TestAgreeingFromAPCOfTheGroup: who agrees is warned of cutting the own PC, as who orders is.
func TestAgreeingFromAPCOfTheGroup(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.office(3)
		second := x.person("second", operator.Handler)
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{MaxShare: 100, TwoShare: 1}))
		_, waits, err := x.everybody(x.owner, dispatch.Isolate, "")
		ok(t, err)
		pcs, err := x.Endpoints(ctx, second)
		ok(t, err)
		here := netip.MustParseAddrPort(pcs[0].RemoteAddr).Addr()
		w, err := x.GroupWaiting(ctx, second, waits.Group.ID, here)
		if err != nil || !w.Here || w.Changed {
			t.Fatalf("here %t, changed %t, %v", w.Here, w.Changed, err)
		}
		_, err = x.AgreeGroup(ctx, second, waits.Group.ID, "", here)
		wantInvalid(t, err, "break_glass", "required")
		g, err := x.AgreeGroup(ctx, second, waits.Group.ID, "I have a phone", here)
		ok(t, err)
		list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: g.ID})
		if err != nil || len(list) != 2 || list[1].Details["agreed_glass_reason"] != "I have a phone" || list[1].Details["rail_operator_here"] != "passed" {
			t.Errorf("%+v, %v", list, err)
		}
		x.ledgerStands()
	})
}

// TestAgreementIsForWhatWasShown: a PC that joined meanwhile is not cut by an agreement that
// nobody gave for it.
func TestAgreementIsForWhatWasShown(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.office(3)
		second := x.person("second", operator.Handler)
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{MaxShare: 100, TwoShare: 1}))
		_, waits, err := x.everybody(x.owner, dispatch.Isolate, "")
		ok(t, err)
		x.enrolled("late")
		_, err = x.AgreeGroup(ctx, second, waits.Group.ID, "", netip.Addr{})
		wantInvalid(t, err, "confirmed", "changed")
		ok(t, x.RefuseGroup(ctx, second, waits.Group.ID, "changed"))
		_, err = x.AgreeGroup(ctx, second, waits.Group.ID, "", netip.Addr{})
		wantErr(t, err, act.ErrConflict)
		// A day later nobody's request is carried out.
		_, waits, err = x.everybody(x.owner, dispatch.Isolate, "")
		ok(t, err)
		x.clock = x.clock.Add(25 * time.Hour)
		_, err = x.AgreeGroup(ctx, second, waits.Group.ID, "", netip.Addr{})
		wantErr(t, err, act.ErrConflict)
	})
}

func TestGroupReleaseByAgreement(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		pcs := x.office(2)
		second := x.person("second", operator.Responsible)
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{TwoPersons: true}))
		_, waits, err := x.everybody(x.owner, dispatch.Release, "")
		ok(t, err)
		if asked, err := x.ReleaseWaiting(ctx, second, pcs[0].id); err != nil || asked.AskedBy != x.owner.ID {
			t.Errorf("the endpoint does not say that its release waits: %+v, %v", asked, err)
		}
		_, err = x.AgreeGroup(ctx, second, waits.Group.ID, "", netip.Addr{})
		ok(t, err)
		for _, p := range pcs {
			if _, err := x.ReleaseWaiting(ctx, second, p.id); !errors.Is(err, act.ErrNotFound) {
				t.Errorf("the release of a member still waits: %v", err)
			}
		}
		x.ledgerStands()
	})
}

// TestTheOnlyPersonIsNotStuck: where nobody could agree, a reason does, and the ledger says so.
func TestTheOnlyPersonIsNotStuck(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		pcs := x.office(2)
		x.person("viewer", operator.Viewer) // could not agree
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{TwoPersons: true, TwoShare: 1, MaxShare: 100}))
		_, _, err := x.everybody(x.owner, dispatch.Isolate, "")
		wantInvalid(t, err, "break_glass", "required")
		g, waits, err := x.everybody(x.owner, dispatch.Isolate, "nobody else is here")
		if err != nil || waits != nil {
			t.Fatalf("%v, %v", waits, err)
		}
		list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: g})
		if err != nil || len(list) != 2 || list[1].Details["alone"] != "true" || list[1].Details["break_glass_reason"] != "nobody else is here" {
			t.Errorf("%+v, %v", list, err)
		}
		_, err = x.Release(ctx, x.owner, pcs[0].id, act.Order{})
		wantInvalid(t, err, "reason", "required")
		c, err := x.Release(ctx, x.owner, pcs[0].id, act.Order{Reason: "cleaned, and nobody else is here"})
		ok(t, err)
		if list, err = x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: c.ID}); err != nil || list[0].Details["alone"] != "true" {
			t.Errorf("%+v, %v", list, err)
		}
		// Nobody becomes the only one by barring the other.
		second := x.person("second", operator.Handler)
		ok(t, x.DisableOperator(ctx, x.owner, second.ID))
		if _, err := x.Release(ctx, x.owner, pcs[1].id, act.Order{Reason: "nobody else is here"}); !errors.Is(err, act.ErrSecondPerson) {
			t.Errorf("right after the other was barred: %v", err)
		}
		if !slices.Contains(x.acts(pcs[1].id), "dispatch.ask_release") {
			t.Error("the request was not kept")
		}
		x.clock = x.clock.Add(organisation.TwoPersonsLinger + time.Second)
		if _, err := x.Release(ctx, x.owner, pcs[1].id, act.Order{Reason: "nobody else is here"}); err != nil {
			t.Errorf("a day later: %v", err)
		}
	})
}

// TestLooseningTakesADay: nobody alone raises the share and cuts everybody right after.
func TestLooseningTakesADay(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.office(4)
		x.person("second", operator.Handler)
		set := func(share int) {
			ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{MaxShare: 100, TwoShare: share}))
		}
		waits := func() bool {
			t.Helper()
			o := act.GroupOrder{Verb: dispatch.Isolate, Order: act.Order{Reason: "because"}}
			pv, err := x.PreviewGroup(ctx, x.owner, act.Selection{All: true}, o)
			ok(t, err)
			return pv.Two
		}
		set(30)
		set(0)
		set(0) // again does not make it longer
		if !waits() {
			t.Error("switching it off works at once")
		}
		x.clock = x.clock.Add(12 * time.Hour)
		set(0)
		set(100)
		if !waits() {
			t.Error("two steps loosen it at once")
		}
		x.clock = x.clock.Add(organisation.TwoPersonsLinger + time.Second)
		if waits() {
			t.Error("it never ends")
		}
		set(10)
		if !waits() {
			t.Error("tightening does not work at once")
		}
	})
}
