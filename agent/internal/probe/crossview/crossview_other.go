//go:build !linux

package crossview

import (
	"context"
	"errors"
)

type eyes struct{}

func look() (*eyes, error) { return nil, errors.ErrUnsupported }

func (*eyes) close() {}

func (*eyes) processes(context.Context) result { return result{} }
func (*eyes) covered(context.Context) result   { return result{} }
func (*eyes) sockets(context.Context) result   { return result{} }
func (*eyes) modules(context.Context) result   { return result{} }
