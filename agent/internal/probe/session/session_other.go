//go:build !linux && !windows

package session

import (
	"context"
	"errors"
)

func read(context.Context, string) ([]source, error) { return nil, errors.ErrUnsupported }
