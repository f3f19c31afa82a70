package act

import (
	"context"
	"strings"
	"time"

	"hozen/collector/internal/calendar"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/deadline"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
	"hozen/internal/i18n"
)

// documentGuides adds the deadlines as they are counted now, and whom to call.
func (s *Acts) documentGuides(ctx context.Context, q sqldb.Queryer, inc incident.Incident, l i18n.Language, f *report.Facts) error {
	of, err := s.deadlinesOf(ctx, q, inc)
	if err != nil {
		return err
	}
	for _, d := range of.List {
		if !d.Ticking() && d.Met == nil {
			continue // it does not count, or has no date
		}
		x := documentDeadline(d, l)
		if d.Ticking() && d.Clock.EveryHours > 0 && f.Next == nil {
			f.Next = &x // people hear again
			continue
		}
		f.Deadlines = append(f.Deadlines, x)
	}
	own, err := contact.List(ctx, q, inc.OrganisationID)
	if err != nil {
		return err
	}
	book, now := s.guides.Contacts, s.now()
	for _, o := range own {
		if o.Removed {
			continue
		}
		f.Contacts = append(f.Contacts, report.Contact{Kind: string(o.Kind), Name: o.Name, Role: o.Person, Phone: o.Tel, Hours: o.Hours, Note: o.Reference, CheckedAt: o.At,
			Stale: book.Stale(calendar.DateOf(o.At), now)})
	}
	which := contact.Filter{Playbook: string(inc.Classification)}
	if inc.Classification == incident.NotYet {
		which.Playbook = "" // nobody knows yet whom it concerns
	}
	for _, d := range book.Choose(which, now) {
		if len(d.Tels) == 0 {
			continue // nothing to call
		}
		var phones, guide []string
		for _, t := range d.Tels {
			if t.Value != "" {
				phones = append(phones, strings.TrimSpace(t.Value+" "+t.Label.In(string(l))))
			} else if t.GuideValue != "" {
				guide = append(guide, t.GuideValue)
			}
		}
		c := report.Contact{Kind: d.Category, Name: d.Org.In(string(l)) + " " + d.Name.In(string(l)), Phone: strings.Join(phones, "\n"), Hours: d.Hours.Text.In(string(l)), CheckedAt: book.ReviewedOn().Start(),
			Stale: book.Stale(book.ReviewedOn(), now), Unchecked: d.Check == contact.GuideOnly}
		if len(phones) == 0 {
			c.Phone, c.Unchecked = strings.Join(guide, "\n"), true
		}
		f.Contacts = append(f.Contacts, c)
	}
	return nil
}

func documentDeadline(d deadline.Deadline, l i18n.Language) report.Deadline {
	x := report.Deadline{Name: d.Clock.Name.In(string(l)), Rule: d.Clock.Rule.In(string(l)), Basis: d.Clock.Basis.In(string(l)), From: d.Start, Until: d.Due, Provisional: d.State == deadline.Provisional}
	if d.Dated() && d.LastDay().End().Equal(d.Due) {
		x.Until = d.Due.Add(-time.Minute) // the last day is what people read, not the midnight after it
	}
	if d.Met != nil {
		x.DoneAt, x.DoneNote = d.Met.DoneAt, strings.TrimSpace(d.Met.ReceiptNo+" "+d.Met.Note)
	}
	return x
}
