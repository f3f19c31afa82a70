//go:build !linux

package desktop

import (
	"context"
	"errors"
	"fmt"
)

// Show is not supported on this system.
func Show(context.Context, string, Notice) error {
	return fmt.Errorf("show %d-level notice every %s: %w", urgencyCritical-urgencyNormal, retry, errors.ErrUnsupported)
}
