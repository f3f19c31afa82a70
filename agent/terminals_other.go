//go:build !linux

package main

import (
	"context"
	"log/slog"
)

// tellTerminals tells nobody on this system.
func tellTerminals(context.Context, string, *slog.Logger) {}

func wallTerminals(context.Context, string, bool, *slog.Logger) {}
