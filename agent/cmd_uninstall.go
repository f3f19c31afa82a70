package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/osservice"
)

// uninstall takes the service away. An isolated PC is released before, if that is said:
// without its agent nobody could release it, and the rules would be looked after by nobody.
func (c *command) uninstall(ctx context.Context, release bool) int {
	if p, found := osservice.InstalledPaths(); found && c.config == "" && c.state == "" && c.socket == "" {
		c.state, c.socket = p.State, p.Socket // where the agent is that goes away
	}
	if err := c.absolute(); err != nil {
		return c.failed(err)
	}
	log := newLog(c.std.err, slog.LevelWarn, true)
	st, err := c.askNetwork(ctx)
	agent := err == nil
	if !agent { // not running, hanging, or of an earlier version
		st, err = c.networkAlone(ctx)
	}
	switch {
	case err != nil:
		return c.failed(err)
	case !needsRelease(st):
		c.sendRest(ctx)
		code := c.installOrNot(ctx, false, false)
		c.clearNotices(ctx, log)
		return code
	case !release:
		c.sayNetwork(st, time.Now())
		c.say("service.isolated")
		return exitIsolated
	}
	c.say("service.releasing")
	done := false
	if agent {
		done = c.releaseByAgent(ctx)
	} else {
		done = c.releaseItself(ctx, log)
	}
	c.sendRest(ctx)
	code := c.installOrNot(ctx, false, false) // stops the agent, which may hold the rules
	if !done && !c.releaseItself(ctx, log) {
		c.say("service.still_isolated")
		return exitNotInForce
	}
	// What counts is what is in force now, whoever released it.
	if st, err = c.networkAlone(ctx); err != nil || st.Observed != string(isolate.Released) {
		if err == nil {
			c.sayNetwork(st, time.Now())
		}
		c.say("service.still_isolated")
		return exitNotInForce
	}
	c.sayNetwork(st, time.Now())
	c.clearNotices(ctx, log)
	return code
}

// needsRelease reports whether uninstalling would leave rules behind, or may. Where nothing
// was ordered, that the rules cannot be read keeps no agent from going.
func needsRelease(st localapi.NetworkStatus) bool {
	switch {
	case st.Desired == string(isolate.Released):
		return st.Observed != string(isolate.Released) && st.Observed != string(isolate.Unknown)
	case st.Desired == string(isolate.Unknown):
		return st.Capable
	}
	return true
}

// releaseByAgent has the running agent release, which alone can where it holds the rules.
func (c *command) releaseByAgent(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, releaseLimit)
	defer cancel()
	last, err := localapi.Do(ctx, c.socketPath(), localapi.Request{Verb: localapi.VerbUninstall}, nil)
	if err != nil {
		c.failed(err)
		return false
	}
	if last.Release != nil && last.Release.Told {
		c.say("service.released_told")
	} else {
		c.say("service.released_untold")
	}
	return true
}

// releaseItself releases without an agent.
func (c *command) releaseItself(ctx context.Context, log *slog.Logger) bool {
	_, err := c.releaseAlone(ctx, whoRuns(), log)
	if errors.Is(err, isolate.ErrHeld) { // by an agent that does not answer
		c.say("service.held")
		return false
	}
	if err != nil {
		c.failed(err)
		return false
	}
	c.say("service.released_untold")
	return true
}

// whoRuns names the user of this process.
func whoRuns() string {
	who := "uid " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		who = u.Username + " (uid " + u.Uid + ")" // on Windows a SID
	}
	return who + ", pid " + strconv.Itoa(os.Getpid())
}

// clearNotices takes away what people see when they sign in, and tells them.
func (c *command) clearNotices(ctx context.Context, log *slog.Logger) {
	n := newNotices(noticeBoard("/", c.folder()), newPeople(log), log)
	if was, err := n.board.Clear(); err != nil && !errors.Is(err, os.ErrPermission) {
		log.WarnContext(ctx, "what people see when they sign in is left", slog.Any("error", err))
	} else if was != "" { // the agent did not say it
		n.sayOpen(ctx, was, isolate.Notice{})
	}
}
