package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hozen/collector/internal/localapi"
)

func (c *cli) ledgerTimestampCmd() *cobra.Command {
	out := ""
	cmd := &cobra.Command{Use: "timestamp", Short: "Have the ledger time stamped by the outside authority now",
		Long: `Sign the ledger as it is now and have the signed note time stamped by the authority of the
settings ([timestamp], RFC 3161). Only a SHA-256 goes there. With --out the note, the token
and the authority's certificates are written into a new folder; check them with
"openssl ts -verify -in token.tsr -data checkpoint.txt -CAfile ca.pem".`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var t localapi.Timestamp
			if err := c.call(cmd.Context(), "ledger.timestamp", nil, &t); err != nil {
				return err
			}
			if out != "" {
				if err := writeStamps(out, []localapi.Timestamp{t}, func(localapi.Timestamp) [3]string { return [3]string{"checkpoint.txt", "token.tsr", "ca.pem"} }); err != nil {
					return err
				}
			}
			return c.print(t, func() {
				c.say("ledger.stamped", "size", itoa(t.Size), "at", when(t.StampedAt), "authority", t.Authority)
				if out != "" {
					c.say("ledger.stamped.kept", "dir", out)
				}
			})
		}}
	cmd.Flags().StringVarP(&out, "out", "o", "", "new `folder` for note, token and certificates")
	return cmd
}

// writeStamps writes time stamps into a new folder, each as three files.
func writeStamps(dir string, list []localapi.Timestamp, names func(localapi.Timestamp) [3]string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("write time stamps: %w", err)
	}
	for _, t := range list {
		n := names(t)
		for i, b := range [][]byte{[]byte(t.Note), t.Token, []byte(t.Chain)} {
			if err := writeNew(filepath.Join(dir, n[i]), b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *cli) ledgerTimestampsCmd() *cobra.Command {
	in := localapi.LedgerTimestamps{}
	out := ""
	cmd := &cobra.Command{Use: "timestamps", Short: "Show the time stamps of the ledger, newest first",
		Long: `Show when an outside authority time stamped which state of the ledger. With --out each is
written into a new folder as three files, for "openssl ts -verify".`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []localapi.Timestamp
			if err := c.call(cmd.Context(), "ledger.timestamps", in, &list); err != nil {
				return err
			}
			if out != "" {
				if err := writeStamps(out, list, func(t localapi.Timestamp) [3]string {
					n := itoa(t.Index)
					return [3]string{n + ".txt", n + ".tsr", n + "-ca.pem"}
				}); err != nil {
					return err
				}
			}
			return c.print(list, func() {
				var rows [][]string
				for _, t := range list {
					rows = append(rows, []string{itoa(t.Index), when(t.StampedAt), itoa(t.Size), t.Reason, t.Authority})
				}
				c.list("timestamps", []string{"index", "stamped_at", "size", "why", "authority"}, rows)
				if out != "" {
					c.say("ledger.stamped.kept", "dir", out)
				}
			})
		}}
	f := cmd.Flags()
	f.IntVar(&in.Limit, "limit", 100, "how many")
	f.Int64Var(&in.Before, "before", 0, "only with a smaller `index`")
	f.StringVarP(&out, "out", "o", "", "new `folder` for note, token and certificates")
	return cmd
}

func (c *cli) ledgerCosignCmd() *cobra.Command {
	out := ""
	cmd := &cobra.Command{Use: "cosign [FILE]", Short: "Have the ledger cosigned by the witnesses now",
		Long: `Show the ledger as it is now to every witness of the settings ([ledger] witnesses) that has a
URL, and keep what they sign. With FILE, take in a checkpoint of this ledger ("ledger
checkpoint") that was carried to a witness and signed there.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{errors.New("want at most one FILE")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			in := localapi.LedgerCosign{}
			if len(args) == 1 {
				b, err := readSmall(args[0])
				if err != nil {
					return err
				}
				in.Note = string(b)
			}
			var s localapi.Cosigned
			if err := c.call(cmd.Context(), "ledger.cosign", in, &s); err != nil {
				return err
			}
			if out != "" {
				if err := writeNew(out, []byte(s.Note)); err != nil {
					return err
				}
			}
			return c.print(s, func() {
				for _, w := range s.Signatures {
					c.say("ledger.cosigned", "witness", w.Witness, "size", itoa(s.Size), "at", when(w.At))
				}
				if out != "" {
					c.say("ledger.kept", "file", out)
				}
			})
		}}
	cmd.Flags().StringVarP(&out, "out", "o", "", "new `file` for the note with all signatures")
	return cmd
}

// sayOutside tells how time stamps and witnesses go.
func (c *cli) sayOutside(o localapi.Outside) {
	if o.Fault != "" {
		c.say("outside.fault", "detail", c.text.Detail(o.Fault))
	}
	if t := o.Timestamp; t != nil {
		if t.Failing != "" {
			c.say("outside.timestamp.failing", "since", when(t.Since), "next", when(t.Next), "detail", c.text.Detail(t.Failing))
		}
		if t.Newest.IsZero() {
			c.say("outside.timestamp.none", "authority", t.Authority)
		} else {
			c.say("outside.timestamp", "at", when(t.Newest), "size", itoa(t.Size), "authority", t.Authority)
		}
	}
	for _, w := range o.Witnesses {
		switch {
		case w.Ahead:
			c.say("outside.witness.ahead", "witness", w.Witness, "detail", c.text.Detail(w.Failing))
		case w.Failing != "":
			c.say("outside.witness.failing", "witness", w.Witness, "since", when(w.Since), "detail", c.text.Detail(w.Failing))
		}
		if w.At.IsZero() {
			c.say("outside.witness.none", "witness", w.Witness)
		} else {
			c.say("outside.witness", "witness", w.Witness, "at", when(w.At), "size", itoa(w.Size))
		}
	}
}

func (c *cli) custodyFormCmd() *cobra.Command {
	out := ""
	cmd := &cobra.Command{Use: "form INCIDENT --out FILE", Short: "Write the custody form of an incident, to be printed and signed",
		Long: `Write the chain of custody form (証拠取扱い記録) of every exhibit of an incident as a PDF, in
Japanese and English, one exhibit a page, with empty lines for signatures. That somebody
took it is in the ledger.`,
		Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if out == "" {
				return &usageError{errors.New("want --out FILE")}
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return fmt.Errorf("write custody form: %w", err)
			}
			err = errors.Join(cl.Pour(cmd.Context(), "custody.form", localapi.Ref{Ref: args[0]}, f), f.Close())
			if err != nil {
				return errors.Join(err, os.Remove(out))
			}
			return c.print(map[string]string{"file": out}, func() { c.say("custody.form.done", "file", out) })
		}}
	cmd.Flags().StringVarP(&out, "out", "o", "", "new `file` for the form")
	return cmd
}
