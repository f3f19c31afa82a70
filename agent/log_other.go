//go:build !windows

package main

import "log/slog"

// systemLog is none: a service's standard error is kept by its manager.
func systemLog(slog.Level, bool) slog.Handler { return nil }
