//go:build !linux

package isolation

import (
	"context"
	"errors"
	"fmt"
)

func unsupported() error { return fmt.Errorf("measure isolation: %w", errors.ErrUnsupported) }

// Cut needs Linux.
func Cut(context.Context, Config) error { return unsupported() }

// Replace needs Linux.
func Replace(context.Context, Config) error { return unsupported() }

// Click needs Linux.
func Click(context.Context, Config) error { return unsupported() }
