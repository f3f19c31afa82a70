package act

import (
	"context"
	"errors"
	"fmt"
)

// Backup copies everything into a folder that does not exist or holds an earlier
// backup. That it was made is in the ledger, and in the copy's ledger too.
func (s *Acts) Backup(ctx context.Context, a Actor, dir string) error {
	if s.backup == nil {
		return fmt.Errorf("back up: %w", errors.ErrUnsupported)
	}
	err := s.write(ctx, a, mayBackUp, func(ctx context.Context, d *deed) error {
		_, err := d.record(ctx, "collector.backup", d.actor.OrganisationID, map[string]string{"dir": dir})
		return err
	})
	if err != nil {
		return err
	}
	return s.backup(ctx, dir)
}
