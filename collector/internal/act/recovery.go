package act

import (
	"context"
	"fmt"

	"hozen/collector/internal/organisation"
)

// UseRecoveryKey records that release codes are made with the key of this collector from
// now on. With another key than before it is [ErrConflict] unless it replaces that: PCs
// that are isolated keep the codes of the old one.
func (s *Acts) UseRecoveryKey(ctx context.Context, a Actor, replace bool) error {
	if s.recovery == nil {
		return fmt.Errorf("%w: the collector has no recovery key", ErrConflict)
	}
	return s.write(ctx, a, maySettle, func(ctx context.Context, d *deed) error {
		was, err := organisation.RecoveryKey(ctx, d.tx, d.actor.OrganisationID)
		now := s.recovery.Fingerprint()
		switch {
		case err != nil || was == now:
			return err
		case was != "" && !replace:
			return fmt.Errorf("%w: another recovery key is in use", ErrConflict)
		}
		if err := organisation.SetRecoveryKey(ctx, d.tx, d.actor.OrganisationID, now); err != nil {
			return err
		}
		_, err = d.record(ctx, organisation.ActRecoveryKey, d.actor.OrganisationID, map[string]string{"from": was, "to": now})
		return err
	})
}
