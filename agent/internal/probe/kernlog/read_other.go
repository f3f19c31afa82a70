//go:build !linux

package kernlog

import (
	"errors"
	"time"
)

func read() ([]byte, time.Time, error) { return nil, time.Time{}, errors.ErrUnsupported }
