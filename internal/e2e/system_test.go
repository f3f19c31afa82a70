package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hozen/internal/e2e/rig"
)

// system is one collector and one agent, both running.
type system struct {
	*rig.Nursery
	collector *rig.Collector
	agent     *rig.Agent
	dir       string
	id        string // the PC's identifier
}

// options say how a system differs from the usual one.
type options struct {
	programs   *rig.Programs // default: those of the tree
	collector  rig.CollectorConfig
	agent      rig.AgentConfig
	notRunning bool // neither is started
}

// quick makes an agent come back at once, so that a test need not wait.
const quick = "[uplink]\nmin_backoff = \"20ms\"\nmax_backoff = \"200ms\"\n"

// newSystem makes a collector and an agent that is enrolled with it. When the test
// fails, the ends of both logs are shown.
func newSystem(t *testing.T, ctx context.Context, o options) *system {
	t.Helper()
	if o.programs == nil {
		p := programs(t)
		o.programs = &p
	}
	s := &system{Nursery: rig.NewNursery(), dir: shortDir(t)}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("end the programs: %v", err)
		}
	})
	c := o.collector
	c.Program, c.Dir, c.Log = o.programs.Collector, filepath.Join(s.dir, "collector"), filepath.Join(s.dir, "collector.log")
	var err error
	if s.collector, err = s.Init(ctx, c); err != nil {
		t.Fatal(err)
	}
	a := o.agent
	a.Program, a.Log = o.programs.Agent, filepath.Join(s.dir, "agent.log")
	if a.Dir == "" {
		a.Dir = filepath.Join(s.dir, "agent")
	}
	a.Settings = quick + a.Settings
	if s.agent, err = s.Agent(a); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("collector's log:\n%s", s.collector.LogTail(15))
			b, _ := os.ReadFile(a.Log) // may not be there yet
			t.Logf("agent's log:\n%s", b[max(0, len(b)-3000):])
		}
	})
	must(t, s.collector.Serve(ctx))
	token, err := s.collector.Token(ctx, 1)
	must(t, err)
	must(t, s.agent.Enroll(ctx, token))
	if o.notRunning {
		must(t, s.collector.Proc.Stop())
		return s
	}
	must(t, s.agent.Run(ctx))
	s.awaitConnected(t, ctx)
	s.id = s.endpoint(t, ctx).ID
	return s
}

// shortDir makes a folder whose name leaves room for a socket's path.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hz")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits until ok holds.
func (s *system) await(t *testing.T, ctx context.Context, what string, ok func() (bool, error)) {
	t.Helper()
	must(t, rig.Until(ctx, what, ok))
}

func (s *system) awaitConnected(t *testing.T, ctx context.Context) {
	t.Helper()
	s.await(t, ctx, "the agent's connection", func() (bool, error) {
		list, err := s.collector.Endpoints(ctx)
		return len(list) == 1 && list[0].Online, err
	})
}

// endpoint returns the one PC of the system.
func (s *system) endpoint(t *testing.T, ctx context.Context) rig.Endpoint {
	t.Helper()
	list, err := s.collector.Endpoints(ctx)
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("%d endpoints, want 1", len(list))
	}
	return list[0]
}

// awaitAcquisitions waits until exactly n acquisitions are accepted and returns them.
func (s *system) awaitAcquisitions(t *testing.T, ctx context.Context, n int) (list []rig.Acquisition) {
	t.Helper()
	id := s.endpoint(t, ctx).ID
	s.await(t, ctx, "the evidence", func() (bool, error) {
		var err error
		list, err = s.collector.Acquisitions(ctx, id)
		return len(list) >= n, err
	})
	if len(list) != n {
		t.Fatalf("%d acquisitions, want %d", len(list), n)
	}
	return list
}

// clean fails the test unless fsck proves everything that the collector keeps.
func (s *system) clean(t *testing.T, ctx context.Context) rig.Check {
	t.Helper()
	check, err := s.collector.Fsck(ctx)
	must(t, err)
	for _, p := range check.Problems {
		t.Errorf("fsck: %s %s: %s", p.Code, p.Subject, p.Detail)
	}
	if !check.Clean {
		t.Error("fsck is not clean")
	}
	return check
}

// verified fails the test unless hozen-verify, given the CA's fingerprint, says that
// the acquisition is verified.
func (s *system) verified(t *testing.T, ctx context.Context, acquisition string) (dir string) {
	t.Helper()
	dir = filepath.Join(s.dir, "copy-"+acquisition)
	must(t, s.collector.Download(ctx, acquisition, dir))
	out, errOut, code := command(t, programs(t).Verify, "--lang", "en", "--ca-fingerprint", s.collector.CASHA256, dir)
	if code != verifyVerified {
		t.Errorf("hozen-verify: exit code %d\n%s%s", code, out, errOut)
	}
	return dir
}

// order gives an order and waits for what comes of it.
func (s *system) order(t *testing.T, ctx context.Context, verb string, more map[string]any) rig.Command {
	t.Helper()
	in := map[string]any{"verb": verb, "endpoint": s.endpoint(t, ctx).ID, "reason": "test"}
	for k, v := range more {
		in[k] = v
	}
	var cmd rig.Command
	must(t, s.collector.Glass().Call(ctx, "command.order", in, &cmd))
	var waited struct {
		Command rig.Command `json:"command"`
	}
	must(t, s.collector.Glass().Call(ctx, "command.wait", map[string]any{"command_id": cmd.ID, "evidence": true}, &waited))
	return waited.Command
}

// patience is the time that any single scenario may take on a slow machine.
const patience = 2 * time.Minute
