package act_test

import (
	"slices"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/deadline"
)

// TestAMergeEndsNoDeadline: what somebody is bound to runs on from the earlier discovery,
// and is reminded of, in the incident that was merged.
func TestAMergeEndsNoDeadline(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.clock = japan("2026-11-19 21:00")
		old, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "old", DiscoveredAt: japan("2026-11-18 10:00")})
		ok(t, err)
		mid, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "mid", DiscoveredAt: japan("2026-11-19 20:00")})
		ok(t, err)
		fresh, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "new", DiscoveredAt: japan("2026-11-19 20:00")})
		ok(t, err)
		_, err = x.AnswerReportable(ctx, x.owner, old.ID, reportable("yes"), "")
		ok(t, err)
		ok(t, x.LookAtDeadlines(ctx))
		before, _ := x.deadlineOf(old.ID, "ppc.preliminary")
		_, err = x.MergeIncident(ctx, x.owner, old.ID, mid.ID, "same")
		ok(t, err)
		_, err = x.MergeIncident(ctx, x.owner, mid.ID, fresh.ID, "same")
		ok(t, err)
		ok(t, x.LookAtDeadlines(ctx))
		next, err := x.NextDeadlines(ctx, x.owner)
		ok(t, err)
		if !slices.ContainsFunc(next, func(n act.NextDeadline) bool { return n.Incident.ID == old.ID && n.Deadline.Due.Equal(before.Due) }) {
			t.Errorf("the deadline of the incident that was merged is no longer among those that come: %+v", next)
		}
		// The one that nobody answered for still runs too; what the product proposes does not.
		if d, _ := x.deadlineOf(mid.ID, "ppc.preliminary"); d.State != deadline.Provisional {
			t.Errorf("of the one that nobody answered for: %s", d.State)
		}
		if d, _ := x.deadlineOf(old.ID, "owner_update"); d.State != deadline.Ended {
			t.Errorf("what the product proposes is %s in the incident that was merged", d.State)
		}
		x.clock = before.Due.Add(time.Minute)
		ok(t, x.LookAtDeadlines(ctx))
		if told := x.told(old.ID); !slices.Contains(told, "reminder.overdue ppc.preliminary") {
			t.Errorf("nobody was told that it is overdue: %q", told)
		}
		// It ends as it would have: by being met, and otherwise with the incident in which it goes on.
		ok(t, x.CloseIncident(ctx, x.owner, fresh.ID, "over"))
		if d, _ := x.deadlineOf(mid.ID, "ppc.preliminary"); d.State != deadline.Ended {
			t.Errorf("after all was closed, of the one that nobody answered for: %s", d.State)
		}
		if d, _ := x.deadlineOf(old.ID, "ppc.preliminary"); !d.Overdue(x.clock) {
			t.Errorf("closing ended what the law asks for: %s", d.State)
		}
		ok(t, x.MeetDeadline(ctx, x.owner, old.ID, "ppc.preliminary", act.DeadlineMet{}))
		if d, _ := x.deadlineOf(old.ID, "ppc.preliminary"); d.State != deadline.Met {
			t.Errorf("met: %s", d.State)
		}
		x.ledgerStands()
	})
}
