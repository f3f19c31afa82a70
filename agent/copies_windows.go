package main

import (
	"log/slog"
	"os"
	"path/filepath"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/filecopy"
	"hozen/agent/internal/probe/wincopy"
	"hozen/internal/artifact"
)

// copies makes the probe that copies the files of a kind; nil when none does.
func copies(kind artifact.Kind, scope filecopy.Scope, room string) probe.Probe {
	return wincopy.New(kind, wincopy.Scope(scope), &wincopy.PC{Room: room})
}

// copiesRoom is a folder below that of state, which the system and administrators alone can
// use, for what Windows saves to be copied. What an agent that was killed left is taken away.
func copiesRoom(state string, log *slog.Logger) string {
	dir := filepath.Join(state, "copies")
	if err := os.RemoveAll(dir); err != nil {
		log.Error("copies of an earlier run are left", slog.Any("error", err))
	}
	return dir
}
