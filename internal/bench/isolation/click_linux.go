package isolation

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"hozen/internal/bench"
	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
)

// Click orders a PC to be isolated and waits for the word that it is: the agent as it is
// shipped in a network namespace with the kernel's rules, the collector as it is shipped,
// from the call at the collector's local socket, which does what a click in the console
// does, until the collector says that the PC is isolated and has its way home: the agent
// tells so when it has read its rules back, tried them, and reached the collector through
// them. In turns the evidence is taken before, and afterwards, as an order says that wants
// the cut first. It needs root.
func Click(ctx context.Context, c Config) (err error) {
	runs := 100
	if c.Quick {
		runs = 3
	}
	s, err := newDesk(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var first, flash []time.Duration
	verified := 0
	for i := range 2 * runs {
		now := i%2 == 0
		took, ok, err := s.isolate(ctx, now)
		if err != nil {
			return err
		}
		if ok {
			verified++
		}
		if now {
			first = append(first, took)
		} else {
			flash = append(flash, took)
		}
	}
	percentiles(c.Print, "isolation.click.verified", first)
	percentiles(c.Print, "isolation.click.verified.flash", flash)
	c.Print(bench.Figure{Name: "isolation.click.verified.reported", Value: float64(verified), Unit: fmt.Sprintf("of %d", 2*runs), Bar: bench.Exactly(float64(2 * runs))})
	return nil
}

// desk is a collector, an operator who is signed in, and a PC with an agent.
type desk struct {
	nursery   *rig.Nursery
	lab       *netlab.Practice
	collector *rig.Collector
	operator  *rig.Local
	endpoint  string
}

func newDesk(ctx context.Context, c Config) (_ *desk, err error) {
	s := &desk{nursery: rig.NewNursery()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.lab, err = netlab.NewPractice(nil); err != nil {
		return nil, err
	}
	programs := rig.In(c.Bin)
	s.collector, err = s.nursery.Init(ctx, rig.CollectorConfig{
		Program: programs.Collector, Dir: filepath.Join(c.Dir, "collector"), Log: filepath.Join(c.Dir, "collector.log"), Agents: s.lab.Outside.At(4, 7443),
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
	a, err := s.nursery.Agent(rig.AgentConfig{Program: programs.Agent, Dir: filepath.Join(c.Dir, "agent"), Log: filepath.Join(c.Dir, "agent.log"), Host: s.lab.PC})
	if err != nil {
		return nil, err
	}
	if err := a.Enroll(ctx, token); err != nil {
		return nil, err
	}
	if err := a.Run(ctx); err != nil {
		return nil, err
	}
	return s, rig.Until(ctx, "the agent's connection", func() (bool, error) {
		list, err := s.collector.Endpoints(ctx)
		if len(list) == 1 {
			s.endpoint = list[0].ID
		}
		return len(list) == 1 && list[0].Online, err
	}, a.Proc)
}

func (s *desk) close() error {
	err := s.nursery.Close()
	if s.lab != nil {
		err = errors.Join(err, s.lab.Close())
	}
	return err
}

// lookEvery is how often is looked at what the collector says.
const lookEvery = 5 * time.Millisecond

// isolate is how long an order took until the collector said that it is so, and whether
// the result says the same. Afterwards the PC is released.
func (s *desk) isolate(ctx context.Context, first bool) (took time.Duration, ok bool, err error) {
	begun := time.Now()
	c, err := s.order(ctx, "isolate", first)
	if err != nil {
		return 0, false, err
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for isolated := false; !isolated; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return 0, false, fmt.Errorf("wait for the isolation: %w", ctx.Err())
		}
		if isolated, err = s.isolated(ctx); err != nil {
			return 0, false, err
		}
		took = time.Since(begun)
	}
	if err := s.ended(ctx, c); err != nil {
		return 0, false, err
	}
	if ok, err = s.isolated(ctx); err != nil {
		return 0, false, err
	}
	if c, err = s.order(ctx, "release", false); err != nil {
		return 0, false, err
	}
	return took, ok, s.ended(ctx, c)
}

// isolated reports what the collector says of the PC.
func (s *desk) isolated(ctx context.Context) (bool, error) {
	var list []rig.Endpoint
	if err := s.operator.Call(ctx, "endpoint.list", nil, &list); err != nil {
		return false, err
	}
	i := list[0].Isolation
	return i.Observed == "isolated" && i.WayHome, nil
}

func (s *desk) order(ctx context.Context, verb string, first bool) (c rig.Command, err error) {
	in := map[string]any{"verb": verb, "endpoint": s.endpoint, "reason": "bench", "isolate_first": first}
	return c, s.operator.Call(ctx, "command.order", in, &c)
}

// ended waits for the end of a command, which must be a good one.
func (s *desk) ended(ctx context.Context, c rig.Command) error {
	var ended struct{ Command rig.Command }
	if err := s.operator.Call(ctx, "command.wait", map[string]any{"command_id": c.ID}, &ended); err != nil {
		return err
	}
	if e := ended.Command; e.Status != "done" {
		return fmt.Errorf("%s ended as %s: %s", c.Verb, e.Status, e.Detail)
	}
	return nil
}
