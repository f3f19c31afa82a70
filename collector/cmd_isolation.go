package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hozen/collector/internal/localapi"
)

func (c *cli) isolateCmd() *cobra.Command {
	cmd, o := c.orderCmd("isolate", "isolate ENDPOINT --reason TEXT", "Order the network of an endpoint to be cut",
		"Order an endpoint to take a flash capture and then to cut its network, except for the way to the collector.\n"+endpointHelp)
	cmd.Flags().BoolVar(&o.IsolateFirst, "isolate-first", false, "cut first, capture afterwards")
	isolation := isolationFlags(cmd)
	order := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.Isolation, err = isolation(time.Now()); err != nil {
			return err
		}
		return order(cmd, args)
	}
	return cmd
}

func (c *cli) releaseCmd() *cobra.Command {
	cmd, _ := c.orderCmd("release", "release ENDPOINT --reason TEXT", "Order the network to be given back",
		"Order an endpoint to give the network back. Where that takes two persons, the first one's\n"+
			"order waits for 24 hours for the same order of another one.\n"+endpointHelp)
	return cmd
}

// isolationFlags adds what an order to isolate says beyond its verb; the function that
// it returns reads it.
func isolationFlags(cmd *cobra.Command) func(now time.Time) (localapi.Isolate, error) {
	var in localapi.Isolate
	var permits []string
	var lasts, permitFor, confirm time.Duration
	f := cmd.Flags()
	f.StringVar(&in.Mode, "mode", "standard", "what stays open: `standard|selective|full`")
	f.StringArrayVar(&permits, "permit", nil, "with selective: `\"TARGET PORTS REASON\"`, such as \"bank.example 443 payroll\"; \"TARGET PORTS/udp REASON\" for UDP; may be repeated")
	f.DurationVar(&permitFor, "permit-for", 8*time.Hour, "how long the permits last")
	f.DurationVar(&lasts, "for", 0, "end the isolation by itself after this time (default: never)")
	f.DurationVar(&confirm, "confirm-within", 0, "how long reaching the collector through the rules may take; then --else is done")
	f.StringVar(&in.Fallback, "else", "stay_closed", "what is done when it is not reached: `stay_closed|roll_back`")
	f.StringVar(&in.Notice, "notice", "", "what the person at the PC is told (default: the organisation's words)")
	f.StringVar(&in.Phone, "phone", "", "telephone number that the person at the PC is told (default: the organisation's)")
	return func(now time.Time) (localapi.Isolate, error) {
		i := in
		i.ConfirmWithin = int(confirm / time.Second)
		if lasts < 0 || permitFor <= 0 || confirm < 0 {
			return i, &usageError{errors.New("--for, --permit-for and --confirm-within are lengths of time, such as 8h")}
		}
		if lasts > 0 {
			i.Until = now.Add(lasts)
		}
		if confirm == 0 {
			i.Fallback = ""
		}
		for _, p := range permits {
			parts := strings.Fields(p)
			if len(parts) < 3 {
				return i, &usageError{fmt.Errorf("--permit %q: want \"TARGET PORTS REASON\"", p)}
			}
			ports, protocol, _ := strings.Cut(parts[1], "/")
			i.Permits = append(i.Permits, localapi.Permit{Target: parts[0], Ports: ports, Protocol: protocol, Reason: strings.Join(parts[2:], " "), Expires: now.Add(permitFor)})
		}
		return i, nil
	}
}

func (c *cli) releaseCodeCmd() *cobra.Command {
	var reason string
	cmd := &cobra.Command{Use: "release-code ENDPOINT NUMBER --reason TEXT", Short: "Show the code that releases an endpoint by telephone",
		Long: "Show the code by which the person at an isolated PC releases it when the collector is out of\n" +
			"reach: hozen-agent release. NUMBER is what that PC shows (hozen-agent isolation status). The code is\n" +
			"good once, for that isolation. Who saw it stays in the record.\n" + endpointHelp,
		Args: argsExactly(2), RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return &usageError{errors.New("--reason is needed: it stays in the record, such as --reason \"no network at the branch, called back\"")}
			}
			var code localapi.ReleaseCode
			if err := c.call(cmd.Context(), "endpoint.release_code", localapi.CodeOf{Ref: args[0], Number: args[1], Reason: reason}, &code); err != nil {
				return err
			}
			return c.print(code, func() {
				c.fields([2]string{"code_number", code.Number}, [2]string{"release_code", code.Code}, [2]string{"ordered_at", when(code.OrderedAt)})
				c.note("release_code.how")
			})
		}}
	cmd.Flags().StringVar(&reason, "reason", "", "why; stays in the record")
	return cmd
}

func (c *cli) settingsCmd() *cobra.Command {
	var in localapi.Settings
	set := &cobra.Command{Use: "set", Short: "Say how the organisation isolates", Args: argsExactly(0)}
	f := set.Flags()
	f.BoolVar(&in.TwoPersons, "two-persons", false, "a release takes two persons")
	f.StringVar(&in.NoticeText, "notice", "", "what the person at an isolated PC is told")
	f.StringVar(&in.NoticePhone, "phone", "", "telephone number that the person is told")
	f.IntVar(&in.LeaseHours, "lease-hours", 0, "hours without the collector before the person is told (0: 24)")
	f.IntVar(&in.MaxShare, "max-share", 0, "percent of the endpoints that may be isolated at once without a special reason (0: 30)")
	f.IntVar(&in.DrillDays, "drill-days", 0, "days between scheduled drills, which begin on working days (0: none)")
	f.IntVar(&in.DrillHour, "drill-hour", 0, "hour of the day at which they begin, in Japan")
	set.RunE = func(cmd *cobra.Command, _ []string) error {
		var now localapi.Settings
		if err := c.call(cmd.Context(), "isolation.settings", localapi.None{}, &now); err != nil {
			return err
		}
		changed := cmd.Flags().Changed
		for _, s := range []struct {
			flag string
			keep func()
		}{
			{"two-persons", func() { in.TwoPersons = now.TwoPersons }}, {"notice", func() { in.NoticeText = now.NoticeText }},
			{"phone", func() { in.NoticePhone = now.NoticePhone }}, {"lease-hours", func() { in.LeaseHours = now.LeaseHours }}, {"max-share", func() { in.MaxShare = now.MaxShare }},
			{"drill-days", func() { in.DrillDays = now.DrillDays }}, {"drill-hour", func() { in.DrillHour = now.DrillHour }},
		} {
			if !changed(s.flag) {
				s.keep()
			}
		}
		if err := c.call(cmd.Context(), "isolation.settle", in, nil); err != nil {
			return err
		}
		c.done("isolation.settle")
		return nil
	}
	show := &cobra.Command{Use: "show", Short: "Show how the organisation isolates", Args: argsExactly(0), RunE: func(cmd *cobra.Command, _ []string) error {
		var s localapi.Settings
		if err := c.call(cmd.Context(), "isolation.settings", localapi.None{}, &s); err != nil {
			return err
		}
		return c.print(s, func() {
			two := "no"
			if s.TwoPersons {
				two = "yes"
			}
			c.fields([2]string{"two_persons", c.sentence(two)}, [2]string{"notice", s.NoticeText}, [2]string{"phone", s.NoticePhone},
				[2]string{"lease_hours", itoa(s.LeaseHours)}, [2]string{"max_share", itoa(s.MaxShare) + " %"},
				[2]string{"drill_days", itoa(s.DrillDays)}, [2]string{"drill_hour", itoa(s.DrillHour)})
		})
	}}
	return group("settings", "How the organisation isolates", show, set)
}
