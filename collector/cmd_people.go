package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"hozen/collector/internal/act"
	"hozen/collector/internal/localapi"
)

func (c *cli) operatorCmd() *cobra.Command {
	return group("operator", "People of the console: add, list, sign in",
		c.signInCmd(), c.signOutCmd(), c.operatorAddCmd(), c.operatorListCmd(), c.operatorResetCmd(), c.operatorResetFactorCmd(), c.operatorDisableCmd())
}

func (c *cli) signInCmd() *cobra.Command {
	var passwordFile, newPasswordFile string
	cmd := &cobra.Command{
		Use: "sign-in NAME", Short: "Sign in for the commands of this user account",
		Long: `Sign in at the collector's local socket. The sign-in lasts 12 hours and is kept in
$XDG_STATE_HOME/hozen (or ~/.local/state/hozen), readable for this user alone.

The password is asked for without echo, read as a line from standard input, or taken
from a file; never from the command line, which every user of the machine can read.
After a one-time password a new one is needed, in the same ways.`,
		Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.signIn(cmd.Context(), args[0], passwordFile, newPasswordFile)
		},
	}
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "`file` with the password")
	cmd.Flags().StringVar(&newPasswordFile, "new-password-file", "", "`file` with the password to change to")
	return cmd
}

func (c *cli) signIn(ctx context.Context, name, passwordFile, newPasswordFile string) error {
	socket, err := c.socket()
	if err != nil {
		return err
	}
	in := localapi.SignIn{Name: name}
	if in.Password, err = c.secret(passwordFile, "prompt.password", true); err != nil {
		return err
	}
	if in.NewPassword, err = c.secret(newPasswordFile, "", false); err != nil {
		return err
	}
	cl := localapi.NewClient(socket, "", "")
	var s localapi.Session
	err = cl.Call(ctx, "session.begin", in, &s)
	if e, ok := mustChange(err); ok && newPasswordFile == "" {
		c.note("sign_in.change")
		if in.NewPassword, err = c.secret("", "prompt.new_password", true); err != nil {
			return &hinted{e, "hint.new_password"} // nobody is there to type one
		}
		err = cl.Call(ctx, "session.begin", in, &s)
	}
	if errors.Is(err, act.ErrNeedsCode) {
		if in.Code, err = c.secret("", "prompt.code", true); err != nil {
			return err
		}
		if err = cl.Call(ctx, "session.begin", in, &s); errors.Is(err, act.ErrForbidden) && !errors.Is(err, act.ErrLocked) {
			return &hinted{err, "hint.code"}
		}
	}
	if errors.Is(err, act.ErrForbidden) && !errors.Is(err, act.ErrLocked) && !errors.Is(err, act.ErrMustChangePassword) {
		return &hinted{err, "hint.password"}
	}
	if err != nil {
		return err
	}
	if err := c.writeToken(socket, s.Token); err != nil {
		return err
	}
	return c.print(map[string]any{"operator": s.Operator, "expires_at": s.ExpiresAt}, func() {
		c.say("sign_in.done", "name", s.Operator.DisplayName, "role", c.word("role.", s.Operator.Role), "until", when(s.ExpiresAt))
	})
}

func (c *cli) secret(file, prompt string, ask bool) (string, error) {
	switch {
	case file != "":
		return readSecret(file)
	case ask:
		return c.askSecret(c.text.Text(prompt))
	}
	return "", nil
}

func (c *cli) signOutCmd() *cobra.Command {
	return &cobra.Command{Use: "sign-out", Short: "End the sign-in of this user account", Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, err := c.socket()
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), "session.end", nil, nil); err != nil {
				return err
			}
			if err := c.writeToken(socket, ""); err != nil {
				return err
			}
			c.done("session.end")
			return nil
		}}
}

func (c *cli) operatorAddCmd() *cobra.Command {
	var in localapi.OperatorAdd
	cmd := &cobra.Command{Use: "add NAME", Short: "Add a person; prints a one-time password",
		Long: `Add a person. Roles: owner, responsible, handler, viewer, auditor, vendor.`,
		Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Name = args[0]
			var out localapi.OneTime
			if err := c.call(cmd.Context(), "operator.add", in, &out); err != nil {
				return err
			}
			return c.printOneTime(out)
		}}
	cmd.Flags().StringVar(&in.Role, "role", "handler", "what the person may do")
	cmd.Flags().StringVar(&in.DisplayName, "display-name", "", "name for people")
	return cmd
}

func (c *cli) printOneTime(out localapi.OneTime) error {
	return c.print(out, func() {
		c.say("operator.one_time", "name", out.Operator.Name, "role", c.word("role.", out.Operator.Role), "password", out.Password)
	})
}

func (c *cli) operatorListCmd() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the people", Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []localapi.Operator
			if err := c.call(cmd.Context(), "operator.list", nil, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				var rows [][]string
				for _, o := range list {
					state := "active"
					if !o.DisabledAt.IsZero() {
						state = "disabled"
					} else if o.MustChangePassword {
						state = "new"
					}
					rows = append(rows, []string{o.Name, o.DisplayName, c.word("role.", o.Role), c.word("operator.state.", state), when(o.LastSignInAt)})
				}
				c.list("operator", []string{"sign_in_name", "display_name", "role", "state", "last_sign_in"}, rows)
			})
		}}
}

func (c *cli) operatorResetCmd() *cobra.Command {
	return &cobra.Command{Use: "reset-password NAME", Short: "Give a person a new one-time password", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out localapi.OneTime
			if err := c.call(cmd.Context(), "operator.reset_password", localapi.Ref{Ref: args[0]}, &out); err != nil {
				return err
			}
			return c.printOneTime(out)
		}}
}

func (c *cli) operatorResetFactorCmd() *cobra.Command {
	var in localapi.Ref
	cmd := &cobra.Command{Use: "reset-factor NAME", Short: "Take a person's second factor away, who lost it",
		Long: `Take away the second factor of a person who lost the phone and the recovery codes, and
end all sessions of that person. The reason stays in the ledger. An owner who is the only
one is helped at the collector's machine, with --break-glass.`,
		Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Ref = args[0]
			if err := c.call(cmd.Context(), "operator.reset_factor", in, nil); err != nil {
				return err
			}
			c.done("operator.reset_factor", "ref", args[0])
			return nil
		}}
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why, for the record (required)")
	return cmd
}

func (c *cli) operatorDisableCmd() *cobra.Command {
	return &cobra.Command{Use: "disable NAME", Short: "Bar a person at once and for good", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.call(cmd.Context(), "operator.disable", localapi.Ref{Ref: args[0]}, nil); err != nil {
				return err
			}
			c.done("operator.disable", "ref", args[0])
			return nil
		}}
}

func (c *cli) tokenCmd() *cobra.Command {
	return group("token", "Enrolment tokens: create, list, revoke", c.tokenCreateCmd(), c.tokenListCmd(), c.tokenRevokeCmd())
}

func (c *cli) tokenCreateCmd() *cobra.Command {
	var in localapi.TokenCreate
	var ttl time.Duration
	cmd := &cobra.Command{Use: "create", Short: "Make a token; prints it once",
		Long: `Make an enrolment token, for hozen-agent enroll on a PC. It carries the collector's
addresses and CA fingerprint and is printed once. Without --auto, an operator approves
each PC (endpoint pending, endpoint approve).`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			in.TTLSeconds = int64(ttl / time.Second)
			if ttl < 0 || ttl%time.Second != 0 {
				return &usageError{errTTL}
			}
			var t localapi.Token
			if err := c.call(cmd.Context(), "token.create", in, &t); err != nil {
				return err
			}
			return c.print(t, func() {
				c.note("token.created", "until", when(t.ExpiresAt), "uses", itoa(t.MaxUses))
				c.line(t.Text)
			})
		}}
	f := cmd.Flags()
	f.BoolVar(&in.Auto, "auto", false, "PCs need no operator's approval")
	f.DurationVar(&ttl, "ttl", 0, "how long it works, 1m to 720h (default 24h)")
	f.IntVar(&in.MaxUses, "uses", 1, "how many PCs it can bring in")
	f.StringVar(&in.Note, "note", "", "what it is for")
	return cmd
}

func (c *cli) tokenListCmd() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List tokens", Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []localapi.Token
			if err := c.call(cmd.Context(), "token.list", nil, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				var rows [][]string
				for _, t := range list {
					state := "good"
					switch {
					case !t.RevokedAt.IsZero():
						state = "revoked"
					case time.Now().After(t.ExpiresAt):
						state = "expired"
					case t.Uses >= t.MaxUses:
						state = "used_up"
					}
					approval := "operator"
					if t.Auto {
						approval = "automatic"
					}
					rows = append(rows, []string{t.ID, c.text.Text("token.state." + state), itoa(t.Uses) + "/" + itoa(t.MaxUses), c.text.Text("token.approval." + approval), when(t.ExpiresAt), t.Note})
				}
				c.list("token", []string{"token", "state", "uses", "approval", "expires", "note"}, rows)
			})
		}}
}

func (c *cli) tokenRevokeCmd() *cobra.Command {
	return &cobra.Command{Use: "revoke TOKEN", Short: "End a token (by its tok_… identifier)", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.call(cmd.Context(), "token.revoke", localapi.Ref{Ref: args[0]}, nil); err != nil {
				return err
			}
			c.done("token.revoke", "ref", args[0])
			return nil
		}}
}
