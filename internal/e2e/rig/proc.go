package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"hozen/internal/netlab"
)

// grace is how long a program may take to end by itself when it is asked to.
const grace = 20 * time.Second

// Spec says how to start a program.
type Spec struct {
	// Path is the program's file.
	Path string
	// Argv0 is what the program is told that it is called. Default: the base of Path.
	Argv0 string
	Args  []string
	// Env is added to this process's environment.
	Env []string
	Dir string
	// Log is a file that gets the program's output, appended. Default: none is kept.
	Log string
	// Host is the network namespace to start in. Default: this process's.
	Host *netlab.Host
	// User is the account to run as; only root may ask for one. Default: this process's.
	User string
}

func (s Spec) command() *exec.Cmd {
	cmd := exec.Command(s.Path, s.Args...)
	if s.Argv0 != "" {
		cmd.Args[0] = s.Argv0
	}
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), s.Env...)
	return cmd
}

// Proc is a program that runs until it ends or is ended.
type Proc struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; valid after done
}

// Start starts a program that does not outlive this process.
func (n *Nursery) Start(s Spec) (*Proc, error) {
	p := &Proc{name: filepath.Base(s.Path), log: s.Log, cmd: s.command(), done: make(chan struct{})}
	var out io.Writer
	if s.Log != "" {
		f, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open log of %s: %w", p.name, err)
		}
		defer f.Close() // the child has its own copy
		out = f
	}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := n.start(p.cmd, s); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	n.add(p)
	return p, nil
}

// PID returns the process identifier.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Ended returns nil while the program runs and afterwards how it ended, with the
// end of its log.
func (p *Proc) Ended() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	how := "ended with exit code 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s: %s\n%s", p.name, how, p.LogTail(15))
}

// ExitCode returns the exit code of a program that has ended, -1 for one that was
// killed or still runs.
func (p *Proc) ExitCode() int {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

// LogTail returns the last lines of the program's log.
func (p *Proc) LogTail(lines int) string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Kill ends the program as a power cut would (SIGKILL) and waits until it is gone.
func (p *Proc) Kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.done
}

// Stop asks the program to end, and kills it when it does not.
func (p *Proc) Stop() error {
	if p.Ended() != nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		p.Kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM", p.name, grace)
	}
}

// Result is what a program that ran to its end left.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run runs a program to its end. An exit code other than 0 is no error.
func (n *Nursery) Run(ctx context.Context, s Spec, stdin string) (Result, error) {
	cmd := s.command()
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	if err := n.start(cmd, s); err != nil {
		return Result{}, fmt.Errorf("start %s: %w", filepath.Base(s.Path), err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-ended
		err = ctx.Err()
	}
	r := Result{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return r, fmt.Errorf("run %s %s: %w\n%s%s", filepath.Base(s.Path), strings.Join(s.Args, " "), err, r.Stdout, r.Stderr)
	}
	return r, nil
}

// Nursery starts programs and sees to it that none outlives this process.
type Nursery struct {
	work chan func()
	stop chan struct{}

	mu    sync.Mutex
	procs []*Proc
}

// NewNursery returns a nursery; Close ends what it started.
func NewNursery() *Nursery {
	n := &Nursery{work: make(chan func()), stop: make(chan struct{})}
	go n.live()
	return n
}

func (n *Nursery) add(p *Proc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.procs = append(n.procs, p)
}

// start runs cmd.Start on the nursery's thread or the namespace's, because a child
// dies with the thread that started it.
func (n *Nursery) start(cmd *exec.Cmd, s Spec) error {
	dieWithParent(cmd)
	if s.User != "" {
		if err := runAs(cmd, s.User); err != nil {
			return err
		}
	}
	if s.Host != nil {
		return s.Host.Start(cmd)
	}
	done := make(chan error, 1)
	n.work <- func() { done <- cmd.Start() }
	return <-done
}

// Close ends every program, the youngest first, and returns what did not end well.
func (n *Nursery) Close() error {
	n.mu.Lock()
	procs := n.procs
	n.procs = nil
	n.mu.Unlock()
	var errs []error
	for i := len(procs) - 1; i >= 0; i-- {
		errs = append(errs, procs[i].Stop())
	}
	close(n.stop)
	return errors.Join(errs...)
}

// Until calls ok again and again until it returns true, and gives up with what it
// said last when ctx ends or one of procs ends before that.
func Until(ctx context.Context, what string, ok func() (bool, error), procs ...*Proc) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		good, err := ok()
		if good {
			return nil
		}
		for _, p := range procs {
			if end := p.Ended(); end != nil {
				return fmt.Errorf("wait for %s: %w", what, end)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, errors.Join(ctx.Err(), err))
		}
	}
}
