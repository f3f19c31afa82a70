package act

import (
	"context"
	"fmt"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/incident"
)

// ErrTooLate is the [ErrConflict] of withdrawing an order that the endpoint has confirmed.
var ErrTooLate = fmt.Errorf("%w: the endpoint has received the order already", ErrConflict)

// Withdraw takes back an order to preserve that waits for its endpoint. The error is
// [ErrTooLate] when the endpoint has confirmed it, and an [ErrConflict] when it has
// ended or is another kind of order. An order that was sent and not confirmed yet may
// be carried out all the same; the endpoint's word on it then stands in the record.
func (s *Acts) Withdraw(ctx context.Context, a Actor, commandID, reason string) error {
	if err := text("reason", reason, dispatch.MaxReason, false); err != nil {
		return err
	}
	return s.write(ctx, a, mayPreserve, func(ctx context.Context, d *deed) error {
		c, err := dispatch.ByID(ctx, d.tx, commandID)
		if err == nil {
			err = d.actor.own(c.OrganisationID)
		}
		switch {
		case err != nil:
			return err
		case c.Verb != dispatch.Preserve:
			return fmt.Errorf("%w: only orders to preserve can be withdrawn", ErrConflict)
		case c.Status == dispatch.Withdrawn:
			return nil
		case c.Status == dispatch.Accepted:
			return ErrTooLate
		case c.Status.Final():
			return fmt.Errorf("%w: the order has ended as %s", ErrConflict, c.Status)
		}
		return s.withdraw(ctx, d, c, reason, nil)
	})
}

func (s *Acts) withdraw(ctx context.Context, d *deed, c dispatch.Command, reason string, more map[string]string) error {
	return s.ended(ctx, d, "dispatch.withdraw", c, dispatch.Result{CommandID: c.ID, Status: dispatch.Withdrawn, Detail: reason}, nil, more)
}

// withdrawAll takes back what was ordered for an incident to have PCs go down and waits
// for them: who closes an incident wants no PC to go down for it days later.
func (s *Acts) withdrawAll(ctx context.Context, d *deed, inc incident.Incident, reason string) error {
	for _, e := range inc.EndpointIDs {
		open, err := dispatch.Outstanding(ctx, d.tx, e)
		if err != nil {
			return err
		}
		for _, c := range open {
			if c.IncidentID != inc.ID || !c.Down() || c.Status != dispatch.Queued {
				continue
			}
			if err := s.withdraw(ctx, d, c, reason, map[string]string{"because": "incident.close"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// overrules reports whether a word of the endpoint on a command that has ended stands
// against what is recorded: it did what was withdrawn or expired here, or it found
// afterwards that the PC does not go down.
func overrules(c dispatch.Command, r dispatch.Result) bool {
	return c.EndedHere() && r.Status != dispatch.Expired || c.Down() && c.Status == dispatch.Done && r.Status == dispatch.Failed
}

// lateWord makes of such a word what is recorded, and says what it overrules.
func lateWord(c dispatch.Command, r dispatch.Result) (dispatch.Result, map[string]string) {
	if c.Status == dispatch.Done {
		r.Status = dispatch.NotDown
	}
	if r.AcquisitionID == "" {
		r.AcquisitionID = c.AcquisitionID
	}
	return r, map[string]string{"overrules": string(c.Status)}
}
