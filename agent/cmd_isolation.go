package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/signin"
	"hozen/internal/releasecode"
)

// askLimit is how long the agent may take to measure, before it is taken for one that
// hangs; reading the rules may take 10 s.
const askLimit = 15 * time.Second

// runIsolation is "hozen-agent isolation status|rescue": how isolated the PC is, for
// anybody; and its way back, for administrators.
func runIsolation(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("isolation", getenv, std)
	var asJSON bool
	c.set.BoolVar(&asJSON, "json", false, "")
	words, code, done := c.parse(args, 1)
	if done {
		return code
	}
	switch {
	case len(words) == 1 && words[0] == "rescue":
		return c.rescue(ctx)
	case len(words) != 1 || words[0] != "status":
		return c.usage(errors.New("want status or rescue"))
	}
	st, err := c.askNetwork(ctx)
	alone, why := err != nil && !errors.Is(err, localapi.ErrRefused), "isolation.alone"
	if alone {
		if !errors.Is(err, localapi.ErrNotRunning) {
			why = "isolation.alone.hangs"
		}
		st, err = c.networkAlone(ctx)
	}
	if alone && !asJSON && errors.Is(err, fs.ErrPermission) {
		c.say(why)
		return c.noticeAlone()
	}
	if err != nil {
		return c.failed(err)
	}
	if asJSON {
		e := json.NewEncoder(std.out)
		e.SetIndent("", "  ")
		if err := e.Encode(st); err != nil {
			return c.failed(err)
		}
	} else {
		if alone {
			c.say(why)
		}
		c.sayNetwork(st, time.Now())
	}
	switch {
	case alone:
		return exitNotRunning
	case st.Observed != st.Desired:
		return exitNotInForce
	}
	return exitOK
}

// noticeAlone says what somebody without rights can see when no agent runs: what people
// are told when they sign in.
func (c *command) noticeAlone() int {
	if text, since := signin.New(noticeBoard("/", c.folder())).Shown(); text != "" {
		c.say("isolation.alone.notice", "since", c.when(since))
		fmt.Fprint(c.std.out, signin.Clean(text))
	} else {
		c.say("isolation.alone.unknown")
	}
	return exitNotRunning
}

// askNetwork asks the running agent.
func (c *command) askNetwork(ctx context.Context) (localapi.NetworkStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	last, err := localapi.Do(ctx, c.socketPath(), localapi.Request{Verb: localapi.VerbIsolation}, nil)
	if err == nil && last.Network == nil {
		err = errors.New("the agent's answer holds nothing")
	}
	if err != nil {
		return localapi.NetworkStatus{}, err
	}
	return *last.Network, nil
}

// sayNetwork writes how isolated the PC is, for people. Unknown is never told as good
// news.
func (c *command) sayNetwork(st localapi.NetworkStatus, now time.Time) {
	if st.Drill {
		c.say("isolation.drill")
	}
	c.say("isolation.is", "state", c.word("isolation.", st.Observed), "age", c.measured(st))
	if st.Detail != "" {
		c.say("status.problem", "problem", clean(st.Detail))
	}
	if st.Desired == string(isolate.Unknown) {
		return
	}
	if e := st.Ended; e != nil && st.Desired != string(isolate.Isolated) {
		c.say("isolation.ended", "how", c.word("isolation.ended.", e.How), "at", c.when(e.At))
		if e.By != "" {
			c.say("isolation.ended_by", "by", clean(e.By))
		}
	}
	if st.Desired != string(isolate.Isolated) {
		return
	}
	c.sayOrder(st)
	c.sayTrials(st.Trials, now)
	c.sayOpen(st)
	for _, l := range st.Limits {
		c.say("isolation.limit", "limit", clean(l))
	}
	c.sayWayBack(st)
}

// sayOrder writes what was ordered and how it ends.
func (c *command) sayOrder(st localapi.NetworkStatus) {
	order := clean(st.CommandID)
	if order == "" {
		order = c.p.Text("isolation.unknown")
	}
	c.say("isolation.order", "order", order, "since", c.when(st.OrderedAt))
	c.say("isolation.mode", "mode", c.word("isolation.mode.", st.Mode))
	if st.RecordLost {
		c.say("isolation.record_lost")
	} else if !st.Persisted {
		c.say("isolation.not_persisted")
	}
	if st.Until.IsZero() {
		c.say("isolation.no_end")
	} else {
		c.say("isolation.until", "at", c.when(st.Until))
	}
	if k := st.Confirmation; k != nil {
		switch {
		case !k.At.IsZero():
			c.say("isolation.confirmed", "at", c.when(k.At))
		case !k.Missed.IsZero():
			c.say("isolation.unconfirmed", "at", c.when(k.Missed))
		default:
			c.say("isolation.confirming."+c.known("isolation.confirming.", k.Fallback), "at", c.when(k.By))
		}
	}
	switch {
	case st.LeaseLapsed:
		c.say("isolation.lapsed", "at", c.when(st.LeaseUntil))
	case !st.LeaseUntil.IsZero():
		c.say("isolation.lease", "at", c.when(st.LeaseUntil))
	}
	held := st.Held
	if held == "" {
		held = "open"
	}
	c.say("isolation.held", "who", c.word("isolation.held.", held))
}

// sayTrials writes what was tried through the rules.
func (c *command) sayTrials(trials []localapi.Trial, now time.Time) {
	if len(trials) == 0 {
		c.say("isolation.trials.none")
		return
	}
	c.say("isolation.trials")
	for _, t := range trials {
		out := "unknown"
		switch t.Outcome {
		case string(isolate.AsOrdered), string(isolate.Contrary):
			out = map[bool]string{true: "cut.", false: "open."}[t.Cut] + t.Outcome
		}
		reason := ""
		if t.Reason != "" {
			reason = c.word("isolation.reason.", t.Reason)
		}
		c.say("isolation.trial", "what", c.trial(t.Name), "outcome", c.p.Text("isolation.outcome."+out), "reason", reason, "age", c.age(now.Sub(t.At)))
	}
}

// trial puts the stable code of a trial into words: "raw4_bypass", "collector".
func (c *command) trial(name string) string {
	base, rest, _ := strings.Cut(name, "_")
	version := ""
	if n := len(base); n > 0 && (base[n-1] == '4' || base[n-1] == '6') {
		base, version = base[:n-1], "IPv"+base[n-1:]
	}
	key := "isolation.trial." + base
	if rest != "" {
		key += "_" + rest
	}
	if !c.p.Has(key) {
		return clean(name)
	}
	return strings.TrimSpace(c.p.Text(key) + " " + version)
}

// sayOpen writes what stays open.
func (c *command) sayOpen(st localapi.NetworkStatus) {
	if len(st.Collectors) > 0 {
		c.say("isolation.open.collector", "addresses", clean(strings.Join(st.Collectors, ", ")))
	}
	if h := st.WayHome; h != nil && h.OK {
		c.say("isolation.way_home", "at", c.when(h.At))
	} else if h != nil {
		c.say("isolation.no_way_home", "at", c.when(h.At), "detail", clean(h.Detail))
	}
	for _, t := range st.Tunnels {
		since := c.p.Text("isolation.unknown")
		if !t.Since.IsZero() {
			since = c.when(t.Since)
		}
		c.say("isolation.open.tunnel", "way", c.carrier(t), "link", clean(t.Link), "why", clean(t.Why), "since", since)
	}
	for _, p := range st.Permits {
		ports := fmt.Sprint(p.First)
		if p.First != p.Last {
			ports += fmt.Sprintf("-%d", p.Last)
		}
		why := strings.Join(slices.DeleteFunc([]string{clean(p.Host), clean(p.Reason)}, func(s string) bool { return s == "" }), ", ")
		c.say("isolation.open.permit", "network", clean(p.Network), "protocol", clean(strings.ToUpper(p.Protocol)), "ports", ports, "why", why, "until", c.when(p.ExpiresAt))
	}
	c.say("isolation.open.rest")
}

// carrier is what carries a tunnel, in words.
func (c *command) carrier(t localapi.OpenTunnel) string {
	name := map[uint8]string{isolate.ProtocolTCP: "TCP", isolate.ProtocolUDP: "UDP"}[t.Protocol]
	if name == "" {
		return c.p.Text("isolation.carrier.ip", "protocol", fmt.Sprint(t.Protocol), "address", clean(t.Address))
	}
	return c.p.Text("isolation.carrier.port", "protocol", name, "address", clean(t.Address), "port", fmt.Sprint(t.Port))
}

// sayWayBack writes what a person can do when the collector is out of reach.
func (c *command) sayWayBack(st localapi.NetworkStatus) {
	if st.Notice != "" {
		c.say("isolation.notice", "text", clean(st.Notice))
	}
	phone := clean(st.Phone)
	if phone != "" {
		c.say("isolation.phone", "phone", phone)
	}
	if st.CodeNumber == "" {
		c.say("isolation.no_code")
		return
	}
	number := releasecode.FormatNumber(clean(st.CodeNumber))
	c.say("isolation.number", "number", number)
	if phone == "" {
		phone = c.p.Text("isolation.somebody")
	}
	c.say("isolation.by_phone", "phone", phone, "number", number)
}

// word is the text of a stable code, or the code itself where it is newer than this
// program.
func (c *command) word(prefix, code string) string {
	if key := prefix + code; code != "" && c.p.Has(key) {
		return c.p.Text(key)
	}
	return c.p.Text("isolation.unknown") + " " + clean(code)
}

// known is code if there is a text for it, else "unknown".
func (c *command) known(prefix, code string) string {
	if code != "" && c.p.Has(prefix+code) {
		return code
	}
	return "unknown"
}

func (c *command) measured(st localapi.NetworkStatus) string {
	if st.MeasuredAt.IsZero() {
		return c.p.Text("isolation.unmeasured")
	}
	return c.age(time.Duration(st.AgeMS) * time.Millisecond)
}

// age puts how long ago something was into words.
func (c *command) age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second: // or in the future, by a clock that was set
		return c.p.Text("isolation.age.now")
	case d < time.Minute:
		return c.p.Text("isolation.age.seconds", "n", fmt.Sprint(int(d/time.Second)))
	case d < time.Hour:
		return c.p.Text("isolation.age.minutes", "n", fmt.Sprint(int(d/time.Minute)))
	case d < 2*day:
		return c.p.Text("isolation.age.hours", "n", fmt.Sprint(int(d/time.Hour)))
	}
	return c.p.Text("isolation.age.days", "n", fmt.Sprint(int(d/day)))
}
