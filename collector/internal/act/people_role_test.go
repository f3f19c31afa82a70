package act_test

import (
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
)

func TestRolesAreChanged(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		resp, h := x.person("resp", operator.Responsible), x.person("hanako", operator.Handler)
		v := x.person("vendor", operator.Vendor)
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		for _, c := range []struct {
			what string
			by   act.Actor
			whom string
			to   operator.Role
			want error
		}{
			{"a handler", h, v.ID, operator.Viewer, act.ErrForbidden},
			{"above the own role", resp, h.ID, operator.Owner, act.ErrForbidden},
			{"of somebody above", resp, x.owner.ID, operator.Viewer, act.ErrForbidden},
			{"the own one", resp, resp.ID, operator.Handler, act.ErrForbidden},
			{"the last owner, at the machine", act.Actor{Kind: act.ByLocal, BreakGlass: "because"}, x.owner.ID, operator.Viewer, act.ErrConflict},
			{"nobody", x.owner, "opr_none", operator.Viewer, act.ErrNotFound},
		} {
			t.Log(c.what)
			wantErr(t, x.SetRole(ctx, c.by, c.whom, c.to), c.want)
		}
		wantInvalid(t, x.SetRole(ctx, x.owner, h.ID, "king"), "role", "unknown")

		_, _, err = x.BeginLocalSession(ctx, h.ID)
		ok(t, err)
		if n, err := x.SessionCounts(ctx, resp); err != nil || n[h.ID] != 1 || n[resp.ID] != 0 {
			t.Errorf("%v, %v", n, err)
		}
		ok(t, x.SetRole(ctx, resp, h.ID, operator.Viewer))
		if n, err := x.SessionCounts(ctx, resp); err != nil || n[h.ID] != 0 {
			t.Errorf("the session with the old role goes on: %v, %v", n, err)
		}
		wantErr(t, x.AddNote(ctx, h, inc.ID, "n"), act.ErrForbidden)
		list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: h.ID})
		if last := list[0]; err != nil || last.Act != "operator.role" || last.Details["was"] != "handler" || last.Details["role"] != "viewer" {
			t.Errorf("%+v, %v", list, err)
		}

		// Who comes in from outside loses what was granted, and does not get it back.
		ok(t, x.GrantIncident(ctx, resp, v.ID, inc.ID, x.clock.Add(time.Hour)))
		ok(t, x.SetRole(ctx, resp, v.ID, operator.Handler))
		ok(t, x.SetRole(ctx, resp, v.ID, operator.Vendor))
		if seen, err := x.Incidents(ctx, v); err != nil || len(seen) != 0 {
			t.Errorf("%d incidents, %v", len(seen), err)
		}
		ok(t, x.DisableOperator(ctx, resp, v.ID))
		wantErr(t, x.SetRole(ctx, resp, v.ID, operator.Viewer), act.ErrConflict)
		_, err = x.ResetPassword(ctx, resp, resp.ID)
		wantErr(t, err, act.ErrForbidden)
		x.ledgerStands()
	})
}

// TestNobodyBecomesTheOnlyOneByTakingARole: somebody who could agree a short while ago counts
// as being there.
func TestNobodyBecomesTheOnlyOneByTakingARole(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		h := x.person("hanako", operator.Handler)
		p := x.office(1)[0]
		ok(t, x.SetIsolationSettings(ctx, x.owner, organisation.Isolation{TwoPersons: true, MaxShare: 100, TwoShare: 100}))
		ok(t, x.SetRole(ctx, x.owner, h.ID, operator.Viewer))
		ok(t, x.SetRole(ctx, x.owner, h.ID, operator.Auditor)) // twice: the first one is not forgotten
		release := func() error {
			_, err := x.Release(ctx, x.owner, p.id, act.Order{Reason: "nobody else is here"})
			return err
		}
		wantErr(t, release(), act.ErrSecondPerson)
		x.clock = x.clock.Add(organisation.TwoPersonsLinger + time.Minute)
		ok(t, release())
	})
}
