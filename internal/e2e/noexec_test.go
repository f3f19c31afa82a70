package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
)

// TestRunningAgentStartsNoProgram traces the whole life of an agent that reports,
// acquires, isolates and releases: threads apart, it starts nothing.
func TestRunningAgentStartsNoProgram(t *testing.T) {
	need(t, "strace")
	if err := netlab.Available(); err != nil {
		t.Skip(err)
	}
	ctx := within(t, patience)
	pc, err := netlab.NewPractice(nil)
	must(t, err)
	t.Cleanup(func() { must(t, pc.Close()) })
	s := newSystem(t, ctx, options{
		notRunning: true,
		collector:  rig.CollectorConfig{Agents: pc.Outside.At(4, 7443)},
		agent:      rig.AgentConfig{Host: pc.PC},
	})
	must(t, s.collector.Serve(ctx))
	trace := filepath.Join(s.dir, "trace")
	calls := "trace=execve,execveat,fork,vfork,clone,clone3"
	tracer, err := s.Start(rig.Spec{Path: "/usr/bin/strace", Host: pc.PC, Log: s.agent.Log, Args: []string{"-f", "-qq", "-e", calls, "-o", trace,
		s.agent.Program, "run", "--state", s.agent.Dir, "--config", filepath.Join(s.agent.Dir, "agent.toml")}})
	must(t, err)
	t.Cleanup(func() { endTraced(t, tracer) })
	s.agent.Proc = tracer
	s.awaitConnected(t, ctx)

	if _, err := s.agent.Report(ctx, "traced"); err != nil {
		t.Error(err)
	}
	for _, verb := range []string{"acquire", "isolate", "release"} {
		if cmd := s.order(t, ctx, verb, nil); cmd.Status != "done" {
			t.Errorf("%s ended as %s: %s", verb, cmd.Status, cmd.Detail)
		}
	}
	s.awaitAcquisitions(t, ctx, 5) // of the report and the three orders, and the proofs of the last two
	endTraced(t, tracer)
	b, err := os.ReadFile(trace)
	must(t, err)
	threads := 0
	var starts []string
	for _, line := range strings.Split(string(b), "\n") {
		switch {
		case strings.Contains(line, "CLONE_THREAD"):
			threads++
		case startsProcess.MatchString(line):
			starts = append(starts, line)
		}
	}
	if threads == 0 {
		t.Error("the trace shows not even the agent's threads")
	}
	if len(starts) != 1 || !strings.Contains(starts[0], s.agent.Program) {
		t.Errorf("want the agent's own start and nothing else, got %d:\n%s", len(starts), strings.Join(starts, "\n"))
	}
}

// startsProcess matches the calls of a trace that start a program or a process.
var startsProcess = regexp.MustCompile(`^\d+ +(execve|execveat|fork|vfork|clone|clone3)\(`)

// endTraced ends the program under a tracer, and the tracer with it.
func endTraced(t *testing.T, tracer *rig.Proc) {
	t.Helper()
	if tracer.Ended() != nil {
		return
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", tracer.PID()))
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	must(t, err)
	p, err := os.FindProcess(pid)
	must(t, err)
	must(t, p.Signal(syscall.SIGTERM))
	<-tracer.Done()
}
