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
// from the moment when the console's form is sent, by somebody who is signed in, as a
// browser sends it. Two moments are taken: when the kernel tells that the rules are in
// force, and when the collector says that the PC is isolated and has its way home, as the agent
// tells when it has read its rules back, tried them, and reached the collector through them. In turns the evidence is taken before, and afterwards, as an order says that wants
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
	var first, flash clicks
	verified := 0
	for i := range 2 * runs {
		of := &first
		if i%2 != 0 {
			of = &flash
		}
		ok, err := s.isolate(ctx, i%2 == 0, of)
		if err != nil {
			return err
		}
		if ok {
			verified++
		}
	}
	percentiles(c.Print, "isolation.click.rules", first.rules)
	percentiles(c.Print, "isolation.click.verified", first.verified)
	percentiles(c.Print, "isolation.click.rules.flash", flash.rules)
	percentiles(c.Print, "isolation.click.verified.flash", flash.verified)
	c.Print(bench.Figure{Name: "isolation.click.verified.reported", Value: float64(verified), Unit: fmt.Sprintf("of %d", 2*runs), Bar: bench.Exactly(float64(2 * runs))})
	return nil
}

// clicks are how long it took from each click: until the rules were in force, and until that
// was verified.
type clicks struct{ rules, verified []time.Duration }

// desk is a collector, an operator who is signed in, and a PC with an agent.
type desk struct {
	nursery   *rig.Nursery
	lab       *netlab.Practice
	collector *rig.Collector
	operator  *rig.Local
	console   *console
	rules     *ruleWatch
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
	if s.console, err = signIn(ctx, s.collector.Console); err != nil {
		return nil, err
	}
	if s.rules, err = watchRules(s.lab.PC); err != nil {
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
	if s.rules != nil {
		err = errors.Join(err, s.rules.close())
	}
	if s.lab != nil {
		err = errors.Join(err, s.lab.Close())
	}
	return err
}

// lookEvery is how often is looked at what the collector says.
const lookEvery = 5 * time.Millisecond

// isolate adds how long an order took until the rules were in force and until the collector
// said so, and reports whether the result says the same. Afterwards the PC is released.
func (s *desk) isolate(ctx context.Context, first bool, to *clicks) (ok bool, err error) {
	fail := func(err error) (bool, error) { return false, err }
	begun := time.Now()
	command, err := s.console.isolate(ctx, s.endpoint, first)
	if err != nil {
		return fail(err)
	}
	c, took := rig.Command{ID: command, Verb: "isolate"}, time.Duration(0)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for isolated := false; !isolated; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return fail(fmt.Errorf("wait for the isolation: %w", ctx.Err()))
		}
		if isolated, err = s.isolated(ctx); err != nil {
			return fail(err)
		}
		took = time.Since(begun)
	}
	rules, err := s.rules.since(begun)
	if err != nil {
		return fail(err)
	}
	to.rules, to.verified = append(to.rules, rules), append(to.verified, took)
	if err := s.ended(ctx, c); err != nil {
		return fail(err)
	}
	if ok, err = s.isolated(ctx); err != nil {
		return fail(err)
	}
	if c, err = s.release(ctx); err != nil {
		return fail(err)
	}
	return ok, s.ended(ctx, c)
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

func (s *desk) release(ctx context.Context) (c rig.Command, err error) {
	in := map[string]any{"verb": "release", "endpoint": s.endpoint, "reason": "bench"}
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
