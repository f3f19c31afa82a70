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

	"golang.org/x/sys/unix"

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
// on, in percent, while nobody does anything.
const maxRecorderCPU = 0.2

// window is the time of one look at the recorder, one interval of its heartbeats; half of
// that in the short mode.
func window(quick bool) time.Duration {
	if quick {
		return 5 * time.Second
	}
	return 10 * time.Second
}

// idleAgent looks at the real agent, enrolled and connected, while nothing happens and
// the flight recorder is off: that must cost nothing.
func idleAgent(ctx context.Context, e env) error {
	span := 20 * time.Second
	if e.quick {
		span = 10 * time.Second
	}
	return withAgent(ctx, e, "[recorder]\nenabled = false\n", func(pid int) error {
		if err := settled(ctx, pid); err != nil {
			return err
		}
		before, err := cpuTime(pid)
		if err != nil {
			return err
		}
		if err := wait(ctx, span); err != nil {
			return err
		}
		after, err := cpuTime(pid)
		if err != nil {
			return err
		}
		e.print(bench.Figure{Name: "agent.cpu.idle", Value: bench.Milliseconds(after - before), Unit: fmt.Sprintf("ms/%ds", int(span.Seconds())), Bar: bench.Exactly(0)})
		return nil
	})
}

// idleRecorder looks at the agent as it is installed, with the flight recorder on, in
// some intervals of its heartbeats: while nobody does anything, and beside it, without a
// bar, while [activity] goes on. What else the machine starts is recorded and paid for
// too, so the calmest interval counts, and how many starts it had stands beside the
// figure: with dozens a second this is no idle PC.
func idleRecorder(ctx context.Context, e env) (err error) {
	windows, span := 4, window(e.quick)
	if e.quick {
		windows = 1
	}
	return withAgent(ctx, e, "", func(pid int) error {
		// The recorder always has something to do; that the first list of everything is
		// written is all there is to wait for.
		if err := wait(ctx, 2*settle); err != nil {
			return err
		}
		idle, err := calmest(ctx, pid, windows, span)
		if err != nil {
			return err
		}
		active, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- activity(active) }()
		busy, err := calmest(ctx, pid, max(windows/2, 1), span)
		stop()
		if err := errors.Join(err, <-ended); err != nil {
			return err
		}
		rss, err := resident(pid)
		if err != nil {
			return err
		}
		share := func(u used) float64 { return 100 * u.cpu.Seconds() / span.Seconds() }
		e.print(bench.Figure{Name: "agent.rss", Value: float64(rss), Unit: "bytes", Bar: bench.AtMost(maxIdleRSS)})
		e.print(bench.Figure{Name: "shutdown.recorder.idle", Value: share(idle), Unit: "% of a core", Bar: bench.AtMost(maxRecorderCPU)})
		e.print(bench.Figure{Name: "shutdown.recorder.idle.starts", Value: float64(idle.forks) / span.Seconds(), Unit: "processes/s"})
		e.print(bench.Figure{Name: "shutdown.recorder.active", Value: share(busy), Unit: "% of a core"})
		e.print(bench.Figure{Name: "shutdown.recorder.active.starts", Value: float64(busy.forks) / span.Seconds(), Unit: "processes/s"})
		return nil
	})
}

// calmest looks a few times and returns what was used when the machine did least.
func calmest(ctx context.Context, pid, windows int, span time.Duration) (least used, err error) {
	for i := range windows {
		u, err := look(ctx, pid, span)
		if err != nil {
			return least, err
		}
		if i == 0 || u.forks < least.forks {
			least = u
		}
	}
	return least, nil
}

// used is what an agent used in a time, and what the machine did meanwhile.
type used struct {
	cpu   time.Duration
	forks int64 // processes and threads that were started
}

func look(ctx context.Context, pid int, span time.Duration) (u used, err error) {
	forksBefore, err := forks()
	if err != nil {
		return u, err
	}
	before, err := cpuClock(pid)
	if err != nil {
		return u, err
	}
	if err := wait(ctx, span); err != nil {
		return u, err
	}
	after, err := cpuClock(pid)
	if err != nil {
		return u, err
	}
	forksAfter, err := forks()
	return used{after - before, forksAfter - forksBefore}, err
}

// cpuClock is cpuTime to the nanosecond: the clock of another process, named as
// clock_getcpuclockid(3) does.
func cpuClock(pid int) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0, fmt.Errorf("read CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// activity is what a PC does when somebody works: a program is started and a connection
// opened and closed each second.
func activity(ctx context.Context) error {
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

// withAgent calls look with the process of an agent with these settings that is enrolled
// and connected, and stays so.
func withAgent(ctx context.Context, e env, set string, look func(pid int) error) (err error) {
	n := rig.NewNursery()
	defer func() { err = errors.Join(err, n.Close()) }()
	programs := rig.In(e.bin)
	c, err := n.Init(ctx, rig.CollectorConfig{
		Program: programs.Collector, Dir: filepath.Join(e.dir, "collector"), Log: filepath.Join(e.dir, "collector.log"),
	})
	if err != nil {
		return err
	}
	if err := c.Serve(ctx); err != nil {
		return err
	}
	token, err := c.Token(ctx, 1)
	if err != nil {
		return err
	}
	a, err := n.Agent(rig.AgentConfig{Program: programs.Agent, Dir: filepath.Join(e.dir, "agent"), Log: filepath.Join(e.dir, "agent.log"), Settings: set})
	if err != nil {
		return err
	}
	if err := a.Enroll(ctx, token); err != nil {
		return err
	}
	if err := a.Run(ctx); err != nil {
		return err
	}
	online := func() (bool, error) {
		list, err := c.Endpoints(ctx)
		return len(list) == 1 && list[0].Online, err
	}
	if err := rig.Until(ctx, "the agent's connection", online, a.Proc); err != nil {
		return err
	}
	if err := look(a.Proc.PID()); err != nil {
		return err
	}
	if err := a.Proc.Ended(); err != nil {
		return err
	}
	if on, err := online(); err != nil || !on {
		return errors.Join(errors.New("the agent was not connected all the time"), err)
	}
	return nil
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
