package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hozen/collector/internal/console"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/localapi"
	"hozen/internal/artifact"
	"hozen/internal/custody"
	"hozen/internal/digest"
	"hozen/internal/durable"
	"hozen/internal/pki"
)

func (c *cli) incidentCmd() *cobra.Command {
	return group("incident", "Incidents: list, show, open, note, close, export", c.incidentListCmd(), c.incidentShowCmd(), c.incidentOpenCmd(),
		c.textCmd("note INCIDENT TEXT", "Add a note to the timeline", "incident.note"), c.textCmd("close INCIDENT REASON", "Close an incident", "incident.close"), c.incidentExportCmd(), c.incidentExportsCmd())
}

func (c *cli) textCmd(use, short, verb string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: argsExactly(2), RunE: func(cmd *cobra.Command, args []string) error {
		if err := c.call(cmd.Context(), verb, localapi.Note{Ref: args[0], Text: args[1]}, nil); err != nil {
			return err
		}
		c.done(verb, "ref", args[0])
		return nil
	}}
}

func (c *cli) incidentListCmd() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List incidents, newest first", Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []localapi.Incident
			if err := c.call(cmd.Context(), "incident.list", nil, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				var rows [][]string
				for _, i := range list {
					state := "open"
					if !i.ClosedAt.IsZero() {
						state = "closed"
					}
					rows = append(rows, []string{i.Number, c.word("incident.state.", state), c.word("classification.", i.Classification), when(i.DiscoveredAt), itoa(len(i.EndpointIDs)), i.Title})
				}
				c.list("incident", []string{"number", "state", "class", "discovered", "endpoints", "title"}, rows)
			})
		}}
}

func (c *cli) incidentShowCmd() *cobra.Command {
	return &cobra.Command{Use: "show INCIDENT", Short: "Show an incident with its timeline", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var i localapi.Incident
			err := c.call(cmd.Context(), "incident.show", localapi.Ref{Ref: args[0]}, &i)
			if err != nil {
				return err
			}
			var names map[string]string
			if !c.json {
				if names, err = c.endpointNames(cmd.Context()); err != nil {
					return err
				}
			}
			return c.print(i, func() { c.showIncident(i, names) })
		}}
}

// endpointNames are the endpoints' names by identifier.
func (c *cli) endpointNames(ctx context.Context) (map[string]string, error) {
	var list []localapi.Endpoint
	if err := c.call(ctx, "endpoint.list", nil, &list); err != nil {
		return nil, err
	}
	names := make(map[string]string, len(list))
	for _, e := range list {
		names[e.ID] = name(e)
	}
	return names, nil
}

func (c *cli) showIncident(i localapi.Incident, names map[string]string) {
	state := "open"
	if !i.ClosedAt.IsZero() {
		state = "closed"
	}
	c.line(i.Number + "  " + i.Title)
	c.line(c.sentence("incident.head", "state", c.word("incident.state.", state), "class", c.word("classification.", i.Classification),
		"discovered", when(i.DiscoveredAt), "reporter", i.Reporter))
	fmt.Fprintln(c.std.out)
	var rows [][]string
	for _, e := range i.Timeline {
		rows = append(rows, []string{when(e.At), e.Actor, c.entry(e, names)})
	}
	c.list("timeline", []string{"at", "who", "what"}, rows)
	fmt.Fprintln(c.std.out)
	rows = nil
	for _, a := range i.Acquisitions {
		rows = append(rows, []string{a.ID, cmp.Or(names[a.EndpointID], a.EndpointID), c.word("outcome.", a.Outcome), itoa(a.Items), itoa(a.Records), size(a.StoredBytes), when(a.ReceivedAt)})
	}
	c.list("acquisition", []string{"acquisition", "name", "outcome", "items", "records", "size", "received"}, rows)
}

// entry is a line of the timeline as the console puts it: the sentence, the numbers of
// the evidence, a person's own words, and what a machine said.
func (c *cli) entry(e localapi.Entry, names map[string]string) string {
	told := incident.Entry{Kind: incident.EntryKind(e.Kind), Actor: e.Actor, Text: e.Text, Params: e.Params}
	said := console.Sentence(c.words, told, names)
	for _, f := range console.Facts(c.words, told) {
		said += " " + f
	}
	if first, last := e.Params["first"], e.Params["last"]; first != "" && first != last {
		said += " " + first + " – " + last
	} else if first != "" {
		said += " " + first
	}
	if n := e.Params["records"]; n != "" {
		said += " " + c.sentence("timeline.records", "records", n)
	}
	if e.Text != "" {
		said += " " + c.sentence("timeline.words", "text", e.Text)
	}
	if d := e.Params["detail"]; d != "" {
		said += " " + c.sentence("order.detail", "detail", d)
	}
	return said
}

func (c *cli) incidentOpenCmd() *cobra.Command {
	var in localapi.IncidentOpen
	var discovered string
	cmd := &cobra.Command{Use: "open TITLE", Short: "Open an incident", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Title = args[0]
			if discovered != "" {
				t, err := time.Parse(time.RFC3339, discovered)
				if err != nil {
					return &usageError{errors.New("--discovered-at: want a time such as 2026-11-22T09:30:00+09:00")}
				}
				in.DiscoveredAt = t
			}
			var i localapi.Incident
			if err := c.call(cmd.Context(), "incident.open", in, &i); err != nil {
				return err
			}
			return c.print(i, func() { c.line(i.Number) })
		}}
	f := cmd.Flags()
	f.StringVar(&in.Classification, "class", "", "malware, ransomware, outage, leak or unknown (default unknown)")
	f.StringVar(&in.Reporter, "reporter", "", "who noticed (default: you)")
	f.StringVar(&discovered, "discovered-at", "", "`time` in RFC 3339 (default: now)")
	f.BoolVar(&in.Drill, "drill", false, "a drill of the playbook of --class; nothing of it is real")
	f.StringArrayVar(&in.Endpoints, "endpoint", nil, "`endpoint` that it touches; may be repeated")
	return cmd
}

func (c *cli) evidenceCmd() *cobra.Command {
	return group("evidence", "Evidence: list, get", c.evidenceListCmd(), c.evidenceGetCmd())
}

func (c *cli) evidenceListCmd() *cobra.Command {
	return &cobra.Command{Use: "list INCIDENT", Short: "List the evidence of an incident", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var list []localapi.Item
			if err := c.call(cmd.Context(), "evidence.list", localapi.Of{Incident: args[0]}, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				var rows [][]string
				for _, i := range list {
					rows = append(rows, []string{i.Number, c.word("kind.", i.Kind), c.word("outcome.", i.Outcome), itoa(i.Records), size(i.StoredSize), i.StoredSHA256})
				}
				c.list("evidence", []string{"number", "kind", "outcome", "records", "size", "sha256"}, rows)
			})
		}}
}

func (c *cli) evidenceGetCmd() *cobra.Command {
	var out string
	cmd := &cobra.Command{Use: "get EVIDENCE|ACQUISITION", Short: "Copy out a piece of evidence, or a whole acquisition for hozen-verify",
		Long: `Copy out stored bytes: of one piece of evidence (number or evd_…) to a file, or of a
whole acquisition (acq_…) to a folder that hozen-verify checks. Each copy is an entry of
the custody ledger.`,
		Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			if strings.HasPrefix(args[0], "acq_") {
				if out == "" {
					out = args[0]
				}
				return c.getAcquisition(cmd, cl, args[0], out)
			}
			var it localapi.Item
			if err := cl.Call(cmd.Context(), "evidence.show", localapi.Ref{Ref: args[0]}, &it); err != nil {
				return err
			}
			if out == "" {
				out = it.Number + "-" + filepath.Base(it.Name)
			}
			if err := c.getItem(cmd, cl, it, out); err != nil {
				return err
			}
			return c.print(it, func() { c.say("evidence.got", "file", out, "sha256", it.StoredSHA256) })
		}}
	cmd.Flags().StringVarP(&out, "out", "o", "", "`file` or folder to make")
	return cmd
}

// getItem copies one piece of evidence and proves that it is what the ledger says.
func (c *cli) getItem(cmd *cobra.Command, cl *localapi.Client, it localapi.Item, path string) (err error) {
	r, err := cl.Fetch(cmd.Context(), "evidence.get", localapi.Ref{Ref: it.ID})
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("copy out evidence: %w", err)
	}
	w := digest.NewWriter(f)
	_, err = io.Copy(w, r)
	sum := w.Sum().String()
	if err = errors.Join(err, f.Close()); err == nil && sum != it.StoredSHA256 {
		err = fmt.Errorf("the bytes have SHA-256 %s, the collector recorded %s", sum, it.StoredSHA256)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("copy out evidence: %w", err), os.Remove(path))
	}
	return nil
}

// getAcquisition copies a whole acquisition into a folder as an agent lays it out.
func (c *cli) getAcquisition(cmd *cobra.Command, cl *localapi.Client, acquisitionID, dir string) error {
	ctx := cmd.Context()
	var s localapi.Seal
	if err := cl.Call(ctx, "acquisition.seal", localapi.Ref{Ref: acquisitionID}, &s); err != nil {
		return err
	}
	var items []localapi.Item
	if err := cl.Call(ctx, "acquisition.items", localapi.Ref{Ref: acquisitionID}, &items); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("copy out evidence: %w", err)
	}
	if err := os.Mkdir(filepath.Join(dir, artifact.ArtifactDir), 0o700); err != nil {
		return fmt.Errorf("copy out evidence: %w", err)
	}
	key, certs, name := s.Certificate, pki.CertificatePEM(s.CA), artifact.ReceiptCAFile // of a one-time key
	if cert, err := pki.ParseCertificate(s.Certificate); err == nil {
		key, certs, name = cert.RawSubjectPublicKeyInfo, append(pki.CertificatePEM(s.Certificate), certs...), artifact.CertFile
	} else if _, kerr := x509.ParsePKIXPublicKey(s.Certificate); kerr != nil {
		return fmt.Errorf("copy out evidence: %w", err)
	}
	signer := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key})
	receipt, err := custody.EncodeFile(custody.Signed{Payload: s.Receipt, Signature: s.ReceiptSig, Certificate: s.ReceiptCert})
	if err != nil {
		return fmt.Errorf("copy out evidence: %w", err)
	}
	for file, b := range map[string][]byte{
		artifact.ManifestFile: s.Manifest, artifact.SignatureFile: s.Signature, artifact.SignerFile: signer,
		name: certs, artifact.ReceiptFile: receipt,
	} {
		if err := durable.CreateFile(filepath.Join(dir, file), b, 0o600); err != nil {
			return fmt.Errorf("copy out evidence: %w", err)
		}
	}
	for _, it := range items {
		// Names come from the PC; the collector took only plain ones below artifacts/.
		if err := c.getItem(cmd, cl, it, filepath.Join(dir, artifact.ArtifactDir, filepath.Base(it.Name))); err != nil {
			return err
		}
	}
	return c.print(map[string]any{"dir": dir, "acquisition_id": acquisitionID, "items": items}, func() {
		c.say("evidence.got_all", "dir", dir, "items", itoa(len(items)))
	})
}

func (c *cli) ledgerCmd() *cobra.Command {
	var in localapi.LedgerList
	cmd := &cobra.Command{Use: "ledger", Short: "Show the custody ledger, newest first", Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []localapi.LedgerEntry
			if err := c.call(cmd.Context(), "ledger.list", in, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				var rows [][]string
				for _, e := range list {
					who := e.ActorName
					if who == "" {
						who = c.text.Text("actor." + e.ActorKind)
					}
					rows = append(rows, []string{itoa(e.Index), when(e.At), who, c.word("ledger.act.", e.Act), e.Subject})
				}
				c.list("ledger", []string{"index", "at", "who", "act", "subject"}, rows)
			})
		}}
	f := cmd.Flags()
	f.StringVar(&in.Subject, "subject", "", "only about this `identifier`")
	f.IntVar(&in.Limit, "limit", 100, "how many")
	f.Int64Var(&in.Before, "before", 0, "only with a smaller `index`")
	cmd.AddCommand(c.ledgerSubs()...)
	return cmd
}
