package blob

import (
	"context"

	"hozen/internal/digest"
)

// Remover is a [Store] whose blobs can be disposed of. Nothing but a recorded disposal calls
// it.
type Remover interface {
	// Remove takes a blob away for ever and returns when that is durable. One that is not
	// there is no error, so that a removal that was interrupted can be repeated.
	Remove(ctx context.Context, d digest.Digest) error
}
