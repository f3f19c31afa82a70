//go:build !windows

package main

import (
	"context"
	"errors"
)

// sendRest does nothing: what waits for the collector stays on this PC.
func (c *command) sendRest(context.Context) {}

// clear is for Windows, whose uninstalling leaves nothing behind.
func (c *command) clear(context.Context, bool) int { return c.usage(errors.New(serviceVerbs)) }
