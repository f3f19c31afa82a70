//go:build !linux

package netfilter

import (
	"context"
	"errors"

	"hozen/internal/artifact/record"
)

func legacy(context.Context, string, string) ([]record.FilterObject, error) {
	return nil, errors.ErrUnsupported
}
