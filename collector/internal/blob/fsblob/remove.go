package fsblob

import (
	"context"
	"errors"
	"fmt"

	"hozen/collector/internal/blob"
	"hozen/internal/digest"
	"hozen/internal/durable"
)

var _ blob.Remover = (*Store)(nil)

// Remove implements [blob.Remover].
func (s *Store) Remove(_ context.Context, d digest.Digest) error {
	// Both forms: what is being encrypted lies there twice.
	if err := errors.Join(durable.Remove(s.path(d, false)), durable.Remove(s.path(d, true))); err != nil {
		return fmt.Errorf("remove blob %s: %w", d, err)
	}
	return nil
}
