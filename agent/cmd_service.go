package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"hozen/agent/internal/osservice"
)

// runService is "hozen-agent service install|uninstall|start|stop|status".
func runService(_ context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("service", getenv, std)
	var asJSON bool
	c.set.BoolVar(&asJSON, "json", false, "")
	words, code, done := c.parse(args, 1)
	if done {
		return code
	}
	if len(words) == 0 {
		return c.usage(fmt.Errorf("want install, uninstall, start, stop or status"))
	}
	var err error
	switch words[0] {
	case "install":
		err = c.install()
	case "uninstall":
		err = osservice.Uninstall()
	case "start":
		err = osservice.Start()
	case "stop":
		err = osservice.Stop()
	case "status":
		st, serr := osservice.Status()
		if serr != nil {
			return c.failed(serr)
		}
		if asJSON {
			if err := json.NewEncoder(std.out).Encode(map[string]string{"state": string(st)}); err != nil {
				return c.failed(err)
			}
		} else {
			c.say("service.state." + string(st))
		}
		if st != osservice.Running {
			return exitNotRunning
		}
		return exitOK
	default:
		return c.usage(fmt.Errorf("%.40q: want install, uninstall, start, stop or status", words[0]))
	}
	if err != nil {
		return c.failed(err)
	}
	c.say("service.done." + words[0])
	return exitOK
}

// install installs the service with the paths of this command line.
func (c *command) install() error {
	if err := c.absolute(); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	arguments := []string{"run", "--service"}
	for _, f := range []struct{ flag, value string }{{"--config", c.config}, {"--state", c.state}, {"--socket", c.socket}} {
		if f.value != "" {
			arguments = append(arguments, f.flag, f.value)
		}
	}
	return osservice.Install(osservice.Config{Executable: exe, Arguments: arguments})
}
