//go:build !linux && !windows

package bootverdict

import (
	"context"
	"errors"
)

func read(context.Context, Config) (Input, error) { return Input{}, errors.ErrUnsupported }
