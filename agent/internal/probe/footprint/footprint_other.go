//go:build !linux && !windows

package footprint

import (
	"errors"

	"hozen/internal/artifact/record"
)

func use(*record.Footprint) error { return errors.ErrUnsupported }
