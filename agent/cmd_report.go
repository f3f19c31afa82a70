package main

import (
	"bufio"
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
	var asJSON, ask bool
	var wait int
	c.set.BoolVar(&asJSON, "json", false, "")
	c.set.BoolVar(&ask, "ask", false, "")
	c.set.IntVar(&wait, "wait", 15, "")
	words, code, done := c.parse(args, 1)
	if done {
		return code
	}
	if wait < 0 || wait > 60 {
		return c.usage(fmt.Errorf("wait %d: want 0 to 60", wait))
	}
	if ask && (asJSON || len(words) > 0) {
		return c.usage(errors.New("--ask stands alone"))
	}
	var message string
	var err error
	if ask {
		// A window that opened for this alone must not close before it was read.
		lines := bufio.NewReader(io.LimitReader(c.std.in, 4*localapi.MaxMessage))
		defer func() {
			c.say("report.close")
			_, _ = lines.ReadString('\n')
		}()
		message, err = c.askMessage(lines)
	} else {
		message, err = c.message(words)
	}
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

// askMessage asks a person who just opened a window: what is wrong, and how to be reached.
func (c *command) askMessage(lines *bufio.Reader) (string, error) {
	c.say("report.ask.lead")
	line := func(question string) (string, error) {
		fmt.Fprint(c.std.out, c.p.Text(question)+" ")
		text, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read message: %w", err)
		}
		return strings.TrimSpace(text), nil
	}
	what, err := line("report.ask.what")
	if what == "" && err == nil { // Enter by mistake
		what, err = line("report.ask.what")
	}
	if what == "" || err != nil {
		return c.checked(what, err)
	}
	who, err := line("report.ask.who")
	if who != "" {
		what += "\n" + who
	}
	return c.checked(what, err)
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
	return c.checked(text, nil)
}

// checked is what somebody wrote, unless it is nothing or too much.
func (c *command) checked(text string, err error) (string, error) {
	if err != nil {
		return "", err
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
