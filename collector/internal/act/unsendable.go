package act

import (
	"context"
	"strings"

	"hozen/collector/internal/dispatch"
)

// CommandUnsendable ends a command that has no form that agents take, and says why.
func (s *Acts) CommandUnsendable(ctx context.Context, endpointID, commandID, why string) error {
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		e, err := d.agent(ctx, endpointID)
		if err != nil {
			return err
		}
		c, err := commandOf(ctx, d, e, commandID)
		if err != nil || c.Status.Final() {
			return err
		}
		d.actor = Actor{Kind: BySystem, OrganisationID: c.OrganisationID}
		detail := "The collector did not send this order, because no agent takes it: " + why
		return s.finish(ctx, d, c, dispatch.Result{
			CommandID: c.ID, Status: dispatch.Refused, Detail: strings.ToValidUTF8(detail[:min(len(detail), dispatch.MaxDetail)], ""),
		}, nil)
	})
}
