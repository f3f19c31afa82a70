package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/localapi"
	"hozen/internal/releasecode"
)

const (
	// releaseLimit is how long the agent may take to release: it may have to end an order
	// first that is being carried out.
	releaseLimit = 2 * time.Minute
	// slips is how often a code that cannot be one may be typed again.
	slips = 5
	// longestLine bounds what is read for a code, in bytes.
	longestLine = 1 << 10
)

// runRelease is "hozen-agent release": somebody at the PC gives its network back by the
// code that was read out to them. The code is never on the command line, which every user
// of the PC can see.
func runRelease(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("release", getenv, std)
	for _, a := range args {
		if n, err := releasecode.Check(strings.TrimLeft(strings.TrimPrefix(strings.TrimLeft(a, "-"), "code"), "=")); err == nil && n != "" || strings.HasPrefix(strings.TrimLeft(a, "-"), "code=") {
			return c.usage(errors.New(c.p.Text("release.no_argument"))) // without saying it again
		}
	}
	var byCode bool // the only way there is
	c.set.BoolVar(&byCode, "code", true, "")
	if words, code, done := c.parse(args, 4); done {
		return code
	} else if len(words) > 0 {
		return c.usage(errors.New(c.p.Text("release.no_argument")))
	}
	before, err := c.askNetwork(ctx)
	if err != nil {
		return c.failed(err)
	}
	if before.Desired != string(isolate.Isolated) || before.CodeNumber == "" {
		c.sayNetwork(before, time.Now())
		return c.notReleased(localapi.Reply{Code: localapi.CodeNoCode})
	}
	asks := isTerminal(std.in)
	if asks {
		c.sayWayBack(before)
	}
	lines := bufio.NewReader(io.LimitReader(std.in, slips*longestLine))
	code, err := c.askCode(lines, asks)
	if err != nil {
		return c.usage(err)
	}
	ctx, cancel := context.WithTimeout(ctx, releaseLimit)
	defer cancel()
	last, err := localapi.Do(ctx, c.socketPath(), localapi.Request{Verb: localapi.VerbRelease, Code: string(code)}, nil)
	switch {
	case errors.Is(err, localapi.ErrRefused) && last.Code != localapi.CodeInternal:
		return c.notReleased(last)
	case err != nil:
		code := c.failed(err)
		if last.Network == nil {
			return code
		}
		c.sayNetwork(*last.Network, time.Now())
		return exitNotInForce // it was tried, and something of ours is still in force
	case last.Network == nil:
		return c.failed(errors.New("the agent's answer holds nothing"))
	}
	c.say("release.done")
	c.sayNetwork(*last.Network, time.Now())
	return exitOK
}

// askCode reads a code. A slip costs no try: it is noticed here, and at a terminal it may
// be put right.
func (c *command) askCode(lines *bufio.Reader, asks bool) (releasecode.Code, error) {
	for try := 1; ; try++ {
		if asks {
			fmt.Fprint(c.std.out, c.p.Text("release.ask"), " ")
		}
		line, err := lines.ReadString('\n')
		if line == "" && err != nil {
			return "", errors.New(c.p.Text("release.empty"))
		}
		code, cerr := releasecode.Check(line)
		if cerr == nil {
			return code, nil
		}
		why := c.slip(cerr)
		if !asks || try == slips || err != nil {
			return "", errors.New(why)
		}
		fmt.Fprintln(c.std.out, why)
	}
}

// slip says where a code was mistyped.
func (c *command) slip(err error) string {
	var g *releasecode.GroupError
	switch {
	case errors.As(err, &g):
		return c.p.Text("release.group", "group", fmt.Sprint(g.Group))
	case errors.Is(err, releasecode.ErrLength):
		return c.p.Text("release.length", "groups", fmt.Sprint(releasecode.Groups), "digits", fmt.Sprint(releasecode.GroupLen))
	}
	return c.p.Text("release.digits")
}

// notReleased says why nothing was released, and what to do.
func (c *command) notReleased(r localapi.Reply) int {
	why := r.Error
	switch r.Code {
	case localapi.CodeNoCode:
		why = c.p.Text("release.none")
	case localapi.CodeWrong:
		why = c.p.Text("release.wrong")
	case localapi.CodeMistyped:
		why = c.p.Text("release.digits")
		if r.Release != nil && r.Release.Group > 0 {
			why = c.p.Text("release.group", "group", fmt.Sprint(r.Release.Group))
		}
	case localapi.CodeTooMany:
		why = c.p.Text("release.too_fast")
		if r.Release != nil && r.Release.RetryAfterSeconds > 0 {
			why = c.p.Text("release.too_many", "wait", c.lasts(time.Duration(r.Release.RetryAfterSeconds)*time.Second))
		}
	case localapi.CodeUnable:
		why = c.p.Text("release.unable")
	}
	fmt.Fprintf(c.std.err, "hozen-agent %s: %s\n", c.name, clean(why))
	return exitNotAccepted
}

// lasts puts a duration into words, rounded up: whoever waits that long has waited enough.
func (c *command) lasts(d time.Duration) string {
	switch {
	case d <= 2*time.Minute:
		return c.p.Text("release.lasts.seconds", "n", fmt.Sprint(int((d+time.Second-1)/time.Second)))
	case d <= 2*time.Hour:
		return c.p.Text("release.lasts.minutes", "n", fmt.Sprint(int((d+time.Minute-1)/time.Minute)))
	}
	return c.p.Text("release.lasts.hours", "n", fmt.Sprint(int((d+time.Hour-1)/time.Hour)))
}
