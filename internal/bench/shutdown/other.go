//go:build !linux

package shutdown

import (
	"context"
	"errors"
	"fmt"
)

func unsupported() error { return fmt.Errorf("measure a shutdown: %w", errors.ErrUnsupported) }

// Turns needs Linux.
func Turns(context.Context, Config) error { return unsupported() }

// Delay needs Linux.
func Delay(context.Context, Config) error { return unsupported() }

// Storm needs Linux.
func Storm(context.Context, Config) error { return unsupported() }
