package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// disconnect ends the session, and is an error when the load was not enough for it.
func (s *site) disconnect() error {
	waiting, err := s.agent.Disconnect()
	if err == nil && waiting == 0 {
		err = errors.New("the agent ran out of evidence to upload during the measurement")
	}
	return err
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

// order gives n commands, each after the end of the one before and a pause of gap,
// and returns how long each took from the operator's act to its acknowledgement, by
// the collector's clock alone: from the begin of the transaction that stores the order
// to the begin of the one that stores its acknowledgement. Between them lie the commit
// of the order, the way to the agent, its promise on disk, and the way back.
func (s *site) order(ctx context.Context, n int, gap time.Duration) ([]time.Duration, error) {
	pause := time.NewTimer(gap)
	defer pause.Stop()
	took := make([]time.Duration, 0, n)
	for range n {
		var c rig.Command
		if err := s.operator.Call(ctx, "command.order", map[string]any{"verb": "acquire", "endpoint": s.endpoint, "reason": "bench"}, &c); err != nil {
			return took, err
		}
		var ended struct{ Command rig.Command }
		if err := s.operator.Call(ctx, "command.wait", map[string]any{"command_id": c.ID}, &ended); err != nil {
			return took, err
		}
		if c = ended.Command; c.Status != "done" || c.AcceptedAt.IsZero() {
			return took, fmt.Errorf("command ended as %s, accepted at %s: %s", c.Status, c.AcceptedAt, c.Detail)
		}
		took = append(took, c.AcceptedAt.Sub(c.IssuedAt))
		pause.Reset(gap)
		<-pause.C
	}
	return took, nil
}
