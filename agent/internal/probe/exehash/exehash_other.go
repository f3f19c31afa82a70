//go:build !linux

package exehash

import (
	"context"
	"errors"

	"hozen/internal/artifact/record"
)

const chunk = 1

func (hasher) find(context.Context, []*record.Process) ([]*file, int64) { return nil, 0 }

func (hasher) hash(_ context.Context, f *file, _ []byte) { f.err = errors.ErrUnsupported }
