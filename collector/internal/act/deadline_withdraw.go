package act

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"hozen/collector/internal/deadline"
	"hozen/collector/internal/incident"
)

// WithdrawDone takes back what was recorded last about a deadline and stands, such as a
// report that was not submitted after all: the time runs again as if it had not been
// recorded. The error is [ErrConflict] if nothing stands.
func (s *Acts) WithdrawDone(ctx context.Context, a Actor, incidentID, clock, reason string) error {
	reason = strings.TrimSpace(reason)
	c, ok := s.guides.Deadlines.Clock(clock)
	if !ok {
		return fmt.Errorf("%w: there is no deadline %.40q", ErrNotFound, clock)
	}
	if err := text("reason", reason, deadline.MaxText, true); err != nil {
		return err
	}
	return s.write(ctx, a, mayMeetDeadline, func(ctx context.Context, d *deed) error {
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		logs, err := s.guides.Deadlines.Logs(ctx, d.tx, []string{inc.ID})
		if err != nil {
			return err
		}
		var last *deadline.Done
		if l := logs[inc.ID]; l != nil {
			last = deadline.LastDone(l.Done, clock)
		}
		if last == nil {
			return fmt.Errorf("%w: nothing was recorded about this deadline", ErrConflict)
		}
		idx, err := d.record(ctx, deadline.ActWithdraw, inc.ID, map[string]string{"clock": clock, "done": strconv.FormatInt(last.LedgerIdx, 10), "reason": reason})
		if err != nil {
			return err
		}
		if err := deadline.InsertWithdrawal(ctx, d.tx, inc.OrganisationID, inc.ID, clock, deadline.Withdrawal{Reason: reason, At: d.now, By: d.actor.Name, LedgerIdx: idx}); err != nil {
			return err
		}
		facts := map[string]string{"event": "withdrawn", "clock": clock, "name_ja": c.Name.JA, "name_en": c.Name.EN}
		if err := s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryDeadline, Text: reason, Params: facts, LedgerIdx: idx}); err != nil {
			return err
		}
		return s.setDeadlines(ctx, d, inc)
	})
}
