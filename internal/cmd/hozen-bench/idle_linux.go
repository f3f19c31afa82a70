package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hozen/internal/bench"
	"hozen/internal/e2e/rig"
)

const (
	// maxIdleRSS is the most resident memory of an idle agent, in bytes.
	maxIdleRSS = 20e6
	// tick is the unit of CPU times in /proc: USER_HZ is 100 on every Linux (time(7)).
	tick = 10 * time.Millisecond
	// settle is how long nothing may happen before the agent counts as started.
	settle = 2 * time.Second
)

// maxRecorderCPU is the most that the agent may use of one core with the flight recorder
// on, in percent, on a PC with the activity of [ordinary].
const maxRecorderCPU = 0.2

// idleAgent looks at the real agent, enrolled and connected, while nothing happens and
// the flight recorder is off: that must cost nothing.
func idleAgent(ctx context.Context, e env) error {
	span := 20 * time.Second
	if e.quick {
		span = 10 * time.Second
	}
	off, err := lookAtIdle(ctx, e, "[recorder]\nenabled = false\n", span)
	if err != nil {
		return err
	}
	e.print(bench.Figure{Name: "agent.cpu.idle", Value: bench.Milliseconds(off.cpu), Unit: fmt.Sprintf("ms/%ds", int(span.Seconds())), Bar: bench.Exactly(0)})
	return nil
}

// idleRecorder looks at the agent as it is installed, with the flight recorder on. What
// else the machine starts is recorded and paid for too, so the number of starts stands
// beside the figure: with hundreds of them a second it is no ordinary PC.
func idleRecorder(ctx context.Context, e env) (err error) {
	span := 40 * time.Second
	if e.quick {
		span = 20 * time.Second
	}
	active, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- ordinary(active) }()
	defer func() { stop(); err = errors.Join(err, <-ended) }()
	on, err := lookAtIdle(ctx, e, "", span)
	if err != nil {
		return err
	}
	e.print(bench.Figure{Name: "agent.rss", Value: float64(on.rss), Unit: "bytes", Bar: bench.AtMost(maxIdleRSS)})
	e.print(bench.Figure{Name: "shutdown.recorder.idle", Value: 100 * on.cpu.Seconds() / span.Seconds(), Unit: "% of a core", Bar: bench.AtMost(maxRecorderCPU)})
	e.print(bench.Figure{Name: "shutdown.recorder.idle.starts", Value: float64(on.forks) / span.Seconds(), Unit: "processes/s"})
	return nil
}

// ordinary is what a PC does when nobody does much: a program is started and a
// connection opened and closed each second.
func ordinary(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer l.Close()
	for wait(ctx, time.Second) == nil {
		if err := exec.Command("true").Run(); err != nil {
			return fmt.Errorf("start a program: %w", err)
		}
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		a, err := l.Accept()
		if err != nil {
			return errors.Join(fmt.Errorf("accept: %w", err), c.Close())
		}
		if err := errors.Join(c.Close(), a.Close()); err != nil {
			return fmt.Errorf("close a connection: %w", err)
		}
	}
	return nil
}

// idle is what an agent used.
type idle struct {
	cpu time.Duration
	rss int64
	// forks is how many processes and threads the machine started meanwhile.
	forks int64
}

// lookAtIdle runs an agent with these settings for a span.
func lookAtIdle(ctx context.Context, e env, set string, span time.Duration) (used idle, err error) {
	n := rig.NewNursery()
	defer func() { err = errors.Join(err, n.Close()) }()
	programs := rig.In(e.bin)
	c, err := n.Init(ctx, rig.CollectorConfig{
		Program: programs.Collector, Dir: filepath.Join(e.dir, "collector"), Log: filepath.Join(e.dir, "collector.log"),
	})
	if err != nil {
		return used, err
	}
	if err := c.Serve(ctx); err != nil {
		return used, err
	}
	token, err := c.Token(ctx, 1)
	if err != nil {
		return used, err
	}
	a, err := n.Agent(rig.AgentConfig{Program: programs.Agent, Dir: filepath.Join(e.dir, "agent"), Log: filepath.Join(e.dir, "agent.log"), Settings: set})
	if err != nil {
		return used, err
	}
	if err := a.Enroll(ctx, token); err != nil {
		return used, err
	}
	if err := a.Run(ctx); err != nil {
		return used, err
	}
	if err := rig.Until(ctx, "the agent's connection", func() (bool, error) {
		list, err := c.Endpoints(ctx)
		return len(list) == 1 && list[0].Online, err
	}, a.Proc); err != nil {
		return used, err
	}
	pid := a.Proc.PID()
	if err := settled(ctx, pid); err != nil {
		return used, err
	}
	forksBefore, err := forks()
	if err != nil {
		return used, err
	}
	before, err := cpuTime(pid)
	if err != nil {
		return used, err
	}
	if err := wait(ctx, span); err != nil {
		return used, err
	}
	after, err := cpuTime(pid)
	if err != nil {
		return used, err
	}
	used.cpu = after - before
	forksAfter, err := forks()
	if err != nil {
		return used, err
	}
	used.forks = forksAfter - forksBefore
	if used.rss, err = resident(pid); err != nil {
		return used, err
	}
	if err := a.Proc.Ended(); err != nil {
		return used, err
	}
	list, err := c.Endpoints(ctx)
	if err != nil {
		return used, err
	}
	if len(list) != 1 || !list[0].Online {
		return used, errors.New("the agent was not connected all the time")
	}
	return used, nil
}

// settled waits until the process has used no CPU for a while: what starting costs is
// over then.
func settled(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		before, err := cpuTime(pid)
		if err != nil {
			return err
		}
		if err := wait(ctx, settle); err != nil {
			return fmt.Errorf("wait for the agent to settle: %w", err)
		}
		after, err := cpuTime(pid)
		if err != nil || after == before {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cpuTime returns what a process has used so far, in user and kernel mode: fields 14
// and 15 of /proc/PID/stat (proc_pid_stat(5)).
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])) // from field 3 on
	if len(fields) < 13 {
		return 0, fmt.Errorf("read CPU time: %q", b)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// resident returns VmRSS of /proc/PID/status (proc_pid_status(5)) in bytes.
func resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("read memory: no VmRSS of process %d", pid)
}

// forks returns how many processes and threads were started since the boot: "processes"
// of /proc/stat (proc_stat(5)).
func forks() (int64, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("count processes: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		var n int64
		if _, err := fmt.Sscanf(line, "processes %d", &n); err == nil {
			return n, nil
		}
	}
	return 0, errors.New("count processes: /proc/stat does not tell")
}
