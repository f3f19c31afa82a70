package bpf

import (
	"context"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// maxObjects bounds each of programs, maps and links.
const maxObjects = 1 << 16

// New returns the probe.
func New() probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindBPF, Schema: record.SchemaBPF, Volatility: probe.Presence, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error { return read(ctx, o) },
	})
}
