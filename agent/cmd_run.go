package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

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
	path, needed := c.config, true
	if path == "" {
		path, needed = defaultConfig(), false
	}
	cfg, err := config.Load(path, needed)
	if err != nil {
		fmt.Fprintf(std.err, "hozen-agent run: %v\n", err)
		keepClosed(ctx, settings{state: c.folder(), log: newLog(std.err, slog.LevelInfo, asService)}, err)
		return exitUsage
	}
	level, err := cfg.Level()
	if err != nil {
		return c.failed(err)
	}
	if asService && root == "" {
		root = "/"
	}
	set := settings{config: cfg, state: c.folder(), socket: c.socketPath(), managed: asService, root: root, log: newLog(std.err, level, asService)}
	if getenv("GOGC") == "" {
		debug.SetGCPercent(smallHeap)
	}
	a, err := newAgent(set)
	if err != nil {
		keepClosed(ctx, set, err)
		return c.failed(err)
	}
	defer a.close()
	err = osservice.Run(ctx, a.hooks(asService), func(ctx context.Context, ready func()) error {
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
	if err != nil {
		return c.failed(err)
	}
	return exitOK
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
