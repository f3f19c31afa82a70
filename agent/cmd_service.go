package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"hozen/agent/internal/osservice"
)

const serviceVerbs = "want install, uninstall, clear, start, stop, status or doctor"

// runService is "hozen-agent service install|uninstall|clear|start|stop|status|doctor".
func runService(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("service", getenv, std)
	var asJSON, keepDisabled, release, everything bool
	c.set.BoolVar(&asJSON, "json", false, "")
	c.set.BoolVar(&release, "release", false, "")
	c.set.BoolVar(&everything, "everything", false, "")
	c.set.BoolVar(&keepDisabled, "keep-disabled", false, "")
	words, code, done := c.parse(args, 1)
	if done {
		return code
	}
	if len(words) == 0 {
		return c.usage(errors.New(serviceVerbs))
	}
	var err error
	switch words[0] {
	case "install":
		return c.installOrNot(ctx, true, keepDisabled)
	case "uninstall":
		return c.uninstall(ctx, release)
	case "clear":
		return c.clear(ctx, everything)
	case "start":
		err = osservice.Start()
	case "stop":
		err = osservice.Stop()
	case "status":
		return c.serviceStatus(asJSON)
	case "doctor":
		return c.doctor(ctx, asJSON)
	default:
		return c.usage(fmt.Errorf("%.40q: %s", words[0], serviceVerbs))
	}
	if err != nil {
		return c.failed(err)
	}
	c.say("service.done." + words[0])
	return exitOK
}

func (c *command) serviceStatus(asJSON bool) int {
	st, err := osservice.Status()
	if err != nil {
		return c.failed(err)
	}
	if asJSON {
		if err := json.NewEncoder(c.std.out).Encode(map[string]string{"state": string(st)}); err != nil {
			return c.failed(err)
		}
	} else {
		c.say("service.state." + string(st))
	}
	if st != osservice.Running {
		return exitNotRunning
	}
	return exitOK
}

// installation is the service with the paths of this command line.
func (c *command) installation() (osservice.Config, error) {
	if err := c.absolute(); err != nil {
		return osservice.Config{}, err
	}
	exe, err := os.Executable()
	if err != nil {
		return osservice.Config{}, fmt.Errorf("find own program: %w", err)
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return osservice.Config{}, fmt.Errorf("find own program: %w", err)
	}
	return osservice.Config{Executable: exe, Paths: osservice.Paths{Config: c.config, State: c.state, Socket: c.socket}}, nil
}

// installOrNot installs or uninstalls, and says what that changed, also when it failed
// half-way.
func (c *command) installOrNot(ctx context.Context, yes, keepDisabled bool) int {
	conf, err := c.installation()
	if err != nil {
		return c.failed(err)
	}
	conf.KeepDisabled = keepDisabled
	act, done := osservice.Uninstall, "uninstall"
	if yes {
		act, done = osservice.Install, "install"
	}
	changes, err := act(ctx, conf)
	changed := false
	for _, ch := range changes {
		if ch.What != osservice.Offline {
			c.say("service.changed."+string(ch.What), "path", ch.Path)
		}
		changed = changed || ch.What != osservice.Packaged && ch.What != osservice.Offline
	}
	if err != nil {
		return c.failed(err)
	}
	for _, ch := range changes {
		if ch.What == osservice.Offline {
			c.say("service.changed.offline")
		}
	}
	if !changed && len(changes) == 0 {
		done += ".same"
	}
	c.say("service.done." + done)
	return exitOK
}
