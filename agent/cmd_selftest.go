package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hozen/agent/internal/localapi"
	"hozen/agent/internal/osservice"
)

// The outcomes of a check, see record.SelfTest.
const (
	checkOK           = "ok"
	checkWarn         = "warn"
	checkBad          = "bad"
	checkUnknown      = "unknown"
	checkNotAvailable = "not_available"
)

// Times of a self-test.
const (
	selfTestLimit = 5 * time.Minute
	// comesBack is how long the agent may take to answer after a rehearsal.
	comesBack = time.Minute
	// goesDown is how long going down may take without an open incident, and with one.
	goesDown     = time.Second
	goesDownOpen = 30 * time.Second
)

// selfTest gathers what came of the checks.
type selfTest struct {
	c         *command
	checks    []localapi.Check
	rehearsal bool
	isolate   bool
}

// runSelfTest is "hozen-agent selftest": it looks at what the promises on this PC rest on,
// rehearses what can be rehearsed, prints a table, and has the agent keep it as evidence.
func runSelfTest(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("selftest", getenv, std)
	var asJSON, noRehearsal, isolate bool
	c.set.BoolVar(&asJSON, "json", false, "")
	c.set.BoolVar(&noRehearsal, "no-rehearsal", false, "")
	c.set.BoolVar(&isolate, "isolate", false, "")
	if _, code, done := c.parse(args, 0); done {
		return code
	}
	if err := c.absolute(); err != nil {
		return c.failed(err)
	}
	ctx, cancel := context.WithTimeout(ctx, selfTestLimit)
	defer cancel()
	t := &selfTest{c: c, rehearsal: !noRehearsal, isolate: isolate}
	t.system(ctx)
	running := t.agent(ctx)
	if running {
		t.capture(ctx)
	} else {
		t.add(localapi.Check{Check: "capture", Outcome: checkUnknown, Detail: "the agent does not answer"})
	}
	t.goDown(ctx)
	t.drill(ctx)
	kept, err := t.keep(ctx)
	if asJSON {
		if err := t.json(kept); err != nil {
			return c.failed(err)
		}
	} else {
		t.print(kept, err)
	}
	if err != nil {
		return c.failed(err)
	}
	if slices.ContainsFunc(t.checks, func(k localapi.Check) bool { return k.Outcome == checkBad }) {
		return exitNotInForce
	}
	return exitOK
}

// add keeps a check, with texts that fit into a request.
func (t *selfTest) add(k localapi.Check) {
	for _, s := range []*string{&k.Want, &k.Got, &k.Detail} {
		*s = clean(strings.ToValidUTF8(*s, "\uFFFD"))
		for len(*s) > localapi.MaxCheckText {
			r := []rune(*s)
			*s = string(r[:min(len(r)-1, localapi.MaxCheckText)])
		}
	}
	if len(t.checks) < localapi.MaxChecks {
		t.checks = append(t.checks, k)
	}
}

// agent asks the running agent, and reports whether it answers.
func (t *selfTest) agent(ctx context.Context) bool {
	s, err := t.c.statusOf(ctx)
	if err != nil {
		t.add(localapi.Check{Check: "agent", Outcome: checkBad, Detail: err.Error()})
		return false
	}
	t.add(localapi.Check{Check: "agent", Outcome: checkOK, Got: s.Version})
	switch {
	case s.EndpointID == "":
		t.add(localapi.Check{Check: "collector", Outcome: checkWarn, Detail: "not enrolled: evidence stays on this PC"})
	case s.Connected:
		t.add(localapi.Check{Check: "collector", Outcome: checkOK, Got: s.Collector})
	default:
		t.add(localapi.Check{Check: "collector", Outcome: checkWarn, Detail: s.Problem})
	}
	k := localapi.Check{Check: "isolation", Outcome: checkOK, Got: s.Isolation.Observed, Detail: s.Isolation.Detail}
	if !s.Isolation.Capable {
		k.Outcome = checkBad
	}
	t.add(k)
	return true
}

// statusOf asks the agent how it is.
func (c *command) statusOf(ctx context.Context) (localapi.Status, error) {
	r, err := localapi.Do(ctx, c.socketPath(), localapi.Request{Verb: localapi.VerbStatus}, nil)
	if err == nil && r.Status == nil {
		err = errors.New("the agent's answer holds nothing")
	}
	if err != nil {
		return localapi.Status{}, err
	}
	return *r.Status, nil
}

// capture takes the evidence of a decision to switch off, without switching off, and
// measures how long that takes.
func (t *selfTest) capture(ctx context.Context) {
	k := localapi.Check{Check: "capture", Outcome: checkOK, Want: "complete"}
	begun := time.Now()
	_, err := localapi.Do(ctx, t.c.socketPath(), localapi.Request{Verb: localapi.VerbPreserve, Then: localapi.ThenNothing, Message: "self-test"}, func(r localapi.Reply) {
		if p := r.Preserve; p != nil && p.Step == localapi.StepSealed {
			k.TookNS, k.Got = int64(time.Since(begun)), p.Outcome
		}
	})
	switch {
	case err != nil:
		k.Outcome, k.Detail = checkBad, err.Error()
	case k.Got == "":
		k.Outcome = checkUnknown
	case k.Got != k.Want:
		k.Outcome = checkWarn // what is missing stands in the manifest
	}
	t.add(k)
}

// goDown rehearses a shutdown, up to the point at which the PC would go down, and has the
// service start again.
func (t *selfTest) goDown(ctx context.Context) {
	if !t.rehearsal {
		t.add(localapi.Check{Check: "rehearsal", Outcome: checkNotAvailable, Detail: "left out as asked"})
		return
	}
	k := localapi.Check{Check: "rehearsal", Outcome: checkOK, Want: "< " + goesDown.String() + " without an open incident, < " + goesDownOpen.String() + " with one"}
	r, err := osservice.Rehearse(ctx)
	k.TookNS = int64(r.Took)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		k.Outcome, k.Detail, k.Want, k.TookNS = checkNotAvailable, "this system has no rehearsal; the service's own checks stand above", "", 0
	case err != nil:
		k.Outcome, k.Detail = checkUnknown, err.Error()
	case r.Took >= goesDownOpen:
		k.Outcome = checkBad
	case r.Took >= goesDown:
		k.Outcome, k.Detail = checkWarn, "longer than it may take without an open incident"
	}
	t.add(k)
	if err == nil {
		t.comeBack(ctx)
	}
}

// comeBack starts the service and waits until it answers.
func (t *selfTest) comeBack(ctx context.Context) {
	k := localapi.Check{Check: "restart", Outcome: checkOK}
	begun := time.Now()
	err := osservice.Start()
	ctx, cancel := context.WithTimeout(ctx, comesBack)
	defer cancel()
	for err == nil {
		if _, serr := t.c.statusOf(ctx); serr == nil {
			break
		}
		again := time.NewTimer(100 * time.Millisecond)
		select {
		case <-again.C:
		case <-ctx.Done():
			err = fmt.Errorf("the agent does not answer after its start: %w", ctx.Err())
		}
		again.Stop()
	}
	k.TookNS = int64(time.Since(begun))
	if err != nil {
		k.Outcome, k.Detail = checkBad, err.Error()
	}
	t.add(k)
}

// drill has the network cut for a minute and waits until it is back.
func (t *selfTest) drill(ctx context.Context) {
	if !t.isolate {
		t.add(localapi.Check{Check: "drill", Outcome: checkNotAvailable, Detail: "it cuts the network for a minute, so it has to be asked for: --isolate"})
		return
	}
	k := localapi.Check{Check: "drill", Outcome: checkOK, Want: "isolated, then released by itself"}
	begun := time.Now()
	r, err := localapi.Do(ctx, t.c.socketPath(), localapi.Request{Verb: localapi.VerbDrill}, nil)
	k.TookNS = int64(time.Since(begun)) // until it was in force, the trials included
	switch n := r.Network; {
	case err != nil:
		k.Outcome, k.Detail = checkBad, err.Error()
	case n == nil || n.Observed != "isolated" || !n.Drill:
		k.Outcome, k.Detail = checkBad, "it did not come into force"
	case n.WayHome == nil || !n.WayHome.OK:
		k.Outcome, k.Detail = checkWarn, "a new connection to the collector could not be made through the rules"
	}
	if r.Network != nil {
		k.Got = r.Network.Observed
	}
	if err == nil {
		k.Got += ", " + t.back(ctx, &k)
	}
	t.add(k)
}

// comesBackAfter is how long a drill may take to end beyond its time.
const comesBackAfter = 30 * time.Second

// back waits until the network is as it was, and says how it is.
func (t *selfTest) back(ctx context.Context, k *localapi.Check) (observed string) {
	ctx, cancel := context.WithTimeout(ctx, drillTime+comesBackAfter)
	defer cancel()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	observed = checkUnknown
	for {
		if r, err := localapi.Do(ctx, t.c.socketPath(), localapi.Request{Verb: localapi.VerbIsolation}, nil); err == nil && r.Network != nil {
			if observed = r.Network.Observed; observed == "released" {
				return observed
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			k.Outcome, k.Detail = checkBad, "the network did not come back by itself; release it: hozen-agent release, or from the collector"
			return observed
		}
	}
}

// keep has the agent sign the results and returns their acquisition.
func (t *selfTest) keep(ctx context.Context) (acquisitionID string, err error) {
	r, err := localapi.Do(ctx, t.c.socketPath(), localapi.Request{Verb: localapi.VerbSelfTest, Checks: t.checks}, nil)
	if err != nil {
		return "", fmt.Errorf("have the results kept: %w", err)
	}
	if r.Preserve == nil {
		return "", errors.New("have the results kept: the agent's answer holds nothing")
	}
	return r.Preserve.AcquisitionID, nil
}

func (t *selfTest) json(acquisitionID string) error {
	e := json.NewEncoder(t.c.std.out)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Format        string           `json:"format"`
		AcquisitionID string           `json:"acquisition_id,omitempty"`
		Checks        []localapi.Check `json:"checks"`
	}{"hozen-agent-selftest/1", acquisitionID, t.checks})
}

// print writes one line for each check. What is not known is never told as good news.
func (t *selfTest) print(acquisitionID string, err error) {
	c := t.c
	for _, k := range t.checks {
		words := []string{}
		if k.Got != "" {
			words = append(words, k.Got)
		}
		if k.TookNS > 0 {
			words = append(words, time.Duration(k.TookNS).Round(time.Millisecond).String())
		}
		if k.Want != "" && k.Outcome != checkOK {
			words = append(words, c.p.Text("selftest.want", "want", k.Want))
		}
		if k.Detail != "" {
			words = append(words, k.Detail)
		}
		name := c.p.Text("selftest.check." + k.Check)
		if doctor, ok := strings.CutPrefix(k.Check, "doctor_"); ok {
			name = doctor
		}
		fmt.Fprintf(c.std.out, "%s  %s  %s\n", c.p.Text("selftest.outcome."+k.Outcome), name, strings.Join(words, " / "))
	}
	if err == nil {
		c.say("selftest.kept", "acquisition", clean(acquisitionID))
	}
}
