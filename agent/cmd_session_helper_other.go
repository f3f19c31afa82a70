//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"
)

// awaitEndOfSession is for Windows: elsewhere the system tells the agent itself.
func awaitEndOfSession(context.Context, func(ending string)) error {
	return fmt.Errorf("wait for the end of the session: %w", errors.ErrUnsupported)
}
