package act_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
)

// TestOnePersonIsNotTwo: whoever gave another one the sign-in a short while ago could be
// both, and so neither of them agrees with the other.
func TestOnePersonIsNotTwo(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		a, b := x.person("anna", operator.Responsible), x.person("ben", operator.Handler)
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{TwoPersons: true, MaxShare: 100, TwoShare: 50}))
		pcs := x.office(2)
		p := pcs[0]
		// handed wants the order to wait on, with the reason why this one's agreement does not count.
		handed := func(what string, err error) {
			t.Helper()
			var waits *act.SecondPerson
			if !errors.As(err, &waits) || !waits.Handed {
				t.Errorf("%s: %v", what, err)
			}
		}
		release := func(who act.Actor) error {
			_, err := x.Release(ctx, who, p.id, act.Order{Reason: "done"})
			return err
		}
		takeOver := func() {
			t.Helper()
			once, err := x.ResetPassword(ctx, a, b.ID)
			ok(t, err)
			ok(t, x.ChangePassword(ctx, b, once, "another long pssword 7"))
		}
		wantErr(t, release(a), act.ErrSecondPerson)
		takeOver()
		handed("a reset b's password", release(b))
		ok(t, x.RefuseRelease(ctx, a, p.id, ""))
		wantErr(t, release(b), act.ErrSecondPerson)
		handed("the other way round", release(a))
		// The owner is somebody else, and agrees.
		ok(t, release(x.owner))

		// A group, and somebody who was added.
		_, waits, err := x.everybody(a, dispatch.Isolate, "")
		ok(t, err)
		_, err = x.AgreeGroup(ctx, b, waits.Group.ID, "", netip.Addr{})
		handed("of a group", err)
		made, once, err := x.AddOperator(ctx, a, act.NewOperator{Name: "made", Role: operator.Handler})
		ok(t, err)
		c := x.welcome(made, once, "a long phrase for this 1")
		_, err = x.AgreeGroup(ctx, c, waits.Group.ID, "", netip.Addr{})
		handed("of a group, by somebody who was added", err)
		ok(t, x.RefuseGroup(ctx, a, waits.Group.ID, ""))
		// Two whom a third one could be.
		_, waits, err = x.everybody(b, dispatch.Isolate, "")
		ok(t, err)
		_, err = x.AgreeGroup(ctx, c, waits.Group.ID, "", netip.Addr{})
		handed("of two whom one person made", err)

		// A second factor that was taken away is the same.
		x.clock = x.clock.Add(organisation.TwoPersonsLinger + time.Minute)
		key, _, err := x.BeginFactor(ctx, b, "another long pssword 7")
		ok(t, err)
		_, err = x.ConfirmFactor(ctx, b, x.code(key), "192.0.2.1", "")
		ok(t, err)
		wantErr(t, release(a), act.ErrSecondPerson)
		ok(t, x.ResetFactor(ctx, a, b.ID, "lost"))
		handed("a took b's second factor away", release(b))
		// What lies back long enough counts no more.
		x.clock = x.clock.Add(organisation.TwoPersonsLinger + time.Minute)
		wantErr(t, release(a), act.ErrSecondPerson)
		ok(t, release(b))
		x.ledgerStands()
	})
}
