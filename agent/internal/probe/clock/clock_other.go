//go:build !linux && !windows

package clock

import (
	"errors"

	"hozen/internal/artifact/record"
)

func read(string) (*record.Clock, error) { return nil, errors.ErrUnsupported }
