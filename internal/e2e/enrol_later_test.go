package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"hozen/internal/e2e/rig"
)

// TestEnrolsWithTheTokenOfAnInstaller: an installer leaves the token while the collector is
// away; the agent enrols as soon as both run, and the token is gone.
func TestEnrolsWithTheTokenOfAnInstaller(t *testing.T) {
	ctx := within(t, patience)
	s := &system{Nursery: rig.NewNursery(), dir: shortDir(t)}
	t.Cleanup(func() { s.Close() })
	var err error
	s.collector, err = s.Init(ctx, rig.CollectorConfig{Program: programs(t).Collector, Dir: filepath.Join(s.dir, "collector"), Log: filepath.Join(s.dir, "collector.log")})
	must(t, err)
	must(t, s.collector.Serve(ctx))
	token, err := s.collector.Token(ctx, 1)
	must(t, err)
	s.agent, err = s.Agent(rig.AgentConfig{Program: programs(t).Agent, Dir: filepath.Join(s.dir, "agent"), Log: filepath.Join(s.dir, "agent.log"), Settings: quick})
	must(t, err)
	for range 2 { // an installer may run again
		r, err := s.agent.CLI(ctx, token+"\n", "enroll", "--later", "--token-file", "-")
		must(t, err)
		if r.Code != 0 {
			t.Fatalf("enroll --later: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
	}
	must(t, s.agent.Run(ctx))
	s.awaitConnected(t, ctx)
	left := filepath.Join(s.agent.Dir, "enroll-later.json")
	s.await(t, ctx, "the token to be gone", func() (bool, error) {
		_, err := os.Stat(left)
		return os.IsNotExist(err), err
	})
	r, err := s.agent.CLI(ctx, token+"\n", "enroll", "--later", "--token-file", "-")
	must(t, err)
	if _, err := os.Stat(left); r.Code != 0 || !os.IsNotExist(err) {
		t.Errorf("enroll --later on an enrolled PC: exit code %d, token left: %v\n%s", r.Code, err, r.Stderr)
	}
}
