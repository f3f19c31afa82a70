package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// step is one thing that is checked. A nil error is a pass.
type step struct {
	name string
	run  func(ctx context.Context) error
	// lane: steps of several lanes that follow each other run at the same time, those of
	// one lane in their order. A step without a lane runs alone.
	lane string
}

// checker runs steps and counts.
type checker struct {
	out      io.Writer
	root     bool
	fuzzTime time.Duration

	mu                      sync.Mutex // guards the rest, and what is written to out, while much runs at once
	passed, failed, skipped int
	troubles                []string     // names of failed steps and tests
	seen                    testOutcomes // every test of this run, for .ci/must-run

	building sync.Mutex // guards what follows
	built    string     // folder of the programs that are tested as a whole
}

// note says something that is no failure.
func (c *checker) note(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(c.out, indent(text))
}

func (c *checker) runAll(ctx context.Context, steps []step, whole bool) int {
	begin := time.Now()
	defer func() {
		if c.built != "" {
			_ = os.RemoveAll(c.built) // below the folder for temporary files
		}
	}()
	for len(steps) > 0 {
		n := 1
		for steps[0].lane != "" && n < len(steps) && steps[n].lane != "" {
			n++
		}
		lanes := map[string][]step{}
		for _, s := range steps[:n] {
			lanes[s.lane] = append(lanes[s.lane], s)
		}
		var running sync.WaitGroup
		for _, lane := range lanes {
			running.Go(func() {
				for _, s := range lane {
					if ctx.Err() == nil {
						c.step(ctx, s)
					}
				}
			})
		}
		running.Wait()
		steps = steps[n:]
	}
	if ctx.Err() != nil {
		fmt.Fprintln(c.out, "interrupted")
		c.failed++
	}
	fmt.Fprintf(c.out, "\n%.0f s", time.Since(begin).Seconds())
	if c.skipped > 0 {
		fmt.Fprintf(c.out, ", %d tests skipped", c.skipped)
	}
	if !whole {
		fmt.Fprint(c.out, ", part of the steps")
	}
	fmt.Fprintln(c.out)
	for _, t := range c.troubles {
		fmt.Fprintf(c.out, "  failed: %s\n", t)
	}
	fmt.Fprintf(c.out, "%d passed, %d failed\n", c.passed, c.failed)
	if c.failed > 0 {
		return 1
	}
	return 0
}

// step runs one step and says how it went. The name of a step that runs alone is there
// while it runs.
func (c *checker) step(ctx context.Context, s step) {
	start := time.Now()
	if s.lane == "" {
		fmt.Fprintf(c.out, "── %s\n", s.name)
	}
	err := s.run(ctx)
	took := time.Since(start).Seconds()
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.lane != "" {
		fmt.Fprintf(c.out, "── %s\n", s.name)
	}
	if err != nil {
		c.failed++
		c.troubles = append(c.troubles, s.name)
		fmt.Fprintf(c.out, "%s\n   FAILED  %s  %.1f s\n", indent(err.Error()), s.name, took)
		return
	}
	c.passed++
	fmt.Fprintf(c.out, "   ok  %.1f s\n", took)
}

// cmd runs a program in dir ("" = here) with extra environment entries and returns
// its output; a failure carries the output.
func cmd(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	p := exec.CommandContext(ctx, name, args...)
	p.Dir = dir
	p.Env = append(os.Environ(), env...)
	p.Cancel = func() error { return p.Process.Signal(syscall.SIGTERM) }
	p.WaitDelay = 20 * time.Second
	var out bytes.Buffer
	p.Stdout, p.Stderr = &out, &out
	if err := p.Run(); err != nil {
		return out.String(), fmt.Errorf("%s\n%s %s: %w", tail(out.String(), 60), name, strings.Join(args, " "), err)
	}
	return out.String(), nil
}

// quiet is cmd for programs that print nothing when all is well.
func quiet(ctx context.Context, dir string, env []string, name string, args ...string) error {
	out, err := cmd(ctx, dir, env, name, args...)
	if err != nil {
		return err
	}
	if out = withoutDownloads(out); strings.TrimSpace(out) != "" {
		return errors.New(out)
	}
	return nil
}

// withoutDownloads takes away what the go command says of modules that this machine did not
// have yet.
func withoutDownloads(out string) string {
	var kept strings.Builder
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "go: downloading ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(all) > lines {
		all = append([]string{"…"}, all[len(all)-lines:]...)
	}
	return strings.Join(all, "\n")
}

func indent(s string) string {
	return "   " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n   ")
}
