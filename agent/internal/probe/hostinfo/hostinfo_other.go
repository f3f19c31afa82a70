//go:build !linux && !windows

package hostinfo

import (
	"context"
	"errors"

	"hozen/internal/artifact/record"
)

func read(context.Context, string) (*record.HostInfo, error) { return nil, errors.ErrUnsupported }
