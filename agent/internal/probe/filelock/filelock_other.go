//go:build !linux

package filelock

import (
	"context"
	"errors"
)

func read() ([]byte, error) { return nil, errors.ErrUnsupported }

func open(context.Context, int) ([]opened, error) { return nil, errors.ErrUnsupported }
