package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
)

// ErrTooLate is the [ErrConflict] of withdrawing an order that the endpoint has confirmed.
var ErrTooLate = fmt.Errorf("%w: the endpoint has received the order already", ErrConflict)

// Withdraw takes back an order to preserve or to isolate that waits for its endpoint. The
// error is [ErrTooLate] when the endpoint has confirmed it, and an [ErrConflict] when it has
// ended or is another kind of order. An order that was sent and not confirmed yet may
// be carried out all the same; the endpoint's word on it then stands in the record, and an
// isolation stays until it is released. Nothing is sent to the endpoint: an isolation that
// was in force before the order stays as it is.
//
// Where a release takes two persons, the withdrawal of an isolation in earnest does too: the
// first one's is kept as a release that waits and is answered by [*SecondPerson], and either
// the release or the withdrawal by another one is the agreement. Not so while the endpoint
// measures that it is isolated: nothing is released then, and who only takes back another
// order has not agreed to a release.
func (s *Acts) Withdraw(ctx context.Context, a Actor, commandID, reason string) error {
	if err := text("reason", reason, dispatch.MaxReason, false); err != nil {
		return err
	}
	p, endpointID := mayPreserve, ""
	switch c, err := dispatch.ByID(ctx, s.db.Read(), commandID); {
	case err == nil && c.Verb == dispatch.Isolate:
		p, endpointID = mayRelease, c.EndpointID
	case err != nil && !errors.Is(err, dispatch.ErrNotFound):
		return err
	}
	err := s.write(ctx, a, p, func(ctx context.Context, d *deed) error {
		c, err := dispatch.ByID(ctx, d.tx, commandID)
		if err == nil {
			err = d.actor.own(c.OrganisationID)
		}
		switch {
		case err != nil:
			return err
		case c.Verb != dispatch.Preserve && c.Verb != dispatch.Isolate:
			return fmt.Errorf("%w: only orders to preserve or to isolate can be withdrawn", ErrConflict)
		case c.Status == dispatch.Withdrawn:
			return nil
		case c.Status == dispatch.Accepted:
			return ErrTooLate
		case c.Status.Final():
			return fmt.Errorf("%w: the order has ended as %s", ErrConflict, c.Status)
		}
		more, err := s.mayWithdraw(ctx, d, c, reason)
		if err != nil {
			return err
		}
		return s.withdraw(ctx, d, c, reason, more)
	})
	var waits *SecondPerson
	if errors.As(err, &waits) && waits.Asked.ID == "" {
		return s.askRelease(ctx, a, endpointID, Order{Reason: reason})
	}
	return err
}

// mayWithdraw finds out whether an order may be withdrawn now, and by whose agreement.
func (s *Acts) mayWithdraw(ctx context.Context, d *deed, c dispatch.Command, reason string) (map[string]string, error) {
	if c.Verb != dispatch.Isolate || c.Isolation.Drill {
		return nil, nil
	}
	e, err := d.endpoint(ctx, c.EndpointID)
	if err != nil || e.Isolation.Observed == endpoint.Isolated {
		return nil, err
	}
	return s.agreed(ctx, d, e, c.ID, reason)
}

// withdraw ends an order. Streams are woken, so that none is answered by what was read before.
func (s *Acts) withdraw(ctx context.Context, d *deed, c dispatch.Command, reason string, more map[string]string) error {
	d.wake(c.EndpointID)
	return s.ended(ctx, d, dispatch.ActWithdraw, c, dispatch.Result{CommandID: c.ID, Status: dispatch.Withdrawn, Detail: reason}, nil, more)
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

// agentItself is whom an agent names as the reporter of what it has to say without a
// person: that the PC stays on although its evidence was kept for switching it off.
const agentItself = "hozen-agent"

// stayedUpWithin is how long after the result of an order to go down an agent's report
// that the PC stays on is one about that order, by the agent's clock.
const stayedUpWithin = 5 * time.Minute

// stayedUp marks the order that such a report is about, if it is about one: what was
// decided at the PC itself has none.
func (s *Acts) stayedUp(ctx context.Context, d *deed, e endpoint.Endpoint, c AlertCall) error {
	if c.Reporter != agentItself {
		return nil
	}
	list, err := dispatch.List(ctx, d.tx, dispatch.Filter{OrganisationID: e.OrganisationID, EndpointID: e.ID, Limit: 20})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, dispatch.Command.Down)
	if i < 0 || list[i].Status != dispatch.Done {
		return nil
	}
	if after := c.ReportedAt.Sub(list[i].FinishedAt); after < 0 || after > stayedUpWithin {
		return nil
	}
	why, _, _ := strings.Cut(c.Message, "\n") // the rest says it in another language
	r, more := lateWord(list[i], dispatch.Result{CommandID: list[i].ID, Detail: why, FinishedAt: c.ReportedAt})
	more["alert"] = c.AlertID
	return s.ended(ctx, d, dispatch.ActFinish, list[i], r, nil, more)
}
