//go:build !linux

package namespace

import (
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact/record"
)

type lives struct{ list []life }

// Write implements probe.Writer.
func (*lives) Write(probe.Record) error { return nil }

func read(_ *scan.At, b []byte) ([]byte, error) { return b, nil }

func own(*table) {}

func look(*record.Namespace) {}
