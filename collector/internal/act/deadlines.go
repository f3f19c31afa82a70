package act

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/contact"
	"hozen/collector/internal/deadline"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
)

// Deadlines are the deadlines of one incident.
type Deadlines struct {
	Incident incident.Incident // without its endpoints
	List     []deadline.Deadline
	Log      deadline.Log
	// Answered is the newest answer to whether it must be reported; nil without one.
	Answered *deadline.Answered
	// Fault is why they cannot be counted: something of the record can't be read. It says nothing
	// about whether any runs.
	Fault error
}

// Deadlines returns the deadlines of an incident as they are counted now, with all that
// was recorded of them.
func (s *Acts) Deadlines(ctx context.Context, a Actor, incidentID string) (Deadlines, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (Deadlines, error) {
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return Deadlines{}, err
		}
		return s.deadlinesOf(ctx, q, inc)
	})
}

// deadlinesOf counts the deadlines of one incident.
func (s *Acts) deadlinesOf(ctx context.Context, q sqldb.Queryer, inc incident.Incident) (Deadlines, error) {
	list, err := s.deadlines(ctx, q, inc.OrganisationID, []incident.Incident{inc})
	if err != nil {
		return Deadlines{}, err
	}
	return list[0], list[0].Fault
}

// deadlines counts the deadlines of incidents of one organisation. One whose record can't be
// read has [Deadlines.Fault], and keeps those of no other from being counted.
func (s *Acts) deadlines(ctx context.Context, q sqldb.Queryer, organisationID string, incidents []incident.Incident) ([]Deadlines, error) {
	ids := make([]string, 0, len(incidents))
	for _, i := range incidents {
		ids = append(ids, i.ID)
	}
	logs, err := s.guides.Deadlines.Logs(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	own, err := contact.List(ctx, q, organisationID)
	if err != nil {
		return nil, err
	}
	versions, faults, err := record.VersionsOf(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	list := make([]Deadlines, 0, len(incidents))
	for _, i := range incidents {
		d := Deadlines{Incident: i}
		if l := logs[i.ID]; l != nil {
			d.Log = *l
		}
		if d.Fault = errors.Join(faults[i.ID], d.Log.Fault); d.Fault != nil {
			d.Fault = fmt.Errorf("count the deadlines of %s: %w", i.Number, d.Fault)
			list = append(list, d)
			continue
		}
		if n := len(d.Log.Answered); n > 0 {
			d.Answered = &d.Log.Answered[n-1]
		}
		last, err := incident.GoesOn(ctx, q, i)
		if err != nil {
			return nil, err
		}
		facts := factsOf(i, last, versions[i.ID])
		facts.Answered, facts.Contracts, facts.Done = d.Answered, contact.ShortestHours(own), d.Log.Done
		if !i.Drill || !facts.Closed { // what was drilled is over with the drill
			d.List = s.guides.Deadlines.Count(facts)
		}
		list = append(list, d)
	}
	return list, nil
}

// factsOf are what the record of an incident says about its deadlines: the one place that
// says where these times come from. last is the incident in which it goes on, itself if it
// was not merged: a merge ends no time that somebody is bound to.
func factsOf(i, last incident.Incident, versions []record.Version) deadline.Facts {
	sheet := record.NewSheet(i.ID, record.Opening{DiscoveredAt: i.DiscoveredAt}, versions)
	// A discovery that is answered as unknown leaves what the report that opened it said: a
	// period does not stop because nobody knows any more when it began.
	f := deadline.Facts{DiscoveredAt: i.DiscoveredAt, KnownAt: sheet.KnownAt().At, Client: sheet.Client(), Closed: !last.ClosedAt.IsZero(), GoesOn: last.ID != i.ID}
	if at := sheet.DiscoveredAt().At; !at.IsZero() {
		f.DiscoveredAt = at
	}
	return f
}

// NextDeadline is one deadline of one incident.
type NextDeadline struct {
	Incident incident.Incident
	Deadline deadline.Deadline
	Behind   int // deadlines of the incident whose time is over
	// Unknown means that the deadlines of the incident can't be counted, so Deadline is empty.
	Unknown bool
}

// NextDeadlines returns, for every incident of the actor's organisation with a deadline
// that runs, the one that comes next, the soonest first. Those whose deadlines are unknown
// come before all others. Those of drills bind nobody and are not in it.
func (s *Acts) NextDeadlines(ctx context.Context, a Actor) ([]NextDeadline, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]NextDeadline, error) {
		all, err := incident.List(ctx, q, a.OrganisationID)
		if err != nil {
			return nil, err
		}
		list, err := s.deadlines(ctx, q, a.OrganisationID, s.withDeadlines(earnest(all)))
		if err != nil {
			return nil, err
		}
		var next []NextDeadline
		for _, d := range list {
			if d.Fault != nil {
				s.log.ErrorContext(ctx, "deadlines not counted", slog.Any("error", d.Fault))
				next = append(next, NextDeadline{Incident: d.Incident, Unknown: true})
				continue
			}
			if first, ok := d.Next(); ok {
				next = append(next, NextDeadline{Incident: d.Incident, Deadline: first, Behind: d.Behind(s.now())})
			}
		}
		slices.SortStableFunc(next, func(x, y NextDeadline) int { return x.Deadline.Due.Compare(y.Deadline.Due) })
		return next, nil
	})
}

// Behind counts the deadlines whose time is over.
func (d Deadlines) Behind(now time.Time) (n int) {
	for _, x := range d.List {
		if x.Overdue(now) {
			n++
		}
	}
	return n
}

// Next returns the deadline that ends first of those that run. What somebody is bound to
// comes before what the product proposes.
func (d Deadlines) Next() (deadline.Deadline, bool) {
	var next deadline.Deadline
	for _, x := range d.List {
		bound, was := x.Clock.Kind != deadline.ByProduct, next.Clock.Kind != deadline.ByProduct
		if x.Ticking() && (!next.Dated() || bound && !was || bound == was && x.Due.Before(next.Due)) {
			next = x
		}
	}
	return next, next.Dated()
}

// afterClosing is how long the deadlines of a closed incident are still looked at: what
// the law asks for does not end with it.
const afterClosing = 120 * 24 * time.Hour

// withDeadlines are the incidents whose deadlines may run, of all of an organisation. One
// that was merged counts as closed when the one is in which it goes on.
func (s *Acts) withDeadlines(all []incident.Incident) []incident.Incident {
	since := s.now().Add(-afterClosing)
	by := make(map[string]incident.Incident, len(all))
	for _, i := range all {
		by[i.ID] = i
	}
	var some []incident.Incident
	for _, i := range all {
		last := i
		for n := 0; last.MergedInto != "" && n < len(all); n++ {
			last = by[last.MergedInto]
		}
		if last.ClosedAt.IsZero() || last.ClosedAt.After(since) && !i.Drill {
			some = append(some, i)
		}
	}
	return some
}

// AnswerReportable records what is known of whether an incident must be reported, and
// returns what it comes to. A question without an answer is unknown.
func (s *Acts) AnswerReportable(ctx context.Context, a Actor, incidentID string, answers deadline.Answers, note string) (v deadline.Verdict, err error) {
	note = strings.TrimSpace(note)
	if err := text("note", note, deadline.MaxText, false); err != nil {
		return v, err
	}
	whole := deadline.Answers{}
	for _, q := range s.guides.Deadlines.Questions() {
		got := answers[q.Key]
		if got == "" {
			got = "unknown"
		}
		if !slices.Contains(q.Answers, got) {
			return v, &Invalid{Field: q.Key, Code: "unknown", Err: fmt.Errorf("%.40q is no answer", got)}
		}
		whole[q.Key] = got
	}
	v = s.guides.Deadlines.Decide(whole)
	err = s.write(ctx, a, mayMeetDeadline, func(ctx context.Context, d *deed) error {
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		with := map[string]string{"outcome": v.Outcome.Key, "rule": v.Rule, "note": note}
		for q, got := range whole {
			with["answer."+q] = got
		}
		idx, err := d.record(ctx, deadline.ActAnswer, inc.ID, with)
		if err != nil {
			return err
		}
		if err := deadline.InsertAnswer(ctx, d.tx, inc.OrganisationID, inc.ID, deadline.Answered{Answers: whole, Verdict: v, Note: note, At: d.now, By: d.actor.Name}, idx); err != nil {
			return err
		}
		facts := map[string]string{"event": "answered", "name_ja": v.Outcome.Name.JA, "name_en": v.Outcome.Name.EN, "facts_ja": v.Why.JA, "facts_en": v.Why.EN}
		if err := s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryDeadline, Text: note, Params: facts, LedgerIdx: idx}); err != nil {
			return err
		}
		return s.setDeadlines(ctx, d, inc)
	})
	return v, err
}

// DeadlineMet is what somebody did about a deadline.
type DeadlineMet struct {
	At        time.Time // when it was done; default now
	ReceiptNo string    // of who took it
	Note      string
}

// MeetDeadline records that something was done about a deadline, such as a report that was
// submitted with the number of its receipt. It can be recorded again: a report may be
// supplemented.
func (s *Acts) MeetDeadline(ctx context.Context, a Actor, incidentID, clock string, m DeadlineMet) error {
	m.ReceiptNo, m.Note = strings.TrimSpace(m.ReceiptNo), strings.TrimSpace(m.Note)
	c, ok := s.guides.Deadlines.Clock(clock)
	if !ok {
		return fmt.Errorf("%w: there is no deadline %.40q", ErrNotFound, clock)
	}
	if err := text("receipt_no", m.ReceiptNo, deadline.MaxReceipt, false); err != nil {
		return err
	}
	if err := text("note", m.Note, deadline.MaxText, false); err != nil {
		return err
	}
	m.At = sane(m.At)
	if m.At.After(s.now()) {
		return &Invalid{Field: "at", Code: "range", Err: errors.New("it lies in the future")}
	}
	return s.write(ctx, a, mayMeetDeadline, func(ctx context.Context, d *deed) error {
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		if m.At.IsZero() {
			m.At = d.now
		}
		idx, err := d.record(ctx, deadline.ActDone, inc.ID, map[string]string{"clock": clock, "done_at": sqldb.FormatTime(m.At), "receipt_no": m.ReceiptNo, "note": m.Note})
		if err != nil {
			return err
		}
		if err := deadline.InsertDone(ctx, d.tx, inc.OrganisationID, inc.ID, deadline.Done{Clock: clock, DoneAt: m.At, ReceiptNo: m.ReceiptNo, Note: m.Note, At: d.now, By: d.actor.Name, LedgerIdx: idx}); err != nil {
			return err
		}
		facts := map[string]string{"event": "done", "clock": clock, "name_ja": c.Name.JA, "name_en": c.Name.EN, "done_at": sqldb.FormatTime(m.At), "receipt_no": m.ReceiptNo}
		if err := s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryDeadline, Text: m.Note, Params: facts, LedgerIdx: idx}); err != nil {
			return err
		}
		return s.setDeadlines(ctx, d, inc)
	})
}
