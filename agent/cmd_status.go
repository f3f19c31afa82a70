package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"hozen/agent/internal/localapi"
)

// runStatus is "hozen-agent status": how the running agent is.
func runStatus(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("status", getenv, std)
	var asJSON bool
	c.set.BoolVar(&asJSON, "json", false, "")
	if _, code, done := c.parse(args, 0); done {
		return code
	}
	last, err := localapi.Do(ctx, c.socketPath(), localapi.Request{Verb: localapi.VerbStatus}, nil)
	if err == nil && last.Status == nil {
		err = errors.New("the agent's answer holds nothing")
	}
	if err != nil {
		return c.failed(err)
	}
	if asJSON {
		e := json.NewEncoder(std.out)
		e.SetIndent("", "  ")
		if err := e.Encode(last.Status); err != nil {
			return c.failed(err)
		}
		return exitOK
	}
	c.print(*last.Status)
	return exitOK
}

// print writes the status for people. Unknown is never told as good news.
func (c *command) print(s localapi.Status) {
	c.say("status.version", "version", clean(s.Version), "since", c.when(s.StartedAt))
	if s.EndpointID == "" {
		c.say("status.not_enrolled")
	} else {
		c.say("status.endpoint", "endpoint", clean(s.EndpointID), "expires", c.when(s.CertificateExpires))
	}
	if s.Connected {
		c.say("status.connected", "address", clean(s.Collector), "last", c.when(s.LastContact))
	} else {
		c.say("status.disconnected", "last", c.when(s.LastContact))
		if s.Problem != "" {
			c.say("status.problem", "problem", clean(s.Problem))
		}
	}
	state := s.Isolation.Observed
	switch state {
	case "released", "isolating", "isolated", "releasing", "failed":
	default:
		state = "unknown"
	}
	if !s.Isolation.Capable {
		c.say("status.incapable", "detail", clean(s.Isolation.Detail))
	} else {
		c.say("status.isolation", "state", c.p.Text("isolation."+state), "at", c.when(s.Isolation.MeasuredAt))
		if s.Isolation.Detail != "" {
			c.say("status.problem", "problem", clean(s.Isolation.Detail))
		}
	}
	c.say("status.spool", "waiting", fmt.Sprint(s.Spool.Waiting), "received", fmt.Sprint(s.Spool.Received), "refused", fmt.Sprint(s.Spool.Refused),
		"used", megabytes(s.Spool.UsedBytes), "max", megabytes(s.Spool.MaxBytes))
	if !s.Spool.Encrypted {
		c.say("status.clear")
	}
	if s.Spool.Full {
		c.say("status.full")
	}
	if s.Spool.Unsealed {
		c.say("status.unsealed")
	}
	c.ledger(s.Ledger)
	if s.UnsentAlerts+s.UnsentResults+s.UnfinishedCommands > 0 {
		c.say("status.unsent", "alerts", fmt.Sprint(s.UnsentAlerts), "results", fmt.Sprint(s.UnsentResults), "commands", fmt.Sprint(s.UnfinishedCommands))
	}
}

// conflictsShown bounds the lines; --json has all.
const conflictsShown = 3

// ledger prints what this PC saw of the custody ledger, conflicts first of all.
func (c *command) ledger(l *localapi.Ledger) {
	if l == nil {
		return
	}
	c.say("status.ledger", "size", fmt.Sprint(l.Size))
	if len(l.Conflicts) == 0 {
		return
	}
	c.say("status.conflicts", "count", fmt.Sprint(len(l.Conflicts)))
	for _, x := range l.Conflicts[max(0, len(l.Conflicts)-conflictsShown):] {
		kind := x.Kind
		switch kind {
		case "shorter", "rewritten", "other_key", "other_origin", "bad_note":
		default:
			kind = "unknown"
		}
		told := "status.conflict_untold"
		if x.Told {
			told = "status.conflict_told"
		}
		c.say("status.conflict", "at", c.when(x.At), "kind", c.p.Text("conflict."+kind), "told", c.p.Text(told))
		if x.Detail != "" {
			c.say("status.problem", "problem", clean(x.Detail))
		}
	}
}

func (c *command) when(t time.Time) string {
	if t.IsZero() {
		return c.p.Text("status.never")
	}
	return t.Local().Format("2006-01-02 15:04:05 -07:00")
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
