package act

import "context"

// LookAtGroups is what RunGroups does each time.
func (s *Acts) LookAtGroups(ctx context.Context) error {
	_, err := s.lookAtGroups(ctx)
	return err
}

// HintsOf is hintsOf.
var HintsOf = hintsOf
