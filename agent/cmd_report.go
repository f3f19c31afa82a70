package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"hozen/agent/internal/localapi"
)

// runReport is "hozen-agent report": the PC's user tells that something is wrong.
func runReport(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("report", getenv, std)
	var asJSON bool
	var wait int
	c.set.BoolVar(&asJSON, "json", false, "")
	c.set.IntVar(&wait, "wait", 15, "")
	words, code, done := c.parse(args, 1)
	if done {
		return code
	}
	if wait < 0 || wait > 60 {
		return c.usage(fmt.Errorf("wait %d: want 0 to 60", wait))
	}
	message, err := c.message(words)
	if err != nil {
		return c.usage(err)
	}
	shown := asJSON
	stored := func(r *localapi.Report) {
		if r == nil || shown {
			return
		}
		shown = true
		c.say("report.stored")
		if !r.Connected {
			c.say("report.offline")
		}
	}
	last, err := localapi.Do(ctx, c.socketPath(), localapi.Request{Verb: localapi.VerbReport, Message: message, WaitSeconds: wait}, func(r localapi.Reply) { stored(r.Report) })
	if err != nil {
		return c.failed(err)
	}
	if last.Report == nil {
		return c.failed(errors.New("the agent's answer holds nothing"))
	}
	stored(last.Report)
	switch {
	case asJSON:
		e := json.NewEncoder(std.out)
		e.SetIndent("", "  ")
		if err := e.Encode(last.Report); err != nil {
			return c.failed(err)
		}
	case last.Report.Delivered:
		c.say("report.delivered", "number", clean(last.Report.IncidentNumber))
	default:
		c.say("report.later")
	}
	return exitOK
}

// message is the word on the command line, or what comes from the standard input.
func (c *command) message(words []string) (string, error) {
	text := ""
	if len(words) == 1 && words[0] != "-" {
		text = words[0]
	} else {
		if isTerminal(c.std.in) {
			fmt.Fprintln(c.std.err, c.p.Text("report.ask"))
		}
		b, err := io.ReadAll(io.LimitReader(c.std.in, localapi.MaxMessage+1))
		if err != nil {
			return "", fmt.Errorf("read message: %w", err)
		}
		text = string(b)
	}
	text = strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD"))
	if text == "" {
		return "", errors.New(c.p.Text("report.empty"))
	}
	if len(text) > localapi.MaxMessage {
		return "", errors.New(c.p.Text("report.long", "limit", fmt.Sprint(localapi.MaxMessage)))
	}
	return text, nil
}
