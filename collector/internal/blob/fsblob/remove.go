package fsblob

import (
	"context"
	"fmt"

	"hozen/collector/internal/blob"
	"hozen/internal/digest"
	"hozen/internal/durable"
)

var _ blob.Remover = (*Store)(nil)

// Remove implements [blob.Remover].
func (s *Store) Remove(_ context.Context, d digest.Digest) error {
	if err := durable.Remove(s.path(d)); err != nil {
		return fmt.Errorf("remove blob %s: %w", d, err)
	}
	return nil
}
