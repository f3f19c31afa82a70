package main

import (
	"hozen/agent/internal/acquire"
	"hozen/agent/internal/probe/winsys"
	"hozen/agent/internal/recorder"
	"hozen/agent/internal/recorder/procevent"
	"hozen/agent/internal/recorder/winwatch"
)

// recorderSources are the tables of Windows.
func recorderSources() recorder.Sources {
	processes := winwatch.NewProcesses(winsys.System{})
	return recorder.Sources{
		Processes: func() (procevent.Processes, error) { return processes.Reader(), nil },
		Sockets: func(b *recorder.Budget) (recorder.Sockets, error) {
			return winwatch.Open(winwatch.Config{System: winsys.System{}, Boot: func() int64 { return acquire.SystemClock().BootNS }, Budget: b}), nil
		},
	}
}
