//go:build !linux

package bpf

import (
	"context"
	"errors"

	"hozen/agent/internal/probe/facts"
)

func read(context.Context, *facts.Out) error { return errors.ErrUnsupported }
