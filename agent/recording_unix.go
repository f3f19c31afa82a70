//go:build !windows

package main

import "hozen/agent/internal/recorder"

// recorderSources are the system's own.
func recorderSources() recorder.Sources { return recorder.Sources{} }
