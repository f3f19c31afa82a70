package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hozen/internal/bench/bare"
	"hozen/internal/bench/simagent"
	"hozen/internal/e2e/rig"
)

// evidenceSize is about how many bytes one acquisition of the load has: enough that
// beginning and sealing it weigh little, as with memory or event logs.
const evidenceSize = 64 << 20

// site is a collector, a simulated agent that is enrolled with it, and the bare pair
// beside them. A site serves one group of figures.
type site struct {
	nursery   *rig.Nursery
	collector *rig.Collector
	operator  *rig.Local
	endpoint  string
	agent     *simagent.Agent
	load      int // acquisitions that wait when a turn of commands begins
	waiting   int // those of the agent that were not uploaded
	bare      *bare.Server
	bareDir   string
	log       *os.File
}

func newSite(ctx context.Context, e env) (_ *site, err error) {
	s := &site{nursery: rig.NewNursery(), bareDir: filepath.Join(e.dir, "bare")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	programs := rig.In(e.bin)
	s.collector, err = s.nursery.Init(ctx, rig.CollectorConfig{
		Program: programs.Collector, Dir: filepath.Join(e.dir, "collector"), Log: filepath.Join(e.dir, "collector.log"),
	})
	if err != nil {
		return nil, err
	}
	if err := tune(s.collector.Dir); err != nil {
		return nil, err
	}
	if err := s.collector.Serve(ctx); err != nil {
		return nil, err
	}
	if s.operator, err = s.collector.SignIn(ctx); err != nil {
		return nil, err
	}
	token, err := s.collector.Token(ctx, 1)
	if err != nil {
		return nil, err
	}
	state := filepath.Join(e.dir, "agent")
	real, err := s.nursery.Agent(rig.AgentConfig{Program: programs.Agent, Dir: state})
	if err != nil {
		return nil, err
	}
	if err := real.Enroll(ctx, token); err != nil {
		return nil, err
	}
	list, err := s.collector.Endpoints(ctx)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("%d endpoints, want 1", len(list))
	}
	s.endpoint = list[0].ID
	if s.log, err = os.Create(filepath.Join(e.dir, "agent.log")); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if s.agent, err = simagent.Start(ctx, e.dir, state, s.log); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.bareDir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	s.bare, err = bare.Listen(s.bareDir)
	return s, err
}

func (s *site) close() error {
	var errs []error
	if s.bare != nil {
		s.bare.Close()
	}
	if s.agent != nil {
		errs = append(errs, s.agent.Close())
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	return errors.Join(append(errs, s.nursery.Close())...)
}

// connect begins the agent's session and waits until the collector has it.
func (s *site) connect(ctx context.Context) error {
	if err := s.agent.Connect(); err != nil {
		return err
	}
	return rig.Until(ctx, "the agent's connection", func() (bool, error) {
		list, err := s.collector.Endpoints(ctx)
		return len(list) == 1 && list[0].Online, err
	})
}

// bareClient runs the bare client, a copy of this program, until stop is called.
func (s *site) bareClient(ctx context.Context, e env) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	p, err := s.nursery.Start(rig.Spec{Path: self, Args: []string{"bare-client", s.bareDir}, Log: filepath.Join(e.dir, "bare.log")})
	if err != nil {
		return nil, err
	}
	if err := s.bare.Connected(ctx); err != nil {
		return nil, errors.Join(err, p.Ended())
	}
	return p.Kill, nil
}

// times are how long one command took to its acknowledgement, by the collector's clock.
type times struct {
	fromAct    time.Duration // begin of the transaction that stores the order
	fromStored time.Duration // its commit, when the order begins its way to the agent
}

// order gives n commands, each after the end of the one before and a pause of gap. An
// acknowledgement counts when it has arrived.
func (s *site) order(ctx context.Context, n int, gap time.Duration) ([]times, error) {
	pause := time.NewTimer(gap)
	defer pause.Stop()
	commands := make([]rig.Command, 0, n)
	for range n {
		var c rig.Command
		if err := s.operator.Call(ctx, "command.order", map[string]any{"verb": "acquire", "endpoint": s.endpoint, "reason": "bench"}, &c); err != nil {
			return nil, err
		}
		var ended struct{ Command rig.Command }
		if err := s.operator.Call(ctx, "command.wait", map[string]any{"command_id": c.ID}, &ended); err != nil {
			return nil, err
		}
		if c = ended.Command; c.Status != "done" || c.AcceptedAt.IsZero() {
			return nil, fmt.Errorf("command ended as %s, accepted at %s: %s", c.Status, c.AcceptedAt, c.Detail)
		}
		commands = append(commands, c)
		pause.Reset(gap)
		<-pause.C
	}
	stored, err := storedAt(s.collector.Log)
	if err != nil {
		return nil, err
	}
	took := make([]times, 0, n)
	for _, c := range commands {
		at, ok := stored[c.ID]
		if !ok {
			return nil, fmt.Errorf("the collector's log does not say when %s was stored", c.ID)
		}
		took = append(took, times{c.AcceptedAt.Sub(c.IssuedAt), c.AcceptedAt.Sub(at)})
	}
	return took, nil
}

// storedAt reads from the collector's log when each command was committed.
func storedAt(path string) (map[string]time.Time, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the collector's log: %w", err)
	}
	stored := map[string]time.Time{}
	for line := range bytes.Lines(b) {
		var l struct {
			Time    time.Time
			Msg     string
			Command string
		}
		if json.Unmarshal(line, &l) == nil && l.Msg == "command stored" {
			stored[l.Command] = l.Time
		}
	}
	return stored, nil
}

// tune makes the collector log when each command was stored, to the nanosecond, and take
// in more of one endpoint in a minute than it would of any PC in a day.
func tune(dir string) error {
	path := filepath.Join(dir, "collector.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the collector's settings: %w", err)
	}
	s := strings.Replace(string(b), `level = "info"`, `level = "debug"`, 1)
	s = strings.Replace(s, `format = "text"`, `format = "json"`, 1)
	s = strings.Replace(s, "endpoint_daily_percent = 25\n", "endpoint_daily_percent = 100\n", 1)
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		return fmt.Errorf("change the collector's settings: %w", err)
	}
	return nil
}
