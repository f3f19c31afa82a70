//go:build !linux

package main

import (
	"context"
	"errors"
	"fmt"
)

// idleAgent needs /proc.
func idleAgent(context.Context, env) error {
	return fmt.Errorf("look at the idle agent: %w", errors.ErrUnsupported)
}

// idleRecorder needs /proc.
func idleRecorder(context.Context, env) error {
	return fmt.Errorf("look at the recording agent: %w", errors.ErrUnsupported)
}
