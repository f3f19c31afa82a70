package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"hozen/agent/internal/config"
	"hozen/agent/internal/osservice"
)

// smallHeap makes garbage go when it is half of what is in use: the agent lives for weeks
// on PCs that have other work, and does little but now and then.
const smallHeap = 50

// runRun is "hozen-agent run": the agent itself, in the foreground or as a service.
func runRun(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("run", getenv, std)
	var asService bool
	var root string
	c.set.BoolVar(&asService, "service", false, "")
	c.set.StringVar(&root, "root", "", "")
	if _, code, done := c.parse(args, 0); done {
		return code
	}
	if err := c.absolute(); err != nil {
		return c.failed(err)
	}
	if asService && root == "" {
		root = "/"
	}
	if getenv("GOGC") == "" {
		debug.SetGCPercent(smallHeap)
	}
	early := newLog(std.err, slog.LevelInfo, asService)
	var current atomic.Pointer[agent]
	// All is read and built inside: a service manager that hears nothing for half a minute
	// takes the service for dead, and a slow disk may need longer.
	err := osservice.Run(ctx, hooks(&current, early, asService), func(ctx context.Context, ready func()) error {
		a, err := c.build(ctx, early, asService, root)
		if err != nil {
			return err
		}
		defer a.close()
		current.Store(a)
		return a.run(ctx, func() {
			ready()
			if !asService {
				fmt.Fprintln(std.err, c.p.Text("run.ready", "socket", c.socketPath()))
				if _, err := a.identity.Enrolment(); err != nil {
					fmt.Fprintln(std.err, c.p.Text("hint.not_enrolled"))
				}
			}
		})
	})
	if err == nil {
		return exitOK
	}
	if errors.As(err, new(badConfig)) {
		fmt.Fprintf(std.err, "hozen-agent run: %v\n", err)
		return exitUsage
	}
	return c.failed(err)
}

// badConfig is a configuration that cannot be used.
type badConfig struct{ error }

// build reads the configuration and makes the agent. An ordered isolation is put in force
// also where that fails.
func (c *command) build(ctx context.Context, early *slog.Logger, asService bool, root string) (*agent, error) {
	set := settings{state: c.folder(), socket: c.socketPath(), managed: asService, root: root, log: early}
	a, err := c.agent(set)
	if err != nil {
		keepClosed(ctx, set, err)
	}
	return a, err
}

func (c *command) agent(set settings) (*agent, error) {
	aside, err := guardState(set.state)
	for _, path := range aside {
		set.log.Error("something that another account had made in the agent's place was moved away", slog.String("to", path))
	}
	if err != nil {
		return nil, err
	}
	path, needed := c.config, true
	if path == "" {
		path, needed = defaultConfig(), false
	}
	if set.config, err = config.Load(path, needed); err != nil {
		return nil, badConfig{err}
	}
	level, err := set.config.Level()
	if err != nil {
		return nil, err
	}
	set.log = newLog(c.std.err, level, set.managed)
	return newAgent(set)
}

// newLog writes for people in the foreground. Under a service manager the time is left
// out: the journal has its own, and so has the log of Windows.
func newLog(w io.Writer, level slog.Level, asService bool) *slog.Logger {
	if h := systemLog(level, asService); h != nil {
		return slog.New(h)
	}
	o := &slog.HandlerOptions{Level: level}
	if asService {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(w, o))
}
