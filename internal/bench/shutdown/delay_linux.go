package shutdown

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"hozen/internal/bench"
	"hozen/internal/bench/program"
	"hozen/internal/e2e/rig"
)

// wrapper starts a program that finds our bus where the system's is. Only its own mount
// namespace is changed; what runs after exec is the same process. Nobody is signed in
// there, so that nobody's terminal is written to.
const wrapper = `#!/bin/sh
exec unshare --mount --propagation private sh -c 'mount -t tmpfs tmpfs /run && mkdir /run/dbus && ln -s "$0" /run/dbus/system_bus_socket && exec "$@"' %s %s "$@"
`

// Delay has the shipped agent go down with its PC again and again, enrolled with a
// collector and connected: first while there is no incident, then with an open one, for
// which the agent also waits until the collector has everything. Beside it run the 300
// processes and 500 sockets of the scene, in the namespaces of the caller. The delay is
// what the login service sees: from its signal until the lock is let go. It needs root,
// Go, and to be called inside the module.
func Delay(ctx context.Context, c Config) (err error) {
	rounds := 100
	if c.Quick {
		rounds = 10
	}
	s, err := newService(ctx, c.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	bin, err := program.Build(ctx, c.Dir, measuring)
	if err != nil {
		return err
	}
	scene := filepath.Join(c.Dir, "scene")
	if err := os.Mkdir(scene, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	p, err := start(ctx, c.Note, bin, "scene", "-dir", scene)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	if err := json.NewDecoder(p.out).Decode(&struct{}{}); err != nil {
		return fmt.Errorf("hear of the scene: %w", err)
	}
	n := rig.NewNursery()
	defer func() { err = errors.Join(err, n.Close()) }()
	a, err := shipped(ctx, n, c, s)
	if err != nil {
		return err
	}
	delays, err := a.delays(ctx, s, rounds, false)
	if err != nil {
		return err
	}
	percentiles(c.Print, "shutdown.delay", delays, bench.AtMost(delayBar))
	if _, err := a.Report(ctx, "It is slow"); err != nil {
		return err
	}
	if err := rig.Until(ctx, "the agent to know of the incident", a.knowsIncident, a.Proc); err != nil {
		return err
	}
	if err := rig.Until(ctx, "the incident's first evidence", a.delivered, a.Proc); err != nil {
		return err
	}
	if delays, err = a.delays(ctx, s, rounds, true); err != nil {
		return err
	}
	percentiles(c.Print, "shutdown.delay.incident", delays, bench.Bar{})
	return nil
}

// agent is an agent that runs with our login service.
type agent struct{ *rig.Agent }

// shipped enrols the agent and starts it.
func shipped(ctx context.Context, n *rig.Nursery, c Config, s *service) (*agent, error) {
	programs := rig.In(c.Bin)
	real, err := filepath.Abs(programs.Agent)
	if err != nil {
		return nil, err
	}
	wrapped := filepath.Join(c.Dir, "hozen-agent")
	if err := os.WriteFile(wrapped, fmt.Appendf(nil, wrapper, strconv.Quote(s.bus.Socket()), strconv.Quote(real)), 0o700); err != nil {
		return nil, fmt.Errorf("write wrapper: %w", err)
	}
	col, err := n.Init(ctx, rig.CollectorConfig{Program: programs.Collector, Dir: filepath.Join(c.Dir, "collector"), Log: filepath.Join(c.Dir, "collector.log")})
	if err != nil {
		return nil, err
	}
	if err := col.Serve(ctx); err != nil {
		return nil, err
	}
	token, err := col.Token(ctx, 1)
	if err != nil {
		return nil, err
	}
	a, err := n.Agent(rig.AgentConfig{Program: wrapped, Dir: filepath.Join(c.Dir, "agent"), Log: filepath.Join(c.Dir, "agent.log")})
	if err != nil {
		return nil, err
	}
	if err := a.Enroll(ctx, token); err != nil {
		return nil, err
	}
	if err := a.Run(ctx); err != nil {
		return nil, err
	}
	return &agent{a}, rig.Until(ctx, "the agent's connection", func() (bool, error) {
		list, err := col.Endpoints(ctx)
		return len(list) == 1 && list[0].Online, err
	}, a.Proc)
}

// lastDown is what the agent keeps of the shutdown, as far as it matters here.
type lastDown struct {
	AcquisitionID string    `json:"acquisition_id"`
	IncidentOpen  bool      `json:"incident_open"`
	SealedAt      *struct{} `json:"sealed_at"`
	AddedDelayNS  int64     `json:"added_delay_ns"`
	EndedAt       *struct{} `json:"ended_at"`
}

func parseDown(b []byte) (*lastDown, error) {
	var state struct {
		Down *lastDown `json:"down"`
	}
	if err := json.Unmarshal(b, &state); err != nil {
		return nil, fmt.Errorf("read what the agent keeps: %w", err)
	}
	return state.Down, nil
}

// delays returns how long the PC was held in each of some shutdowns.
func (a *agent) delays(ctx context.Context, s *service, rounds int, incident bool) (delays []time.Duration, err error) {
	seen := ""
	for range rounds {
		went, _, err := s.down(ctx)
		if err != nil {
			return nil, err
		}
		var d *lastDown
		if err := rig.Until(ctx, "the agent's word of a shutdown", func() (bool, error) {
			b, err := os.ReadFile(filepath.Join(a.Dir, "power", "shutdown.json"))
			if err == nil {
				d, err = parseDown(b)
			}
			return d != nil && d.EndedAt != nil && d.AddedDelayNS > 0 && d.AcquisitionID != seen, err
		}, a.Proc); err != nil {
			return nil, err
		}
		seen = d.AcquisitionID
		took := went.Released.Sub(went.Sent)
		if d.SealedAt == nil || d.IncidentOpen != incident {
			return nil, fmt.Errorf("the login service saw %s, the agent keeps %+v", took, *d)
		}
		delays = append(delays, took)
		if err := rig.Until(ctx, "the evidence to be delivered", a.delivered, a.Proc); err != nil {
			return nil, err
		}
	}
	return delays, nil
}

// knowsIncident reports whether the agent was told of an open incident.
func (a *agent) knowsIncident() (bool, error) {
	b, err := os.ReadFile(filepath.Join(a.Dir, "power", "attention.json"))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return bytes.Contains(bytes.ReplaceAll(b, []byte(" "), nil), []byte(`"incident_open":true`)), err
}

// delivered reports whether the collector has all evidence: a PC does not go down with
// that of the shutdown before.
func (a *agent) delivered() (bool, error) {
	done := true
	list, err := filepath.Glob(filepath.Join(a.Dir, "spool", "acq_*"))
	for _, dir := range list {
		_, err := os.Stat(filepath.Join(dir, "receipt.json"))
		done = done && err == nil
	}
	return done, err
}
