package main

import (
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/filecopy"
	"hozen/agent/internal/probe/wincopy"
	"hozen/internal/artifact"
)

// copies makes the probe that copies the files of a kind; nil when none does.
func copies(kind artifact.Kind, scope filecopy.Scope) probe.Probe {
	return wincopy.New(kind, wincopy.Scope(scope), wincopy.PC{})
}
