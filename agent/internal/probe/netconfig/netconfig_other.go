//go:build !linux && !windows

package netconfig

import (
	"context"
	"errors"

	"hozen/internal/artifact/record"
)

func read(context.Context, string) ([]record.NetConfig, int64, error) {
	return nil, 0, errors.ErrUnsupported
}
