package act

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
)

// Decisions returns the decision log of an incident, oldest first: for those who handle it
// and for auditors.
func (s *Acts) Decisions(ctx context.Context, a Actor, incidentID string) ([]record.Decision, error) {
	return read(ctx, s, a, mayReadReasons, func(q sqldb.Queryer, a Actor) ([]record.Decision, error) {
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return nil, err
		}
		return record.Decisions(ctx, q, inc.ID)
	})
}

// cleaned trims texts and makes them such that the database can hold them.
func cleaned(texts ...*string) {
	for _, t := range texts {
		*t = sqldb.CleanText(strings.TrimSpace(*t))
	}
}

// RecordDecision records a decision that people made. Only what n says of the decision
// itself counts: who records it and when is the collector's to say.
func (s *Acts) RecordDecision(ctx context.Context, a Actor, incidentID string, n record.Decision) (record.Decision, error) {
	n = record.Decision{Kind: n.Kind, Options: n.Options, Facts: n.Facts, Decision: n.Decision, Reason: n.Reason, Decider: n.Decider, DecidedAt: n.DecidedAt}
	cleaned(&n.Options, &n.Facts, &n.Decision, &n.Reason, &n.Decider)
	if !n.Kind.Valid() {
		return n, &Invalid{Field: "kind", Code: "unknown", Err: fmt.Errorf("there is no kind %.40q", n.Kind)}
	}
	for _, f := range []struct{ name, value string }{{"options", n.Options}, {"facts", n.Facts}, {"decision", n.Decision}, {"reason", n.Reason}} {
		if err := text(f.name, f.value, record.MaxText, true); err != nil {
			return n, err
		}
	}
	if err := text("decider", n.Decider, record.MaxName, true); err != nil {
		return n, err
	}
	if err := s.past("decided_at", n.DecidedAt); err != nil {
		return n, err
	}
	err := s.write(ctx, a, mayRecord, func(ctx context.Context, d *deed) error {
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		n.OrganisationID, n.IncidentID, n.EnteredID, n.EnteredBy, n.EnteredAt = inc.OrganisationID, inc.ID, d.actor.ID, sqldb.CleanText(d.actor.Name), d.now.UTC().Round(0)
		if n.DecidedAt.IsZero() {
			n.DecidedAt = d.now
		}
		n.DecidedAt = n.DecidedAt.UTC().Round(0)
		if n.No, err = record.NextDecision(ctx, d.tx, inc.ID); err != nil {
			return err
		}
		if n.LedgerIdx, err = d.record(ctx, record.ActDecide, inc.ID, n.Details()); err != nil {
			return err
		}
		if err := record.InsertDecision(ctx, d.tx, n); err != nil {
			return err
		}
		return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryDecision, Text: n.Decision, LedgerIdx: n.LedgerIdx, Params: map[string]string{
			"no": strconv.FormatInt(n.No, 10), "decision_kind": string(n.Kind), "decider": n.Decider, "decided_at": sqldb.FormatTime(n.DecidedAt)}})
	})
	return n, err
}

// Enquiries returns the log of the customers' desk of an incident, newest first. It holds
// customers' personal data: only those who write it read it.
func (s *Acts) Enquiries(ctx context.Context, a Actor, incidentID string) ([]record.Enquiry, error) {
	return read(ctx, s, a, mayRecord, func(q sqldb.Queryer, a Actor) ([]record.Enquiry, error) {
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return nil, err
		}
		return record.Enquiries(ctx, q, inc.ID)
	})
}

// RecordEnquiry records that somebody asked at the customers' desk, or with
// [record.Enquiry.Follows] what came of an earlier enquiry. Only what n says of the enquiry
// itself counts.
func (s *Acts) RecordEnquiry(ctx context.Context, a Actor, incidentID string, n record.Enquiry) (record.Enquiry, error) {
	n = record.Enquiry{Follows: n.Follows, AskedAt: n.AskedAt, Who: n.Who, Contact: n.Contact, Channel: n.Channel, Question: n.Question, Answer: n.Answer}
	cleaned(&n.Who, &n.Contact, &n.Question, &n.Answer)
	if !n.Channel.Valid() {
		return n, &Invalid{Field: "channel", Code: "unknown", Err: fmt.Errorf("there is no channel %.40q", n.Channel)}
	}
	for _, f := range []struct {
		name, value string
		most        int
		required    bool
	}{{"who", n.Who, record.MaxName, true}, {"contact", n.Contact, record.MaxName, false}, {"question", n.Question, record.MaxText, n.Follows == 0 || n.Answer == ""}, {"answer", n.Answer, record.MaxText, false}} {
		if err := text(f.name, f.value, f.most, f.required); err != nil {
			return n, err
		}
	}
	if err := s.past("asked_at", n.AskedAt); err != nil {
		return n, err
	}
	err := s.write(ctx, a, mayRecord, func(ctx context.Context, d *deed) error {
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		n.OrganisationID, n.IncidentID, n.EnteredID, n.EnteredBy, n.EnteredAt = inc.OrganisationID, inc.ID, d.actor.ID, sqldb.CleanText(d.actor.Name), d.now.UTC().Round(0)
		if n.AskedAt.IsZero() {
			n.AskedAt = d.now
		}
		n.AskedAt = n.AskedAt.UTC().Round(0)
		if n.No, err = record.NextEnquiry(ctx, d.tx, inc.ID); err != nil {
			return err
		}
		if n.Follows < 0 || n.Follows >= n.No {
			return &Invalid{Field: "follows", Code: "unknown", Err: fmt.Errorf("there is no enquiry %d", n.Follows)}
		}
		if n.LedgerIdx, err = d.record(ctx, record.ActEnquire, inc.ID, n.Details()); err != nil {
			return err
		}
		if err := record.InsertEnquiry(ctx, d.tx, n); err != nil {
			return err
		}
		return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryEnquiry, Text: n.Question, LedgerIdx: n.LedgerIdx, Params: map[string]string{
			"no": strconv.FormatInt(n.No, 10), "who": n.Who, "channel": string(n.Channel), "asked_at": sqldb.FormatTime(n.AskedAt)}})
	})
	return n, err
}

// withoutLogs takes out of a timeline the words of decisions and enquiries that its reader
// may not read in their logs. That there is one stays.
func withoutLogs(a Actor, list []incident.Entry) []incident.Entry {
	if a.Kind != ByOperator {
		return list
	}
	for n, e := range list {
		switch {
		case e.Kind == incident.EntryDecision && !a.may(mayReadReasons):
			list[n].Text = ""
		case e.Kind == incident.EntryEnquiry && !a.may(mayRecord):
			list[n].Text, list[n].Params = "", with(e.Params, "who", "―")
		}
	}
	return list
}
