package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hozen/collector/internal/act"
	"hozen/collector/internal/localapi"
)

var errTokenDays = errors.New("--days: want 1 to 366")

func (c *cli) apiTokenCmd() *cobra.Command {
	return group("api-token", "Tokens with which programs use the HTTP interface", c.apiTokenCreateCmd(), c.apiTokenListCmd(), c.apiTokenEndCmd())
}

func (c *cli) apiTokenCreateCmd() *cobra.Command {
	var in localapi.APITokenCreate
	var days int
	cmd := &cobra.Command{Use: "create NAME", Short: "Make a token for a program; prints it once",
		Long: `Make a token with which a program acts on your behalf over HTTP, under /api/v1 of the
console. It can do what both its scopes and your role allow, and ends with you: when you
are disabled, and when your password or second factor is reset or changed. Scopes:

  read      incidents, timelines, endpoints, what evidence there is, orders, the watch
  evidence  download evidence
  record    open incidents, write into timelines
  acquire   order acquisitions
  isolate   order isolation
  release   ask for releases

The token is printed once, alone on its line.`,
		Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if days < 1 || days > int(act.MaxTokenLife/(24*time.Hour)) {
				return &usageError{errTokenDays}
			}
			in.Name, in.LifeSeconds = args[0], int64(days)*24*60*60
			var t localapi.APIToken
			if err := c.call(cmd.Context(), "api_token.create", in, &t); err != nil {
				return err
			}
			return c.print(t, func() {
				c.note("api_token.created", "id", t.ID, "until", when(t.ExpiresAt))
				c.line(t.Secret)
			})
		}}
	f := cmd.Flags()
	f.StringArrayVar(&in.Scopes, "scope", []string{string(act.ScopeRead)}, "what it is for; may be repeated")
	f.IntVar(&days, "days", 90, "how many days it works, 1 to 366")
	return cmd
}

func (c *cli) apiTokenListCmd() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List tokens of programs", Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []localapi.APIToken
			if err := c.call(cmd.Context(), "api_token.list", nil, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				var rows [][]string
				for _, t := range list {
					state := "over"
					if t.InForce {
						state = "in_force"
					}
					rows = append(rows, []string{t.ID, t.Name, t.By, strings.Join(t.Scopes, " "), c.text.Text("api_token.state." + state), when(t.ExpiresAt), when(t.UsedAt), t.UsedFrom})
				}
				c.list("api_token", []string{"token", "what", "by", "scopes", "state", "expires", "last_used", "from"}, rows)
			})
		}}
}

func (c *cli) apiTokenEndCmd() *cobra.Command {
	return &cobra.Command{Use: "revoke TOKEN", Short: "End a token of a program (by its apt_… identifier)", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.call(cmd.Context(), "api_token.revoke", localapi.Ref{Ref: args[0]}, nil); err != nil {
				return err
			}
			c.done("api_token.revoke", "ref", args[0])
			return nil
		}}
}
