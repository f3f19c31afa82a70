//go:build !linux && !windows

package scan

import (
	"context"
	"errors"

	"hozen/internal/artifact/record"
)

type state struct{}

func (p *Pass) processes(context.Context) ([]*record.Process, error) {
	return nil, errors.ErrUnsupported
}

func (p *Pass) sockets(context.Context) ([]record.Socket, error) {
	return nil, errors.ErrUnsupported
}

func (p *Pass) files(context.Context) ([]record.OpenFiles, error) {
	return nil, errors.ErrUnsupported
}
