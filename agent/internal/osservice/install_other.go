//go:build !linux

package osservice

import (
	"context"
	"errors"
)

func install(_ context.Context, c Config) ([]Change, error)   { return nil, installElsewhere(c) }
func uninstall(_ context.Context, _ Config) ([]Change, error) { return nil, uninstallElsewhere() }

// GoingDown reports nothing where there is no systemd.
func GoingDown(context.Context) (bool, error) { return false, errors.ErrUnsupported }
