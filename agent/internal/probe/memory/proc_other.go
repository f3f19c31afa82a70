//go:build !linux

package memory

import (
	"errors"
	"os"

	"hozen/agent/internal/probe/facts"
)

const nonblock = 0

func openProc(facts.Root, string) (*os.File, error) { return nil, errors.ErrUnsupported }
