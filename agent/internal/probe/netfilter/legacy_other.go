//go:build !linux

package netfilter

import (
	"context"
	"errors"

	"hozen/internal/artifact/record"
)

func legacy(context.Context, string, string, func(*record.FilterObject) error) error {
	return errors.ErrUnsupported
}
