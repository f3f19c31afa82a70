package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/localapi"
)

const exhibitHelp = "EXHIBIT is a number such as INC-2026-0007-E03, or an exh_… identifier."

func (c *cli) custodyCmd() *cobra.Command {
	return group("custody", "Custody of evidence: exhibits, who holds them, legal hold, disposal",
		c.custodyListCmd(), c.custodyShowCmd(), c.custodyGapsCmd(), c.custodyAddCmd(), c.custodyDescribeCmd(), c.custodyRecordCmd(), c.custodyVerifyCmd(),
		c.custodyHoldCmd("hold", "Put an incident under legal hold: nothing of it is disposed of", "custody.hold"),
		c.custodyHoldCmd("release-hold", "End the legal hold of an incident", "custody.release_hold"),
		c.custodyRetentionCmd(), c.custodyDisposeCmd(), c.custodyFormCmd())
}

func (c *cli) custodyListCmd() *cobra.Command {
	return &cobra.Command{Use: "list INCIDENT", Short: "List the exhibits of an incident and who holds them", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var list localapi.Custody
			if err := c.call(cmd.Context(), "custody.list", localapi.Ref{Ref: args[0]}, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				if list.Held {
					c.say("custody.held", "at", when(list.Hold.At), "by", list.Hold.By, "reason", list.Hold.Purpose)
				}
				c.unfinished(list.Held, list.Unfinished)
				var rows [][]string
				for _, x := range list.Exhibits {
					rows = append(rows, []string{x.Number, c.word("exhibit.kind.", x.Kind), c.custodian(x), when(x.Since), itoa(len(x.Gaps)), x.Fields[string(exhibit.Description)]})
				}
				c.list("exhibit", []string{"number", "kind", "custodian", "since", "gaps", "description"}, rows)
			})
		}}
}

func party(p localapi.Party) string { return exhibit.Party(p).String() }

// custodian is who holds an exhibit now, or where it is instead.
func (c *cli) custodian(x localapi.Exhibit) string {
	switch {
	case !x.DisposedAt.IsZero():
		return c.sentence("custody.disposed")
	case x.SentTo != localapi.Party{}:
		return c.sentence("custody.on_the_way", "to", party(x.SentTo))
	case x.Holder == localapi.Party{}:
		return c.sentence("custody.nobody")
	}
	return party(x.Holder)
}

func (c *cli) custodyShowCmd() *cobra.Command {
	return &cobra.Command{Use: "show EXHIBIT", Short: "Show an exhibit with everything that was done with it", Long: "Show an exhibit with everything that was done with it.\n" + exhibitHelp, Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var x localapi.Exhibit
			if err := c.call(cmd.Context(), "custody.show", localapi.Ref{Ref: args[0]}, &x); err != nil {
				return err
			}
			return c.print(x, func() { c.showExhibit(x) })
		}}
}

func (c *cli) showExhibit(x localapi.Exhibit) {
	c.line(x.Number + "  " + c.word("exhibit.kind.", x.Kind))
	lines := [][]string{{c.text.Text("field.custodian"), c.custodian(x)}, {c.text.Text("field.custody_since"), when(x.Since)}}
	for _, f := range exhibit.Fields() {
		if v := x.Fields[string(f)]; v != "" {
			lines = append(lines, []string{c.word("exhibit.field.", string(f)), v})
		}
	}
	if x.Parent != "" {
		lines = append(lines, []string{c.text.Text("field.parent"), x.Parent})
	}
	if x.Manifest != "" {
		lines = append(lines, []string{c.text.Text("field.manifest"), x.Manifest}, []string{c.text.Text("field.files"), itoa(x.Items) + "  " + size(x.StoredBytes)})
	}
	c.columns(lines)
	fmt.Fprintln(c.std.out)
	var rows [][]string
	for _, e := range x.Events {
		rows = append(rows, []string{itoa(e.Seq), when(e.At), c.word("custody.event.", e.Type), c.passage(e), e.By})
	}
	c.list("custody", []string{"seq", "at", "what", "detail", "by"}, rows)
	c.gaps(x.Gaps)
}

// passage is what an event says beside its type.
func (c *cli) passage(e localapi.CustodyEvent) string {
	var parts []string
	add := func(s string) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if from, to := party(e.From), party(e.To); from != "" && to != "" {
		add(from + " → " + to)
	} else {
		add(from + to)
	}
	add(e.Place)
	add(strings.TrimSpace(e.Carrier + " " + e.TrackingNo))
	add(strings.TrimSpace(e.Medium.Type + " " + e.Medium.Serial))
	if e.Medium.SealNo != "" {
		add(c.sentence("custody.seal", "number", e.Medium.SealNo))
	}
	if e.Witness != "" {
		add(c.sentence("custody.witness", "name", e.Witness))
	}
	if e.Result != "" {
		add(c.word("custody.result.", e.Result))
	}
	add(e.Purpose)
	add(e.Text)
	return strings.Join(parts, " · ")
}

func (c *cli) gaps(list []localapi.CustodyGap) {
	for _, g := range list {
		until := when(g.To)
		if g.To.IsZero() {
			until = c.sentence("custody.until_now")
		}
		c.say("custody.gap", "exhibit", g.Exhibit, "what", c.word("custody.gap.", g.Code), "from", when(g.From), "to", until, "seq", itoa(g.Seq),
			"holder", orDash(party(g.Holder)), "named", orDash(party(g.Named)))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (c *cli) custodyGapsCmd() *cobra.Command {
	return &cobra.Command{Use: "gaps INCIDENT", Short: "List intervals in which it is not shown who held an exhibit", Long: `List intervals in which it is not shown who held an exhibit: sent and never received,
handed over by somebody who did not hold it, times that contradict each other.
Exit code 9 when there are any.`, Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var list localapi.Custody
			if err := c.call(cmd.Context(), "custody.list", localapi.Ref{Ref: args[0]}, &list); err != nil {
				return err
			}
			all := []localapi.CustodyGap{}
			for _, x := range list.Exhibits {
				all = append(all, x.Gaps...)
			}
			if err := c.print(all, func() {
				c.gaps(all)
				if len(all) == 0 {
					c.say("custody.no_gaps", "n", itoa(len(list.Exhibits)))
				}
			}); err != nil || len(all) == 0 {
				return err
			}
			return errProblems
		}}
}

// fieldFlags reads NAME=VALUE pairs.
func fieldFlags(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pairs {
		k, v, ok := strings.Cut(p, "=")
		if !ok || !exhibit.Field(k).Valid() {
			return nil, &usageError{fmt.Errorf("--field %q: want NAME=VALUE, where NAME is one of %s", p, fieldNames())}
		}
		out[k] = v
	}
	return out, nil
}

func fieldNames() string {
	var names []string
	for _, f := range exhibit.Fields() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

func moment(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, &usageError{fmt.Errorf("--%s: want a time such as 2026-11-22T09:30:00+09:00", flag)}
	}
	return t, nil
}

func (c *cli) custodyAddCmd() *cobra.Command {
	var in localapi.CustodyAdd
	var fields []string
	var at string
	cmd := &cobra.Command{Use: "add INCIDENT --kind KIND", Short: "Register a thing that no agent acquired, such as a PC or a printed log",
		Long: `Register a thing that no agent acquired, such as a PC, a disk, a photo or a printed log.
It gets the next evidence number of the incident. What the collector receives from agents is
registered by itself.`, Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			in.Incident = args[0]
			if in.Fields, err = fieldFlags(fields); err != nil {
				return err
			}
			if in.At, err = moment("at", at); err != nil {
				return err
			}
			var x localapi.Exhibit
			if err := c.call(cmd.Context(), "custody.add", in, &x); err != nil {
				return err
			}
			return c.print(x, func() { c.line(x.Number) })
		}}
	f := cmd.Flags()
	f.StringVar(&in.Kind, "kind", "", "`volatile|memory|files|log|photo|device|paper`")
	f.StringArrayVar(&fields, "field", nil, "`NAME=VALUE`, such as serial=PF3ABCDE; may be repeated")
	f.StringVar(&in.Parent, "parent", "", "`number` of the exhibit that it came out of")
	f.StringVar(&in.Endpoint, "endpoint", "", "`endpoint` that it is or belongs to")
	f.StringVar(&at, "at", "", "`time` in RFC 3339 when it was taken (default: now)")
	f.StringVar(&in.Place, "place", "", "where it was taken")
	return cmd
}

func (c *cli) custodyDescribeCmd() *cobra.Command {
	var fields []string
	cmd := &cobra.Command{Use: "describe EXHIBIT --field NAME=VALUE", Short: "Say more of an exhibit, such as maker, serial number, owner, witness",
		Long: "Say more of an exhibit. What was said before stays in the record; an empty VALUE takes something back.\n" + exhibitHelp, Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := fieldFlags(fields)
			if err != nil {
				return err
			}
			if len(m) == 0 {
				return &usageError{errors.New("--field is needed, such as --field serial=PF3ABCDE")}
			}
			if err := c.call(cmd.Context(), "custody.describe", localapi.CustodyDescribe{Ref: args[0], Fields: m}, nil); err != nil {
				return err
			}
			c.done("custody.describe", "ref", args[0])
			return nil
		}}
	cmd.Flags().StringArrayVar(&fields, "field", nil, "`NAME=VALUE`, such as serial=PF3ABCDE; may be repeated")
	return cmd
}

func (c *cli) custodyRecordCmd() *cobra.Command {
	var e localapi.CustodyEvent
	var at string
	cmd := &cobra.Command{Use: "record EXHIBIT TYPE", Short: "Record that an exhibit was handed over, shipped, received, returned, stored …",
		Long: `Record what was done with an exhibit. TYPE is hand_over, ship, receive, return, store, seal,
verify, view, copy or note. Anybody can be named; an account is not needed. Who gives and is
not named is the custodian of before. What is recorded is never changed: add a note.
` + exhibitHelp, Args: argsExactly(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			e.Type = args[1]
			if e.At, err = moment("at", at); err != nil {
				return err
			}
			var out localapi.CustodyEvent
			if err := c.call(cmd.Context(), "custody.record", localapi.CustodyRecord{Ref: args[0], Event: e}, &out); err != nil {
				return err
			}
			return c.print(out, func() {
				c.say("custody.recorded", "seq", itoa(out.Seq), "at", when(out.At), "what", c.word("custody.event.", out.Type), "detail", orDash(c.passage(out)))
			})
		}}
	f := cmd.Flags()
	f.StringVar(&at, "at", "", "`time` in RFC 3339 when it happened (default: now)")
	f.StringVar(&e.From.Person, "from", "", "`name` of who gives it")
	f.StringVar(&e.From.Organisation, "from-org", "", "`organisation` of who gives it")
	f.StringVar(&e.To.Person, "to", "", "`name` of who takes it")
	f.StringVar(&e.To.Organisation, "to-org", "", "`organisation` of who takes it")
	f.StringVar(&e.Place, "place", "", "where")
	f.StringVar(&e.Medium.Type, "medium", "", "what it is carried on, such as \"USB memory\"")
	f.StringVar(&e.Medium.Serial, "medium-serial", "", "serial `number` of the medium")
	f.StringVar(&e.Medium.SealNo, "seal", "", "`number` of the seal")
	f.StringVar(&e.Carrier, "carrier", "", "who carries it")
	f.StringVar(&e.TrackingNo, "tracking", "", "the carrier's `number`")
	f.StringVar(&e.Purpose, "purpose", "", "why")
	f.StringVar(&e.HashBefore, "hash-before", "", "`SHA-256` before")
	f.StringVar(&e.HashAfter, "hash-after", "", "`SHA-256` after")
	f.StringVar(&e.Witness, "witness", "", "`name` of who was present")
	f.StringVar(&e.Text, "text", "", "what else there is to say")
	return cmd
}

func (c *cli) custodyVerifyCmd() *cobra.Command {
	var purpose string
	cmd := &cobra.Command{Use: "verify EXHIBIT", Short: "Read every byte of an exhibit again and record what came of it",
		Long: "Read every byte of an exhibit again, hold it against what its endpoint signed, and record that.\nExit code 9 when something differs.\n" + exhibitHelp, Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var v localapi.CustodyVerified
			if err := c.call(cmd.Context(), "custody.verify", localapi.Note{Ref: args[0], Text: purpose}, &v); err != nil {
				return err
			}
			if err := c.print(v, func() {
				key := "custody.verified"
				if len(v.Wrong) > 0 {
					key = "custody.differs"
				}
				c.say(key, "ref", args[0], "files", itoa(v.Files), "size", size(v.Bytes), "wrong", strings.Join(v.Wrong, " "))
			}); err != nil || len(v.Wrong) == 0 {
				return err
			}
			return errProblems
		}}
	cmd.Flags().StringVar(&purpose, "purpose", "", "why; stays in the record")
	return cmd
}

func (c *cli) custodyHoldCmd(use, short, verb string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{Use: use + " INCIDENT --reason TEXT", Short: short, Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return &usageError{errors.New("--reason is needed: it stays in the record")}
			}
			var out localapi.CustodyHeld
			if err := c.call(cmd.Context(), verb, localapi.Note{Ref: args[0], Text: reason}, &out); err != nil {
				return err
			}
			c.done(verb, "ref", args[0])
			c.unfinished(out.Held, out.Unfinished)
			return nil
		}}
	cmd.Flags().StringVar(&reason, "reason", "", "why; stays in the record")
	return cmd
}

// unfinished tells of disposals that were ordered and not finished.
func (c *cli) unfinished(held bool, exhibits []string) {
	key := "custody.unfinished"
	if held {
		key = "custody.unfinished.held"
	}
	if len(exhibits) > 0 {
		c.note(key, "exhibits", strings.Join(exhibits, " "))
	}
}

func (c *cli) custodyRetentionCmd() *cobra.Command {
	days := -1
	cmd := &cobra.Command{Use: "retention", Short: "Show or set how long evidence is kept after an incident was closed",
		Long: `Show or set how many days evidence is kept after its incident was closed. Until then disposing
of it is refused, as it is while the incident is open. Nothing is disposed of by itself. 0, as at
first, means that no period is set: once the incident is closed a responsible person may dispose.
Each disposal records the period and since when it was set.`, Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var in, out localapi.CustodyRetention
			if cmd.Flags().Changed("days") {
				in.Days = &days
			}
			if err := c.call(cmd.Context(), "custody.retention", in, &out); err != nil {
				return err
			}
			return c.print(out, func() {
				if *out.Days == 0 {
					c.say("custody.no_period")
				} else {
					c.say("custody.days", "n", itoa(*out.Days))
				}
			})
		}}
	cmd.Flags().IntVar(&days, "days", -1, "set it to this many days (0: no period is set)")
	return cmd
}

func (c *cli) custodyDisposeCmd() *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{Use: "dispose EXHIBIT --reason TEXT", Short: "Remove the bytes of an exhibit for ever; the proof of what they were stays",
		Long: `Remove the bytes of an exhibit from the collector for ever. Manifest, digests, signature, receipt
and the custody ledger stay, with an entry that names every file that went, who had it removed
and why. It shows what goes first; --yes confirms that. Refused under legal hold, while the
incident is open, and while the period for which evidence is kept has not ended. Copies elsewhere (backups, packages, agents)
are not touched. Of a thing that is kept elsewhere only the record is made.
` + exhibitHelp, Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return &usageError{errors.New("--reason is needed: it stays in the record, such as --reason \"proceedings ended on 2026-11-01\"")}
			}
			g, err := c.seenDisposal(cmd.Context(), args[0], yes)
			if err != nil {
				return err
			}
			var out localapi.Disposal
			if err := c.call(cmd.Context(), "custody.dispose", localapi.CustodyDispose{Ref: g.Exhibit.ID, Reason: reason, Confirmed: g.Fingerprint}, &out); err != nil {
				return err
			}
			return c.print(out, func() {
				c.say("custody.dispose.done", "number", out.Exhibit.Number, "files", itoa(out.Files), "size", size(out.Bytes), "shared", itoa(out.Shared))
			})
		}}
	cmd.Flags().StringVar(&reason, "reason", "", "why; stays in the record")
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm what goes without being asked")
	return cmd
}

// seenDisposal shows what goes and takes the person's yes.
func (c *cli) seenDisposal(ctx context.Context, ref string, yes bool) (localapi.Disposal, error) {
	var g localapi.Disposal
	if err := c.call(ctx, "custody.disposal", localapi.Ref{Ref: ref}, &g); err != nil {
		return g, err
	}
	x := g.Exhibit
	c.note("custody.dispose.what", "number", x.Number, "kind", c.word("exhibit.kind.", x.Kind), "description", orDash(x.Fields[string(exhibit.Description)]),
		"files", itoa(g.Files), "size", size(g.Bytes), "shared", itoa(g.Shared), "holder", c.custodian(x))
	if len(x.Gaps) > 0 {
		c.note("custody.dispose.gaps", "n", itoa(len(x.Gaps)))
	}
	if yes {
		return g, nil
	}
	f, ok := c.std.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return g, &hinted{&usageError{errors.New("--yes is needed: it confirms what goes")}, "custody.dispose.yes"}
	}
	fmt.Fprint(c.std.err, c.sentence("custody.dispose.ask"))
	answer, err := bufio.NewReader(f).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "yes" {
		return g, &hinted{&usageError{errors.New("not confirmed")}, "custody.dispose.yes"}
	}
	return g, nil
}
