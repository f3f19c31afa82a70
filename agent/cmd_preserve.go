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

// runPreserve is "hozen-agent preserve": keep the evidence, then switch the PC off if
// so asked. It works without network, because the agent keeps what is not delivered.
func runPreserve(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("preserve", getenv, std)
	var o preserveOptions
	c.set.BoolVar(&o.powerOff, "poweroff", false, "")
	c.set.BoolVar(&o.reboot, "reboot", false, "")
	c.set.BoolVar(&o.yes, "yes", false, "")
	c.set.BoolVar(&o.json, "json", false, "")
	c.set.StringVar(&o.reason, "reason", "", "")
	c.set.IntVar(&o.wait, "wait", 30, "")
	if _, code, done := c.parse(args, 0); done {
		return code
	}
	if err := o.check(c); err != nil {
		return c.usage(err)
	}
	var shown []string
	if o.then() != localapi.ThenNothing {
		g, err := c.gate(ctx)
		if err != nil {
			return c.failed(err)
		}
		if !g.MayPowerOff {
			return c.failed(fmt.Errorf("%w: %w", localapi.ErrRefused, localapi.ErrDenied))
		}
		if !o.json {
			c.sayGate(g)
		}
		if agreed, err := c.agree(&o); err != nil {
			return c.usage(err)
		} else if !agreed {
			c.say("preserve.cancelled")
			return exitOK
		}
		shown = g.Losses
	}
	r := localapi.Request{Verb: localapi.VerbPreserve, Then: o.then(), Message: o.reason, Shown: shown, WaitSeconds: o.wait}
	last, err := localapi.Do(ctx, c.socketPath(), r, func(r localapi.Reply) {
		if r.Preserve != nil && !o.json {
			c.sayStep(*r.Preserve, o.then())
		}
	})
	if err != nil {
		return c.failed(err)
	}
	if o.json {
		e := json.NewEncoder(std.out)
		e.SetIndent("", "  ")
		if err := e.Encode(last.Preserve); err != nil {
			return c.failed(err)
		}
	}
	return exitOK
}

type preserveOptions struct {
	powerOff, reboot, yes, json bool
	reason                      string
	wait                        int
}

func (o *preserveOptions) then() string {
	switch {
	case o.powerOff:
		return localapi.ThenPowerOff
	case o.reboot:
		return localapi.ThenReboot
	}
	return localapi.ThenNothing
}

func (o *preserveOptions) check(c *command) error {
	o.reason = strings.TrimSpace(strings.ToValidUTF8(o.reason, "\uFFFD"))
	switch {
	case o.powerOff && o.reboot:
		return errors.New(c.p.Text("preserve.one"))
	case o.wait < 0 || o.wait > 60:
		return fmt.Errorf("wait %d: want 0 to 60", o.wait)
	case len(o.reason) > localapi.MaxMessage:
		return errors.New(c.p.Text("report.long", "limit", fmt.Sprint(localapi.MaxMessage)))
	case o.then() != localapi.ThenNothing && o.reason == "" && (o.yes || o.json || !isTerminal(c.std.in)):
		return errors.New(c.p.Text("preserve.want_reason"))
	case o.then() != localapi.ThenNothing && o.json && !o.yes:
		return errors.New(c.p.Text("preserve.want_yes"))
	}
	return nil
}

func (c *command) gate(ctx context.Context) (localapi.Gate, error) {
	last, err := localapi.Do(ctx, c.socketPath(), localapi.Request{Verb: localapi.VerbGate}, nil)
	if err != nil {
		return localapi.Gate{}, err
	}
	if last.Gate == nil {
		return localapi.Gate{}, errors.New("the agent's answer holds nothing")
	}
	return *last.Gate, nil
}

// sayGate tells what is lost before anybody says yes.
func (c *command) sayGate(g localapi.Gate) {
	count := func(n int) string {
		if n < 0 {
			return c.p.Text("preserve.count_unknown")
		}
		return fmt.Sprint(n)
	}
	c.say("preserve.gate")
	for _, code := range g.Losses {
		c.say("preserve.loss."+code, "processes", count(g.Processes), "connections", count(g.Connections), "sessions", count(g.Sessions),
			"unsent", fmt.Sprint(g.UnsentAcquisitions))
	}
	if !g.Isolated {
		c.say("preserve.not_isolated")
	}
	if !g.Connected {
		c.say("preserve.offline")
	}
}

// agree asks for the reason and a yes, unless both were given.
func (c *command) agree(o *preserveOptions) (bool, error) {
	if o.yes {
		return true, nil
	}
	if !isTerminal(c.std.in) {
		return false, errors.New(c.p.Text("preserve.want_yes"))
	}
	lines := bufio.NewReader(io.LimitReader(c.std.in, localapi.MaxMessage+16))
	ask := func(key string) (string, error) {
		fmt.Fprint(c.std.out, c.p.Text(key), " ")
		s, err := lines.ReadString('\n')
		if err != nil && s == "" {
			return "", nil // the end of the input is a no
		}
		return strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD")), nil
	}
	if o.reason == "" {
		reason, err := ask("preserve.ask_reason")
		if err != nil || reason == "" {
			return false, err
		}
		o.reason = reason
	}
	answer, err := ask("preserve.ask_yes." + o.then())
	if err != nil {
		return false, err
	}
	switch strings.ToLower(answer) {
	case "yes", "y", "はい":
		return true, nil
	}
	return false, nil
}

// sayStep tells how far the order has come.
func (c *command) sayStep(p localapi.Preserve, then string) {
	switch p.Step {
	case localapi.StepAcquiring:
		if p.Done == 0 {
			c.say("preserve.acquiring")
		}
	case localapi.StepSealed:
		c.say("preserve.sealed", "acquisition", clean(p.AcquisitionID), "outcome", c.p.Text("outcome."+clean(p.Outcome)))
	case localapi.StepDelivered, localapi.StepKept:
		c.say("preserve." + p.Step)
	case localapi.StepGoingDown:
		c.say("preserve.going_down." + then)
	case localapi.StepDone:
		c.say("preserve.done")
	}
}
