package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hozen/collector/internal/console"
	"hozen/collector/internal/localapi"
)

func (c *cli) preserveCmd() *cobra.Command {
	cmd, o := c.orderCmd("preserve", "preserve ENDPOINT --then power_off|reboot|nothing --reason TEXT", "Order evidence to be kept, then the power to be switched off",
		"Order an endpoint to take evidence and seal it, and then to shut down, restart or go on.\n"+
			"Before it orders a shutdown or a restart it shows what goes with the power; --yes confirms that.\n"+
			"If no evidence could be taken, the endpoint does not go down.\n"+endpointHelp)
	var yes bool
	cmd.Flags().StringVar(&o.Then, "then", "nothing", "what comes after the evidence: `nothing|power_off|reboot`")
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm what goes with the power without being asked")
	order := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch o.Then {
		case "nothing", "power_off", "reboot":
		default:
			return &usageError{errors.New("--then: want nothing, power_off or reboot")}
		}
		if !down(o.Then) || o.Reason == "" {
			return order(cmd, args) // which refuses an order without a reason
		}
		if err := c.gate(cmd.Context(), args[0], yes, &o.Order); err != nil {
			return err
		}
		return order(cmd, args)
	}
	return cmd
}

// gate shows what switching the endpoint off costs and takes the person's yes into
// the order.
func (c *cli) gate(ctx context.Context, ref string, yes bool, o *localapi.Order) error {
	var g localapi.Gate
	if err := c.call(ctx, "endpoint.gate", localapi.Ref{Ref: ref}, &g); err != nil {
		return err
	}
	c.note("gate.heading", "endpoint", name(g.Endpoint))
	for _, fact := range console.Lost(c.words, g.Facts) {
		c.note("gate.line", "fact", fact)
	}
	o.Confirmed = g.Confirmed
	if yes {
		return nil
	}
	f, ok := c.std.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &hinted{&usageError{errors.New("--yes is needed: it confirms what goes with the power")}, "gate.yes"}
	}
	fmt.Fprint(c.std.err, c.sentence("gate.ask"))
	answer, err := bufio.NewReader(f).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "yes" {
		return &hinted{&usageError{errors.New("not confirmed")}, "gate.yes"}
	}
	return nil
}
