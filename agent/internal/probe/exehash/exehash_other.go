//go:build !linux && !windows

package exehash

import (
	"context"
	"errors"

	"hozen/agent/internal/probe"
)

const chunk = 1

func (hasher) find(context.Context) ([]*file, *probe.Missing) { return nil, nil }

func (hasher) hash(_ context.Context, f *file, _ []byte) { f.err = errors.ErrUnsupported }
