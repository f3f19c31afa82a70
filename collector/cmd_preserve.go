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

	"hozen/collector/internal/act"
	"hozen/collector/internal/console"
	"hozen/collector/internal/localapi"
)

func (c *cli) preserveCmd() *cobra.Command {
	cmd, o := c.orderCmd("preserve", "preserve ENDPOINT --then power_off|reboot|nothing --reason TEXT", "Order evidence to be kept, then the power to be switched off",
		"Order an endpoint to take evidence and seal it, and then to shut down, restart or go on.\n"+
			"Before it orders a shutdown or a restart it shows what goes with the power; --yes confirms that.\n"+
			"If no evidence could be taken, the endpoint does not go down. An endpoint that is away has\n"+
			"24 hours to receive an order to go down; until it does, \"command withdraw\" takes it back.\n"+endpointHelp)
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
		id, err := c.gate(cmd.Context(), args[0], yes, &o.Order)
		if err != nil {
			return err
		}
		return order(cmd, []string{id}) // the one that was shown, whatever is called so by now
	}
	return cmd
}

// gate shows what switching the endpoint off costs, takes the person's yes into the
// order, and returns the identifier of the endpoint that it showed.
func (c *cli) gate(ctx context.Context, ref string, yes bool, o *localapi.Order) (id string, err error) {
	var g localapi.Gate
	if err := c.call(ctx, "endpoint.gate", localapi.Ref{Ref: ref}, &g); err != nil {
		return "", err
	}
	c.note("gate.heading", "endpoint", name(g.Endpoint))
	for _, fact := range console.Lost(c.words, g.Facts) {
		c.note("gate.line", "fact", fact)
	}
	if pending := g.Facts["gate_pending"]; pending != "" {
		return "", &pendingError{pending}
	}
	o.Confirmed = g.Confirmed
	if yes {
		return g.Endpoint.ID, nil
	}
	f, ok := c.std.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", &hinted{&usageError{errors.New("--yes is needed: it confirms what goes with the power")}, "gate.yes"}
	}
	fmt.Fprint(c.std.err, c.sentence("gate.ask"))
	answer, err := bufio.NewReader(f).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "yes" {
		return "", &hinted{&usageError{errors.New("not confirmed")}, "gate.yes"}
	}
	return g.Endpoint.ID, nil
}

// pendingError is an order that is refused because another one waits.
type pendingError struct{ commandID string }

func (e *pendingError) Error() string { return e.commandID + ": " + act.ErrPending.Error() }
func (e *pendingError) Unwrap() error { return act.ErrPending }

func (c *cli) withdrawCmd() *cobra.Command {
	var reason string
	cmd := &cobra.Command{Use: "withdraw COMMAND", Short: "Take back an order to preserve or to isolate that waits for its endpoint",
		Long: "Take back an order to preserve or to isolate, by its cmd_… identifier, before the endpoint has received it:\n" +
			"it is then never carried out. An isolation that was in force before stays.", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.call(cmd.Context(), "command.withdraw", localapi.Ref{Ref: args[0], Reason: reason}, nil); err != nil {
				return err
			}
			c.done("command.withdraw", "ref", args[0])
			return nil
		}}
	cmd.Flags().StringVar(&reason, "reason", "", "why; stays in the record")
	return cmd
}
