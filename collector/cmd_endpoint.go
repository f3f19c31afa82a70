package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hozen/collector/internal/act"
	"hozen/collector/internal/localapi"
	"hozen/internal/profile"
)

var errTTL = errors.New("--ttl: want whole seconds")

func mustChange(err error) (error, bool) {
	return err, errors.Is(err, act.ErrMustChangePassword)
}

func (c *cli) endpointCmd() *cobra.Command {
	simple := func(use, short, verb string, n int, in func(args []string) any) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: argsExactly(n), RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.call(cmd.Context(), verb, in(args), nil); err != nil {
				return err
			}
			c.done(verb, "ref", args[0])
			return nil
		}}
	}
	reject := simple("reject CODE", "Turn a waiting PC away", "endpoint.reject", 1, nil)
	revoke := simple("revoke ENDPOINT", "Bar an endpoint for good and cut it off", "endpoint.revoke", 1, nil)
	for cmd, verb := range map[*cobra.Command]string{reject: "endpoint.reject", revoke: "endpoint.revoke"} {
		reason := cmd.Flags().String("reason", "", "why")
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := c.call(cmd.Context(), verb, localapi.Ref{Ref: args[0], Reason: *reason}, nil); err != nil {
				return err
			}
			c.done(verb, "ref", args[0])
			return nil
		}
	}
	return group("endpoint", "PCs and servers: list, approve, revoke, label", c.placeCmd(), c.endpointListCmd(), c.endpointShowCmd(), c.endpointPendingCmd(),
		simple("approve CODE", "Make a waiting PC an endpoint", "endpoint.approve", 1, func(a []string) any { return localapi.Ref{Ref: a[0]} }),
		simple("label ENDPOINT LABEL", "Give an endpoint the name that people use", "endpoint.label", 2, func(a []string) any { return localapi.Label{Ref: a[0], Label: a[1]} }),
		reject, revoke)
}

func (c *cli) endpointListCmd() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List endpoints with their isolation as measured", Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []localapi.Endpoint
			if err := c.call(cmd.Context(), "endpoint.list", nil, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				var rows [][]string
				for _, e := range list {
					rows = append(rows, []string{e.ID, name(e), e.OS, c.presence(e), c.isolationWord(e.Isolation), when(e.LastSeenAt)})
				}
				c.list("endpoint", []string{"endpoint", "name", "os", "presence", "isolation", "last_seen"}, rows)
			})
		}}
}

func (c *cli) endpointShowCmd() *cobra.Command {
	return &cobra.Command{Use: "show ENDPOINT", Short: "Show an endpoint", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var e localapi.Endpoint
			if err := c.call(cmd.Context(), "endpoint.show", localapi.Ref{Ref: args[0]}, &e); err != nil {
				return err
			}
			var boots []localapi.Boot
			if !c.json {
				if err := c.call(cmd.Context(), "endpoint.boots", localapi.Ref{Ref: e.ID}, &boots); err != nil {
					return err
				}
			}
			return c.print(e, func() {
				rows := [][2]string{
					{"endpoint", e.ID}, {"name", name(e)}, {"hostname", e.Hostname}, {"system", strings.TrimSpace(e.OS + "/" + e.Arch + " " + e.Platform)},
					{"agent", e.AgentVersion}, {"presence", c.presence(e)}, {"last_seen", when(e.LastSeenAt)}, {"enrolled", when(e.EnrolledAt)},
					{"clock_offset", (time.Duration(e.ClockOffsetMS) * time.Millisecond).String()}, {"spooled", itoa(e.Spooled)},
				}
				rows = append(rows, c.isolationRows(e.Isolation)...)
				if len(boots) > 0 {
					rows = append(rows, [2]string{"last_end", c.word("boot.verdict.", boots[0].Verdict) + "  " + when(boots[0].EndedBefore)})
				}
				c.fields(rows...)
			})
		}}
}

func (c *cli) endpointPendingCmd() *cobra.Command {
	return &cobra.Command{Use: "pending", Short: "List PCs that wait for approval", Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []localapi.Request
			if err := c.call(cmd.Context(), "endpoint.pending", nil, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				var rows [][]string
				for _, r := range list {
					rows = append(rows, []string{r.Code, r.Hostname, r.OS, r.Platform, r.RemoteAddr, when(r.RequestedAt)})
				}
				c.list("pending", []string{"code", "hostname", "os", "platform", "from", "since"}, rows)
			})
		}}
}

// order is the common part of acquire, isolate and release.
type order struct {
	localapi.Order
	wait    bool
	timeout time.Duration
}

func (c *cli) orderCmd(verb, use, short, long string) (*cobra.Command, *order) {
	o := &order{Order: localapi.Order{Verb: verb}}
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Endpoint = args[0]
			if verb != "acquire" && o.Reason == "" {
				return &usageError{errors.New("--reason is needed: it stays in the record, such as --reason \"ransom note on the screen\"")}
			}
			return c.order(cmd.Context(), *o)
		}}
	f := cmd.Flags()
	f.StringVar(&o.Reason, "reason", "", "why; stays in the record")
	f.StringVar(&o.Incident, "incident", "", "`incident` that it belongs to (default: the newest open one of the endpoint, or a new one)")
	f.BoolVar(&o.wait, "wait", false, "show progress and wait for the measured result")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "with --wait: how long")
	return cmd, o
}

const endpointHelp = "ENDPOINT is an end_… identifier, a label or a host name."

func (c *cli) acquireCmd() *cobra.Command {
	cmd, o := c.orderCmd("acquire", "acquire ENDPOINT", "Order evidence to be taken",
		"Order an endpoint to take evidence. With --wait it ends when the collector has accepted the evidence.\n"+endpointHelp)
	var pid uint32
	var ticks uint64
	f := cmd.Flags()
	f.StringVar(&o.Profile, "profile", profile.Flash, acquireWhat)
	f.Uint32Var(&pid, "pid", 0, "take the memory of the process with this `number` besides what is most volatile (Windows; some seconds): it holds passwords and private data")
	f.Uint64Var(&ticks, "start-ticks", 0, "with --pid: when the process began, as its record in the evidence says; if another one has the `number` by now, no memory is taken")
	order := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case pid == 0 && (f.Changed("pid") || f.Changed("start-ticks")), pid != 0 && f.Changed("profile"):
			return &usageError{errors.New("--pid names a process and goes without --profile; --start-ticks goes with it")}
		case pid != 0:
			o.Profile = profile.ProcessName(pid, ticks)
		}
		return order(cmd, args)
	}
	return cmd
}

// acquireWhat names every profile (a test holds it against the table).
const acquireWhat = "what to take: flash (at most 10s), volatile (some seconds, at most 3m), ransom (some seconds, at most 1m), triage (about a minute, at most 5m) or memory (minutes, at most 1h0m)"

func (c *cli) order(ctx context.Context, o order) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	var cmd localapi.Command
	if err := cl.Call(ctx, "command.order", o.Order, &cmd); err != nil {
		return err
	}
	if !o.wait {
		return c.print(cmd, func() { c.say("order.stored", "command", cmd.ID, "endpoint", o.Endpoint) })
	}
	return c.wait(ctx, cl, cmd.ID, o.Order, o.timeout)
}

func (c *cli) commandCmd() *cobra.Command {
	var in localapi.CommandList
	list := &cobra.Command{Use: "list", Short: "List orders, newest first", Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []localapi.Command
			if err := c.call(cmd.Context(), "command.list", in, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				var rows [][]string
				for _, o := range list {
					rows = append(rows, []string{o.ID, c.word("verb.", o.Verb), c.word("command.status.", o.Status), o.EndpointID, o.Issuer, when(o.IssuedAt), o.Reason})
				}
				c.list("command", []string{"command", "verb", "state", "endpoint", "by", "at", "reason"}, rows)
			})
		}}
	list.Flags().StringVar(&in.Endpoint, "endpoint", "", "only of this `endpoint`")
	list.Flags().StringVar(&in.Incident, "incident", "", "only of this `incident`")
	list.Flags().IntVar(&in.Limit, "limit", 100, "how many")
	var timeout time.Duration
	wait := &cobra.Command{Use: "wait COMMAND", Short: "Wait for the result of an order", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			return c.wait(cmd.Context(), cl, args[0], localapi.Order{}, timeout)
		}}
	wait.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long")
	return group("command", "Orders to endpoints: list, wait, withdraw", list, wait, c.withdrawCmd())
}
