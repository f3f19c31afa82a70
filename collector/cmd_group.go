package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hozen/collector/internal/localapi"
)

func (c *cli) groupCmd() *cobra.Command {
	return group("group", "Isolate or release many endpoints at once",
		c.groupOrderCmd("isolate", "Take evidence on many endpoints, then cut them all together",
			"Select endpoints, see what would break, and isolate them together: evidence is taken on all\n"+
				"of them first, for at most 15 seconds. Who is away is cut when it comes back.\n"+selectHelp),
		c.groupOrderCmd("release", "Give the network back to many endpoints", "Select endpoints and release them all.\n"+selectHelp),
		c.groupOrderCmd("drill", "Cut many endpoints for a minute, as a drill",
			"Cut the selected endpoints for one minute and give the network back by itself. What is isolated\n"+
				"in earnest and who is away is left out. Everything about it is marked as a drill.\n"+selectHelp),
		&cobra.Command{Use: "list", Short: "List orders to groups, newest first", Args: argsExactly(0), RunE: func(cmd *cobra.Command, _ []string) error {
			var list []localapi.Group
			if err := c.call(cmd.Context(), "group.list", localapi.None{}, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				var rows [][]string
				for _, g := range list {
					rows = append(rows, []string{g.ID, c.word("verb.", g.Verb), c.sentence("group.phase." + g.Phase), g.Issuer, when(g.IssuedAt), g.Reason})
				}
				c.list("group", []string{"group", "verb", "state", "by", "at", "reason"}, rows)
			})
		}},
		&cobra.Command{Use: "show GROUP", Short: "Show how far every endpoint of a group is", Args: argsExactly(1), RunE: func(cmd *cobra.Command, args []string) error {
			var g localapi.Group
			if err := c.call(cmd.Context(), "group.show", localapi.Ref{Ref: args[0]}, &g); err != nil {
				return err
			}
			return c.print(g, func() { c.printGroup(g) })
		}})
}

const selectHelp = "Endpoints are selected by --all, --incident, --site, --tag or --name; each adds to the others."

type groupFlags struct {
	localapi.GroupOrder
	names string
	yes   bool
}

func (c *cli) groupOrderCmd(verb, short, long string) *cobra.Command {
	in := &groupFlags{}
	in.Order.Verb = verb
	cmd := &cobra.Command{Use: verb + " --reason TEXT [--all] [--site SITE] [--name NAME]…", Short: short, Long: long, Args: argsExactly(0)}
	f := cmd.Flags()
	f.StringVar(&in.Order.Reason, "reason", "", "why; stays in the record")
	f.StringVar(&in.Order.Incident, "of-incident", "", "`incident` that the orders belong to (default: a new one)")
	f.BoolVar(&in.Select.All, "all", false, "every endpoint")
	f.StringVar(&in.Select.IncidentID, "incident", "", "the endpoints of this `incident`")
	f.StringVar(&in.Select.Site, "site", "", "the endpoints of this site")
	f.StringVar(&in.Select.Tag, "tag", "", "the endpoints with this tag")
	f.StringArrayVar(&in.Select.Names, "name", nil, "an endpoint by identifier, label, host name or address; may be repeated")
	f.StringVar(&in.names, "names-file", "", "read such names from this `file`, one a line; - is standard input")
	f.BoolVar(&in.yes, "yes", false, "order without being asked")
	isolation := func(time.Time) (localapi.Isolate, error) { return localapi.Isolate{}, nil }
	if verb != "release" {
		f.BoolVar(&in.Servers, "servers", false, "servers too, which are left out otherwise")
		f.StringVar(&in.BreakGlass, "break-glass", "", "why the warnings of the preview are passed over; stays in the record")
	}
	if verb == "isolate" {
		f.BoolVar(&in.Order.IsolateFirst, "isolate-first", false, "cut first, capture afterwards")
		isolation = isolationFlags(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if in.Order.Reason == "" {
			return &usageError{errors.New("--reason is needed: it stays in the record")}
		}
		if err := c.readNames(in); err != nil {
			return err
		}
		o := in.GroupOrder
		if o.Order.Isolation, err = isolation(time.Now()); err != nil {
			return err
		}
		if verb == "drill" {
			o.Order.Verb = "isolate"
			o.Order.Isolation = localapi.Isolate{Drill: true} // the collector says how long one is
		}
		return c.orderGroup(cmd.Context(), o, in.yes)
	}
	return cmd
}

func (c *cli) readNames(in *groupFlags) error {
	if in.names == "" {
		return nil
	}
	var b []byte
	var err error
	if in.names == "-" {
		b, err = io.ReadAll(io.LimitReader(c.std.in, 1<<20))
	} else {
		b, err = os.ReadFile(in.names)
	}
	if err != nil {
		return fmt.Errorf("read names: %w", err)
	}
	in.Select.Names = append(in.Select.Names, strings.Split(string(b), "\n")...)
	return nil
}

// orderGroup shows who is meant and what would break, asks, and orders.
func (c *cli) orderGroup(ctx context.Context, o localapi.GroupOrder, yes bool) error {
	var pv localapi.GroupPreview
	if err := c.call(ctx, "group.preview", o, &pv); err != nil {
		return err
	}
	c.printPreview(pv)
	if pv.Cut > 0 && !yes {
		f, ok := c.std.in.(*os.File)
		if !ok || !term.IsTerminal(int(f.Fd())) {
			return &hinted{&usageError{errors.New("--yes is needed: it confirms who is meant")}, "group.yes"}
		}
		fmt.Fprint(c.std.err, c.sentence("group.ask", "count", itoa(pv.Cut)))
		answer, err := bufio.NewReader(f).ReadString('\n')
		if err != nil || strings.TrimSpace(answer) != "yes" {
			return &hinted{&usageError{errors.New("not confirmed")}, "group.yes"}
		}
	}
	o.Order.Confirmed = pv.Confirmed
	var g localapi.Group
	if err := c.call(ctx, "group.order", o, &g); err != nil {
		return err
	}
	return c.print(g, func() { c.say("group.ordered", "group", g.ID) })
}

// printPreview writes to standard error: the result is the order.
func (c *cli) printPreview(pv localapi.GroupPreview) {
	c.note("group.preview", "cut", itoa(pv.Cut), "online", itoa(pv.Online), "share", itoa(pv.Share))
	for _, m := range pv.Members {
		what := c.presence(m.Endpoint)
		if m.LeftOut != "" {
			what = c.sentence("group.left_out." + m.LeftOut)
		}
		c.note("group.member", "endpoint", name(m.Endpoint), "what", what)
		for _, s := range m.Services {
			c.note("group.service", "service", c.sentence("service."+s.Code), "clients", itoa(s.Clients))
		}
		for _, r := range m.Rails {
			c.note("group.rail", "rail", c.sentence("rail."+r))
		}
	}
	for _, n := range pv.Unknown {
		c.note("group.unknown", "name", n)
	}
	for _, r := range pv.Rails {
		if r == "share" {
			c.note("group.rail", "rail", c.sentence("rail.share", "share", itoa(pv.Share), "max", itoa(pv.MaxShare)))
		}
	}
}

func (c *cli) printGroup(g localapi.Group) {
	c.fields([2]string{"group", g.ID}, [2]string{"verb", c.word("verb.", g.Verb)}, [2]string{"state", c.sentence("group.phase." + g.Phase)},
		[2]string{"ordered_at", when(g.IssuedAt)}, [2]string{"cut_at", when(g.CutAt)}, [2]string{"reason", g.Reason})
	var rows [][]string
	for _, m := range g.Members {
		state := c.sentence("group.waiting")
		switch {
		case m.LeftOut != "":
			state = c.sentence("group.left_out." + m.LeftOut)
		case m.Command != nil:
			state = c.word("command.status.", m.Command.Status)
		}
		rows = append(rows, []string{name(m.Endpoint), c.presence(m.Endpoint), state, c.isolationWord(m.Endpoint.Isolation), when(m.Endpoint.Isolation.MeasuredAt)})
	}
	c.list("member", []string{"endpoint", "presence", "state", "isolation", "at"}, rows)
}

func (c *cli) placeCmd() *cobra.Command {
	var in localapi.Place
	cmd := &cobra.Command{Use: "place ENDPOINT", Short: "Say where an endpoint stands, what it is, and its tags",
		Long: "Say where an endpoint stands (--site), what it is (--purpose) and what people call it together\nwith others (--tag). What is not given is taken away.\n" + endpointHelp,
		Args: argsExactly(1), RunE: func(cmd *cobra.Command, args []string) error {
			in.Ref = args[0]
			if err := c.call(cmd.Context(), "endpoint.place", in, nil); err != nil {
				return err
			}
			c.done("endpoint.place", "ref", args[0])
			return nil
		}}
	cmd.Flags().StringVar(&in.Site, "site", "", "where it stands")
	cmd.Flags().StringVar(&in.Purpose, "purpose", "", "what it is: `pc|server`")
	cmd.Flags().StringArrayVar(&in.Tags, "tag", nil, "tag; may be repeated")
	return cmd
}
