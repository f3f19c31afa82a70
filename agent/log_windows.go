package main

import (
	"log/slog"

	"hozen/agent/internal/osservice"
)

// systemLog is the log of Windows for a service, which has nowhere else to write.
func systemLog(level slog.Level, asService bool) slog.Handler {
	if !asService {
		return nil
	}
	h, err := osservice.EventLog(level)
	if err != nil {
		return nil // there is nobody to tell it
	}
	return h
}
