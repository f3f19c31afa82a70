package act

import (
	"context"

	"hozen/collector/internal/group"
)

// GroupsWaiting reports whether a group waits for its evidence.
func (s *Acts) GroupsWaiting(ctx context.Context) (bool, error) {
	open, err := group.Unfinished(ctx, s.db.Read())
	return len(open) > 0, err
}

// HintsOf is hintsOf.
var HintsOf = hintsOf
