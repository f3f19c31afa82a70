package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"hozen/collector/internal/act"
	"hozen/collector/internal/localapi"
	"hozen/internal/custody/checkpoint"
	"hozen/internal/custody/logdir"
)

// ledgerSubs are the commands about the signed ledger.
func (c *cli) ledgerSubs() []*cobra.Command {
	return []*cobra.Command{c.ledgerCheckpointCmd(), c.ledgerProveCmd(), c.ledgerConsistencyCmd(), c.ledgerForkCmd(), c.ledgerExportCmd(), c.ledgerVerifyCmd(),
		c.ledgerTimestampCmd(), c.ledgerTimestampsCmd(), c.ledgerCosignCmd()}
}

func (c *cli) ledgerCheckpointCmd() *cobra.Command {
	out := ""
	cmd := &cobra.Command{Use: "checkpoint", Short: "Show the signed state of the ledger, to be kept elsewhere",
		Long: `Sign the ledger as it is now and show the signed note (C2SP tlog-checkpoint). Keep it, and
the key that checks it, where nobody who runs this collector can change them: on paper, in
a mail to somebody outside. "fsck --checkpoint" shows with it whether anything that stood
in the ledger then was changed or taken out since.`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s localapi.Checkpoint
			if err := c.call(cmd.Context(), "ledger.checkpoint", nil, &s); err != nil {
				return err
			}
			if out != "" {
				if err := writeNew(out, []byte(s.Note)); err != nil {
					return err
				}
			}
			return c.print(s, func() {
				if out == "" {
					fmt.Fprint(c.std.out, s.Note)
					fmt.Fprintln(c.std.out)
				} else {
					c.say("ledger.kept", "file", out)
				}
				c.say("ledger.signed", "size", itoa(s.Size), "key", s.VerifierKey, "sha256", s.KeySHA256)
			})
		}}
	cmd.Flags().StringVarP(&out, "out", "o", "", "new `file` for the signed note")
	return cmd
}

// writeNew writes a file that must not exist.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// readSmall reads a file of at most the size of a signed note.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, checkpoint.MaxNote+1))
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	return b, nil
}

func (c *cli) ledgerProveCmd() *cobra.Command {
	return &cobra.Command{Use: "prove ENTRY", Short: "Prove that an entry stands in the signed ledger",
		Long: `Show the text and the salt of the entry with that index, the signed state of the ledger, and
the proof (RFC 6962, 2.1.1) that leads from one to the other. With --json it is complete.`,
		Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || index < 0 {
				return &act.Invalid{Field: "entry", Code: "malformed", Err: errors.New("want the index of an entry, from 0 on")}
			}
			var p localapi.LedgerProof
			if err := c.call(cmd.Context(), "ledger.prove", localapi.LedgerIndex{Index: index}, &p); err != nil {
				return err
			}
			return c.print(p, func() {
				fmt.Fprint(c.std.out, p.Checkpoint.Note)
				fmt.Fprintln(c.std.out)
				c.fields([2]string{"index", itoa(p.Index)}, [2]string{"text", p.Text}, [2]string{"salt", p.Salt}, [2]string{"leaf", p.LeafSHA256},
					[2]string{"proof", strings.Join(p.Inclusion, " ")})
			})
		}}
}

func (c *cli) ledgerConsistencyCmd() *cobra.Command {
	return &cobra.Command{Use: "consistency FILE", Short: "Prove that the ledger goes on from an older checkpoint",
		Long: `Read an older signed note from FILE and prove (RFC 6962, 2.1.2) that the ledger begins with
what it shows. Exit code 9 means that it does not: entries were changed or taken out.`,
		Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readSmall(args[0])
			if err != nil {
				return err
			}
			var v localapi.LedgerConsistency
			if err := c.call(cmd.Context(), "ledger.consistency", localapi.LedgerNote{Note: string(b)}, &v); err != nil {
				return err
			}
			if err := c.print(v, func() {
				key := "ledger.differs." + v.Verdict
				if v.Verdict == "consistent" || v.Verdict == "foreign" || v.Verdict == "declared" {
					key = "ledger." + v.Verdict
				}
				size := ""
				if v.Checkpoint != nil {
					size = itoa(v.Checkpoint.Size)
				}
				c.say(key, "old", itoa(v.OldSize), "size", size)
				if v.Detail != "" {
					c.line(c.text.Detail(v.Detail))
				}
				if v.Verdict == "consistent" {
					c.fields([2]string{"proof", strings.Join(v.Consistency, " ")})
				}
			}); err != nil {
				return err
			}
			if v.Verdict != "consistent" && v.Verdict != "declared" {
				return errProblems
			}
			return nil
		}}
}

func (c *cli) ledgerForkCmd() *cobra.Command {
	in := localapi.LedgerFork{}
	yes := false
	cmd := &cobra.Command{Use: "fork", Short: "Declare that the ledger is signed on although it does not go on from before",
		Long: `When the ledger does not go on from what was signed of it before, because an older backup was
put back or the key was lost, it takes entries as ever but is not signed any more ("status"
and "fsck" tell). This is a person's decision to sign it on, under a new name, from the state
that it has. Who decided, why, and what was signed before stay in the ledger; every endpoint
that saw the earlier state keeps it as evidence. Find out first what happened.`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return &act.Invalid{Field: "yes", Code: "required", Err: errors.New("what was signed before is declared to be over; say --yes")}
			}
			var s localapi.Checkpoint
			if err := c.call(cmd.Context(), "ledger.fork", in, &s); err != nil {
				return err
			}
			return c.print(s, func() { c.say("ledger.forked", "origin", s.Origin, "size", itoa(s.Size)) })
		}}
	cmd.Flags().StringVar(&in.Reason, "reason", "", "what happened; stays in the ledger")
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm that what was signed before is over")
	return cmd
}

func (c *cli) ledgerExportCmd() *cobra.Command {
	return &cobra.Command{Use: "export DIR", Short: "Copy the signed ledger into a folder that anybody can check",
		Long: `Write all entries of the ledger, its hashes (C2SP tlog-tiles) and its signed state into the
new or empty folder DIR on the collector's machine. It can be checked without this
software; README.txt in it says how. The texts name people and PCs.`,
		Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return fmt.Errorf("export the ledger: %w", err)
			}
			var s localapi.Checkpoint
			err = c.here(cmd.Context(), "ledger.export", localapi.LedgerFolder{Dir: dir}, &s, func(ctx context.Context, st *store) error {
				signed, err := st.acts.LedgerExport(ctx, c.offline(), dir, c.step)
				s = localapi.ViewSigned(signed)
				return err
			})
			if err != nil {
				return err
			}
			return c.print(s, func() {
				c.say("ledger.exported", "dir", dir, "size", itoa(s.Size))
				c.say("ledger.signed", "size", itoa(s.Size), "key", s.VerifierKey, "sha256", s.KeySHA256)
			})
		}}
}

func (c *cli) ledgerVerifyCmd() *cobra.Command {
	cfg := logdir.Config{}
	var older []string
	cmd := &cobra.Command{Use: "verify DIR", Short: "Check an exported ledger, without any collector",
		Long: `Compute everything in an exported ledger again from its bytes. Without --key the folder can
only be shown to agree with itself (exit code 13): anybody could have made it. Exit code 9
means that something is wrong. It needs no data folder and no network.`,
		Args: argsExactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, name := range older {
				b, err := readSmall(name)
				if err != nil {
					return err
				}
				cfg.Older = append(cfg.Older, string(b))
			}
			r, err := logdir.Verify(os.DirFS(args[0]), cfg)
			if errors.Is(err, fs.ErrNotExist) {
				if _, there := os.Stat(filepath.Join(args[0], logdir.CheckpointFile)); there == nil {
					return &hinted{err, "hint.exported_ledger_key"}
				}
				return &hinted{err, "hint.exported_ledger"}
			}
			if err != nil {
				return err
			}
			if err := c.print(r, func() {
				for _, p := range r.Problems {
					c.line(string(p.Code) + "  " + p.Path + "  " + c.text.Detail(p.Detail))
				}
				c.fields([2]string{"origin", r.Origin}, [2]string{"size", itoa(r.Size)}, [2]string{"root", r.RootSHA256}, [2]string{"key", r.KeySHA256})
				for _, w := range r.Witnesses {
					c.say("ledger.cosigned", "witness", w.Name, "size", itoa(r.Size), "at", when(w.At))
				}
				switch {
				case len(r.Problems) > 0:
					c.say("ledger.verify.problems", "problems", itoa(len(r.Problems)))
				case !r.Anchored:
					c.say("ledger.verify.unanchored", "entries", itoa(r.Entries), "erased", itoa(r.Erased))
				default:
					c.say("ledger.verify.ok", "entries", itoa(r.Entries), "erased", itoa(r.Erased))
				}
			}); err != nil {
				return err
			}
			switch {
			case len(r.Problems) > 0:
				return errProblems
			case !r.Anchored:
				return errUnanchored
			}
			return nil
		}}
	cmd.Flags().StringVar(&cfg.Key, "key", "", "the verifier `key`, got by another way than with the folder")
	cmd.Flags().StringArrayVar(&older, "checkpoint", nil, "an older checkpoint of the same ledger in this `file`; may be repeated")
	cmd.Flags().StringArrayVar(&cfg.Witnesses, "witness", nil, "the verifier `key` of a witness who must have signed it; may be repeated")
	return cmd
}
