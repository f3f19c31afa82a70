//go:build !windows

package main

import (
	"context"
	"errors"

	"hozen/agent/internal/probe/netfilter"
)

// platformFilters: only Windows has such a platform.
func platformFilters(context.Context) ([]netfilter.Filter, int, error) {
	return nil, 0, errors.ErrUnsupported
}
