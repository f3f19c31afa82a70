//go:build !linux

package deletedexe

import (
	"context"
	"errors"
	"io"

	"hozen/agent/internal/probe/scan"
)

func find(context.Context, *scan.Pass) ([]*file, error) { return nil, errors.ErrUnsupported }

func open(*file) (io.ReadCloser, error) { return nil, errors.ErrUnsupported }
