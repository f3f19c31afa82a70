package act

import (
	"context"

	"hozen/collector/internal/incident"
)

// SealTimelines makes the ledger speak of the lines of timelines that an earlier version
// wrote, and returns of how many incidents. It is called at the start, before anything else
// writes.
func (s *Acts) SealTimelines(ctx context.Context) (int, error) {
	list, err := incident.Unsealed(ctx, s.db.Read())
	if err != nil {
		return 0, err
	}
	sealed := 0
	for _, org := range list {
		n := 0
		if err := s.transact(ctx, func(ctx context.Context, d *deed) (err error) {
			n, err = incident.SealOlder(ctx, d.tx, org, d.now)
			return err
		}); err != nil {
			return sealed, err
		}
		sealed += n
	}
	return sealed, nil
}
