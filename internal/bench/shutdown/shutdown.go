// Package shutdown measures how long the evidence of a PC that goes down takes, how long
// the PC is held for it, and what the flight recorder costs. It plays the login service
// and switches nothing off. It knows nothing of the agent's packages, which only the
// agent's own tree may import: it builds that tree's measuring program, or runs the agent.
package shutdown

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"time"

	"hozen/internal/bench"
)

// Config is what a measurement needs.
type Config struct {
	Bin   string // folder of the programs
	Dir   string // empty folder; on the disk that is to be measured
	Quick bool   // fewer repetitions
	Note  io.Writer
	Print func(bench.Figure)
}

// measuring is the program that measures, see its own documentation.
const measuring = "hozen/agent/internal/shutdown/shutdownbench"

const (
	// delayBar is the promise of how long a PC without an open incident is held, in ms.
	delayBar = 500
	// wholeBar is the share of shutdowns in which every process and socket must be in the
	// evidence. It is not 1 because a probe that a busy machine gives no processor for a
	// tenth of a second is cut off, so that the PC is let go in time.
	wholeBar = 0.98
	// artifactBar bounds the time until the first artifact is safe, with the way of the
	// notice over the bus, against the bare reading and one bare sync.
	//
	// The product cannot reach 1: making the acquisition's folder and its head takes syncs,
	// which run beside the reading, and the artifact's name in its folder takes one more.
	// Measured on two processors: 1.5 to 1.6 when they are free, 1.1 to 1.4 when they are
	// not and reading takes most of both. The rest is for disks that sync slowly.
	artifactBar = 2.5
	// stormBar bounds how much longer a storm of short processes takes when it is recorded.
	// The storm has every processor busy, so the ratio is what all of recording costs:
	// 1.06 to 1.2 on two processors, up to 1.29 while others want them too.
	stormBar = 1.35
)

// allowed is InhibitDelayMaxSec as the agent's installation sets it.
const allowed = 30 * time.Second

// TurnNames are the figures of [Turns].
func TurnNames() []string {
	return []string{
		"shutdown.evidence.whole",
		"shutdown.first_artifact", "shutdown.first_artifact.p50.ms", "shutdown.first_artifact.p99.ms", "shutdown.first_artifact.bare.ms",
		"shutdown.sealed.p50.ms", "shutdown.sealed.p99.ms", "shutdown.released.p50.ms", "shutdown.released.p99.ms",
	}
}

// DelayNames are the figures of [Delay].
func DelayNames() []string {
	return []string{"shutdown.delay.p50.ms", "shutdown.delay.p99.ms", "shutdown.delay.incident.p50.ms", "shutdown.delay.incident.p99.ms"}
}

// StormNames are the figures of [Storm].
func StormNames() []string {
	return []string{"shutdown.recorder.storm", "shutdown.recorder.storm.ms", "shutdown.recorder.storm.bare.ms"}
}

// percentiles prints the 50th and 99th percentile of times; bar is for the latter.
func percentiles(print func(bench.Figure), name string, times []time.Duration, bar bench.Bar) {
	print(bench.Figure{Name: name + ".p50.ms", Value: bench.Milliseconds(bench.Percentile(times, 0.5)), Unit: "ms"})
	print(bench.Figure{Name: name + ".p99.ms", Value: bench.Milliseconds(bench.Percentile(times, 0.99)), Unit: "ms", Bar: bar})
}

// medianRatio is the median of a/b, pair by pair: what changes the machine's speed falls on
// both of a pair.
func medianRatio(a, b []time.Duration) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = float64(a[i]) / float64(b[i])
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// partner is a program that is talked to over its standard input and output.
type partner struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

func start(ctx context.Context, note io.Writer, path string, args ...string) (*partner, error) {
	p := &partner{cmd: exec.CommandContext(ctx, path, args...)}
	p.cmd.Stderr = note
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	return p, nil
}

// end ends the program, as the end of its input tells it.
func (p *partner) end() error {
	p.in.Close() // it may have ended already
	_, _ = io.Copy(io.Discard, p.out)
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", measuring, err)
	}
	return nil
}
