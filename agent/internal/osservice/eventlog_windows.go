package osservice

import (
	"fmt"
	"log/slog"

	"golang.org/x/sys/windows/svc/eventlog"
)

// The numbers of messages; EventCreate.exe has a text for each from 1 to 1000.
const (
	eventInfo    = 1
	eventWarning = 2
	eventError   = 3
)

// EventLog writes into the log "Application" of Windows, by the source that installing
// registered. It stays open until the program ends.
func EventLog(level slog.Leveler) (slog.Handler, error) {
	log, err := eventlog.Open(Name)
	if err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	return newLines(level, func(level slog.Level, line string) {
		// A log that takes nothing leaves nowhere to say so.
		switch {
		case level >= slog.LevelError:
			_ = log.Error(eventError, line)
		case level >= slog.LevelWarn:
			_ = log.Warning(eventWarning, line)
		default:
			_ = log.Info(eventInfo, line)
		}
	}), nil
}
