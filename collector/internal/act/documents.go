package act

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/incident"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
	"hozen/internal/i18n"
	"hozen/internal/id"
)

// NewReport says which document is written.
type NewReport struct {
	IncidentID string // identifier or number
	Kind       report.Kind
	Language   i18n.Language
	Stage      report.Stage // of those that have stages
	Era        bool         // 和暦
	// Added are words of people by the block that they stand in.
	Added map[string]string
	// Seen is the digest of the draft that the person looked at. Optional: with it the document
	// is issued only if it still says the same.
	Seen string
}

// ErrDraftChanged is the [ErrConflict] of a document whose facts changed since its draft was
// looked at.
var ErrDraftChanged = fmt.Errorf("%w: the facts changed since the draft was made", ErrConflict)

// DraftReport writes a document from what is known now. Nothing is kept of it.
func (s *Acts) DraftReport(ctx context.Context, a Actor, n NewReport) (report.Document, error) {
	if err := checkReport(n); err != nil {
		return report.Document{}, err
	}
	d, err := read(ctx, s, a, mayReport, func(q sqldb.Queryer, a Actor) (drafted, error) {
		return s.draft(ctx, q, a, n)
	})
	return d.Document, err
}

// drafted is a document with the incident that it is about.
type drafted struct {
	IncidentID string
	Document   report.Document
}

func (s *Acts) draft(ctx context.Context, q sqldb.Queryer, a Actor, n NewReport) (drafted, error) {
	inc, err := incident.Find(ctx, q, a.OrganisationID, n.IncidentID)
	if err != nil {
		return drafted{}, err
	}
	f, err := s.documentFacts(ctx, q, a, inc, n.Language)
	if err != nil {
		return drafted{}, err
	}
	d, err := report.Build(n.Kind, f, report.Options{Language: n.Language, Stage: n.Stage, Era: n.Era, Added: n.Added, By: a.Name})
	return drafted{inc.ID, d}, err
}

func checkReport(n NewReport) error {
	if !n.Kind.Valid() {
		return &Invalid{Field: "kind", Code: "unknown", Err: fmt.Errorf("there is no document %.40q", n.Kind)}
	}
	if !slices.Contains(i18n.Languages(), n.Language) {
		return &Invalid{Field: "language", Code: "unknown", Err: fmt.Errorf("there is no language %.20q", n.Language)}
	}
	if n.Stage != "" && !slices.Contains(report.Stages(n.Kind), n.Stage) {
		return &Invalid{Field: "stage", Code: "unknown", Err: fmt.Errorf("%s has no stage %.20q", n.Kind, n.Stage)}
	}
	for block, words := range n.Added {
		if err := text("added-"+block, words, report.MaxAdded, false); err != nil {
			return err
		}
	}
	return nil
}

// IssueReport writes a document and freezes it: its bytes go into the store, its digests into
// the ledger, and it gets a number or, after the first, its next version.
func (s *Acts) IssueReport(ctx context.Context, a Actor, n NewReport) (r report.Report, v report.Version, err error) {
	if err := checkReport(n); err != nil {
		return r, v, err
	}
	// The document is drawn before the transaction, for that takes long. What it says of
	// itself, its number, must be right when it is kept: else it is drawn again.
	for range 5 {
		r, v, err = s.issueOnce(ctx, a, n)
		if !errors.Is(err, errRenumber) {
			return r, v, err
		}
	}
	return r, v, fmt.Errorf("%w: others issue reports of this incident all the time", ErrConflict)
}

// errRenumber means that somebody else took the number meanwhile.
var errRenumber = errors.New("the number is taken")

// prepared is a document that waits for its entry in the ledger.
type prepared struct {
	Incident incident.Incident
	report   report.Report
	fresh    bool // the report has no version yet
	document report.Document
	version  report.Version
	bundle   []byte
}

func (s *Acts) issueOnce(ctx context.Context, a Actor, n NewReport) (report.Report, report.Version, error) {
	p, err := read(ctx, s, a, mayReport, func(q sqldb.Queryer, a Actor) (prepared, error) { return s.prepare(ctx, q, a, n) })
	if err != nil {
		return report.Report{}, report.Version{}, err
	}
	sum, err := digest.Parse(p.version.BundleSHA256)
	if err != nil {
		return report.Report{}, report.Version{}, err
	}
	// Before the rows that speak of it: what a crash leaves without rows is an orphan, which
	// does no harm.
	if err := s.evidence.Blobs.Put(ctx, sum, p.version.BundleSize, bytes.NewReader(p.bundle)); err != nil {
		return report.Report{}, report.Version{}, known(fmt.Errorf("keep report: %w", err))
	}
	err = s.write(ctx, a, mayReport, func(ctx context.Context, d *deed) error {
		now, fresh, err := s.nextReport(ctx, d.tx, p.Incident, n)
		if err != nil {
			return err
		}
		if now.No != p.report.No || len(now.Versions) != len(p.report.Versions) || fresh != p.fresh {
			return errRenumber
		}
		v := &p.version
		v.At, v.ActorKind, v.ActorID, v.ActorName = d.now.UTC().Round(0), string(d.actor.Kind), d.actor.ID, d.actor.Name
		if fresh {
			if err := report.Insert(ctx, d.tx, p.report); err != nil {
				return err
			}
		}
		if v.LedgerIdx, err = d.record(ctx, report.ActIssue, p.report.ID, v.Details(p.report)); err != nil {
			return err
		}
		if err := report.AddVersion(ctx, d.tx, p.report, *v); err != nil {
			return err
		}
		return s.line(ctx, d, p.Incident, "", incident.Entry{Kind: incident.EntryReport, LedgerIdx: v.LedgerIdx,
			Params: map[string]string{"event": "issued", "number": p.report.Number, "version": strconv.Itoa(v.Version), "document": string(p.report.Kind), "title": v.Title}})
	})
	if err != nil {
		return report.Report{}, report.Version{}, err
	}
	p.report.Versions = append(p.report.Versions, p.version)
	return p.report, p.version, nil
}

func (s *Acts) prepare(ctx context.Context, q sqldb.Queryer, a Actor, n NewReport) (p prepared, err error) {
	if p.Incident, err = incident.Find(ctx, q, a.OrganisationID, n.IncidentID); err != nil {
		return p, err
	}
	made, err := s.draft(ctx, q, a, n)
	if err != nil {
		return p, err
	}
	draft := made.Document
	if n.Seen != "" {
		now, err := draft.Digest()
		if err != nil {
			return p, err
		}
		if now != n.Seen {
			return p, ErrDraftChanged
		}
	}
	if p.report, p.fresh, err = s.nextReport(ctx, q, p.Incident, n); err != nil {
		return p, err
	}
	version := 1
	if newest, ok := p.report.Newest(); ok {
		version = newest.Version + 1
	}
	p.document = draft.Issue(p.report.Number, version, a.Name)
	var files []report.File
	if p.bundle, files, err = report.Bundle(p.document); err != nil {
		return p, err
	}
	p.version = report.Version{Version: version, Stage: p.document.Stage, Title: p.document.Title, NotKnown: p.document.Unknown(), LedgerSize: p.document.LedgerSize,
		BundleSHA256: digest.Of(p.bundle).String(), BundleSize: int64(len(p.bundle)), Files: files}
	return p, nil
}

// nextReport finds the report that a document is a version of, or makes a new one.
func (s *Acts) nextReport(ctx context.Context, q sqldb.Queryer, inc incident.Incident, n NewReport) (r report.Report, fresh bool, err error) {
	r, err = report.ForKind(ctx, q, inc.OrganisationID, inc.ID, n.Kind, n.Language)
	if err == nil || !errors.Is(err, report.ErrNotFound) {
		return r, false, err
	}
	r = report.Report{ID: id.New(id.Report), OrganisationID: inc.OrganisationID, IncidentID: inc.ID, Kind: n.Kind, Language: n.Language}
	if r.No, err = report.NextNo(ctx, q, inc.OrganisationID, inc.ID); err != nil {
		return r, false, err
	}
	r.Number = report.FormatNumber(inc.Number, r.No)
	return r, true, nil
}

// Reports lists the reports of an incident.
func (s *Acts) Reports(ctx context.Context, a Actor, incidentID string) ([]report.Report, error) {
	return read(ctx, s, a, mayReadReasons, func(q sqldb.Queryer, a Actor) ([]report.Report, error) {
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return nil, err
		}
		return report.List(ctx, q, a.OrganisationID, inc.ID)
	})
}

// Report finds a report by its identifier or number.
func (s *Acts) Report(ctx context.Context, a Actor, idOrNumber string) (report.Report, error) {
	return read(ctx, s, a, mayReadReasons, func(q sqldb.Queryer, a Actor) (report.Report, error) {
		return report.Find(ctx, q, a.OrganisationID, idOrNumber)
	})
}

// IssuedFile returns one form of an issued version as it was issued, proven against what the
// ledger has of it.
func (s *Acts) IssuedFile(ctx context.Context, a Actor, idOrNumber string, version int, name string) ([]byte, report.Report, error) {
	r, err := s.Report(ctx, a, idOrNumber)
	if err != nil {
		return nil, r, err
	}
	v, ok := r.Find(version)
	if !ok {
		return nil, r, known(report.ErrNotFound)
	}
	f, ok := v.File(name)
	if !ok {
		return nil, r, known(report.ErrNotFound)
	}
	sum, err := digest.Parse(v.BundleSHA256)
	if err != nil {
		return nil, r, err
	}
	blob, err := s.evidence.Blobs.Open(ctx, sum)
	if err != nil {
		return nil, r, fmt.Errorf("open report: %w", err)
	}
	bundle, err := io.ReadAll(io.LimitReader(blob, v.BundleSize+1))
	if err := errors.Join(err, blob.Close()); err != nil {
		return nil, r, fmt.Errorf("open report: %w", err)
	}
	b, err := report.Unbundle(bundle, f)
	return b, r, err
}

// IssuedDocument returns what an issued version says.
func (s *Acts) IssuedDocument(ctx context.Context, a Actor, idOrNumber string, version int) (report.Document, report.Report, error) {
	b, r, err := s.IssuedFile(ctx, a, idOrNumber, version, report.FormatModel)
	if err != nil {
		return report.Document{}, r, err
	}
	d, err := report.Decode(b)
	return d, r, err
}

// SentReport is what [Acts.RecordSending] needs.
type SentReport struct {
	Version   int
	Recipient string
	Channel   report.Channel
	At        time.Time // when it was sent; default now
	Note      string    // such as a receipt number
}

// RecordSending records that an issued version went to somebody. The collector sends nothing.
func (s *Acts) RecordSending(ctx context.Context, a Actor, idOrNumber string, n SentReport) error {
	n.Recipient, n.Note = strings.TrimSpace(n.Recipient), strings.TrimSpace(n.Note)
	if err := text("recipient", n.Recipient, report.MaxRecipient, true); err != nil {
		return err
	}
	if err := text("note", n.Note, report.MaxNote, false); err != nil {
		return err
	}
	if !slices.Contains(report.Channels(), n.Channel) {
		return &Invalid{Field: "channel", Code: "unknown", Err: fmt.Errorf("there is no way %.20q", n.Channel)}
	}
	if err := s.past("sent_at", n.At); err != nil {
		return err
	}
	return s.write(ctx, a, mayReport, func(ctx context.Context, d *deed) error {
		r, err := report.Find(ctx, d.tx, d.actor.OrganisationID, idOrNumber)
		if err != nil {
			return err
		}
		if _, ok := r.Find(n.Version); !ok {
			return &Invalid{Field: "version", Code: "unknown", Err: fmt.Errorf("%s has no version %d", r.Number, n.Version)}
		}
		if len(r.Sendings) >= report.MaxSendings {
			return &Invalid{Field: "recipient", Code: "range", Err: fmt.Errorf("it was sent %d times", len(r.Sendings))}
		}
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, r.IncidentID)
		if err != nil {
			return err
		}
		sent := report.Sending{Seq: int64(len(r.Sendings)) + 1, Version: n.Version, Recipient: n.Recipient, Channel: n.Channel, SentAt: n.At.UTC().Round(0), Note: n.Note,
			RecordedAt: d.now.UTC().Round(0), ActorKind: string(d.actor.Kind), ActorID: d.actor.ID, ActorName: d.actor.Name}
		if n.At.IsZero() {
			sent.SentAt = sent.RecordedAt
		}
		if sent.LedgerIdx, err = d.record(ctx, report.ActSend, r.ID, sent.Details(r)); err != nil {
			return err
		}
		if err := report.AddSending(ctx, d.tx, r, sent); err != nil {
			return err
		}
		return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryReport, Text: n.Note, LedgerIdx: sent.LedgerIdx,
			Params: map[string]string{"event": "sent", "number": r.Number, "version": strconv.Itoa(n.Version), "document": string(r.Kind), "recipient": n.Recipient,
				"channel": string(n.Channel), "sent_at": sqldb.FormatTime(sent.SentAt)}})
	})
}
