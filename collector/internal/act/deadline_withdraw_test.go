package act_test

import (
	"slices"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/deadline"
)

// TestAWrongClickEndsNoDeadline: what was recorded is taken back with a reason, and the time
// runs again; what was done before that stands.
func TestAWrongClickEndsNoDeadline(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		const clock = "ppc.preliminary"
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "a"})
		ok(t, err)
		_, err = x.AnswerReportable(ctx, x.owner, inc.ID, reportable("yes"), "")
		ok(t, err)
		wantErr(t, x.WithdrawDone(ctx, x.owner, inc.ID, clock, "nothing to take back"), act.ErrConflict)
		ok(t, x.MeetDeadline(ctx, x.owner, inc.ID, clock, act.DeadlineMet{ReceiptNo: "wrong"}))
		wantInvalid(t, x.WithdrawDone(ctx, x.owner, inc.ID, clock, " "), "reason", "required")
		ok(t, x.WithdrawDone(ctx, x.owner, inc.ID, clock, "wrong incident"))
		x.clock = x.clock.Add(10 * 24 * time.Hour)
		ok(t, x.LookAtDeadlines(ctx))
		d, log := x.deadlineOf(inc.ID, clock)
		if !d.Overdue(x.clock) || !slices.Contains(x.told(inc.ID), "reminder.overdue "+clock) {
			t.Errorf("after it was taken back: %s, told %q", d.State, x.told(inc.ID))
		}
		if len(log.Done) != 1 || log.Done[0].Withdrawn == nil || log.Done[0].Withdrawn.Reason != "wrong incident" {
			t.Errorf("what was taken back is not kept: %+v", log.Done)
		}
		ok(t, x.MeetDeadline(ctx, x.owner, inc.ID, clock, act.DeadlineMet{ReceiptNo: "first"}))
		ok(t, x.MeetDeadline(ctx, x.owner, inc.ID, clock, act.DeadlineMet{ReceiptNo: "second"}))
		ok(t, x.WithdrawDone(ctx, x.owner, inc.ID, clock, "no supplement was sent"))
		if d, _ := x.deadlineOf(inc.ID, clock); d.State != deadline.Met || d.Met.ReceiptNo != "first" {
			t.Errorf("what stands: %s %+v", d.State, d.Met)
		}
		x.ledgerStands()
	})
}
