package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"hozen/agent/internal/config"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/osservice"
)

// doctor is "hozen-agent service doctor": one line for each thing that the promises of
// this PC rest on.
func (c *command) doctor(ctx context.Context, asJSON bool) int {
	conf, err := c.installation()
	if err != nil {
		return c.failed(err)
	}
	if p, ok := osservice.InstalledPaths(); ok && conf.Paths == (osservice.Paths{}) {
		c.config, c.state, c.socket = p.Config, p.State, p.Socket
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	found := osservice.Doctor(ctx, conf)
	none := len(found) == 1 && found[0].ID == string(osservice.NotInstalled)
	if !none {
		found = append(found, c.examine(ctx)...)
	}
	if asJSON {
		err := json.NewEncoder(c.std.out).Encode(struct {
			Format   string              `json:"format"`
			Healthy  bool                `json:"healthy"`
			Findings []osservice.Finding `json:"findings"`
		}{"hozen-agent-doctor/1", osservice.Healthy(found), found})
		if err != nil {
			return c.failed(err)
		}
	} else {
		for _, f := range found {
			if f.ID == "trait" {
				f.Args["what"] = c.p.Text("selftest.check.service_" + f.Args["what"])
			}
			fmt.Fprintf(c.std.out, "%s  %s\n", c.p.Text("service.level."+string(f.Level)), clean(c.p.Text("service.doctor."+f.ID+"."+string(f.Level), f.Words()...)))
		}
		switch {
		case none: // the one line says it all
		case osservice.Healthy(found):
			c.say("service.doctor.healthy")
		default:
			c.say("service.doctor.unhealthy")
		}
	}
	if !osservice.Healthy(found) {
		return exitNotInForce
	}
	return exitOK
}

// agentFindings are the findings of examine; see osservice.Findings.
func agentFindings() map[string][]osservice.Level {
	return map[string][]osservice.Level{
		"agent":        {osservice.OK, osservice.Bad},
		"enrolled":     {osservice.Warn},
		"collector":    {osservice.OK, osservice.Warn},
		"isolate":      {osservice.OK, osservice.Bad},
		"recorder":     {osservice.OK, osservice.Bad, osservice.Dim},
		"recorder_off": {osservice.Warn},
	}
}

// recorderFresh is how old the newest of the flight recorder's entries may be; the
// longest time between two is ten minutes.
const recorderFresh = 11 * time.Minute

// examine asks the running agent.
func (c *command) examine(ctx context.Context) []osservice.Finding {
	var found []osservice.Finding
	say := func(id string, level osservice.Level, name, value string) {
		found = append(found, osservice.Finding{ID: id, Level: level, Args: map[string]string{name: value}})
	}
	reply, err := localapi.Do(ctx, c.socketPath(), localapi.Request{Verb: localapi.VerbStatus}, nil)
	switch s := reply.Status; {
	case err != nil:
		say("agent", osservice.Bad, "reason", err.Error())
	case s == nil:
		say("agent", osservice.Bad, "reason", "the answer is empty")
	default:
		say("agent", osservice.OK, "version", s.Version)
		switch {
		case s.EndpointID == "":
			say("enrolled", osservice.Warn, "endpoint", "")
		case s.Connected:
			say("collector", osservice.OK, "address", s.Collector)
		default:
			say("collector", osservice.Warn, "reason", s.Problem)
		}
		if s.Isolation.Capable {
			say("isolate", osservice.OK, "reason", "")
		} else {
			say("isolate", osservice.Bad, "reason", s.Isolation.Detail)
		}
	}
	return append(found, c.examineRecorder())
}

// examineRecorder looks whether the flight recorder writes, where it is to.
func (c *command) examineRecorder() osservice.Finding {
	dir := filepath.Join(c.folder(), "recorder")
	finding := func(level osservice.Level) osservice.Finding {
		return osservice.Finding{ID: "recorder", Level: level, Args: map[string]string{"path": dir}}
	}
	path := c.config
	if path == "" {
		path = defaultConfig()
	}
	if cfg, err := config.Load(path, false); err == nil && !cfg.Recorder.Enabled {
		return osservice.Finding{ID: "recorder_off", Level: osservice.Warn, Args: map[string]string{"path": path}}
	}
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrPermission) {
		return finding(osservice.Dim)
	}
	for _, f := range files {
		if fi, err := f.Info(); err == nil && fi.Mode().IsRegular() && time.Since(fi.ModTime()) < recorderFresh {
			return finding(osservice.OK)
		}
	}
	return finding(osservice.Bad)
}
