package act

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/phone"
	"hozen/collector/internal/sqldb"
)

// LinkReport is what somebody without an account reports.
type LinkReport struct {
	Text      string // what is wrong
	Contact   string // name and telephone number
	Computer  string // which PC, in the person's own words. Optional
	NoticedAt time.Time
}

// ReportByLink takes a report by a link and returns the number of its incident. A further one
// from the same place within [phone.JoinWithin] joins it. No PC is given an order by it: who
// reports is anybody who has the link.
func (s *Acts) ReportByLink(ctx context.Context, token string, r LinkReport, remoteAddr string) (number string, err error) {
	r.Text, r.Contact, r.Computer = strings.TrimSpace(r.Text), strings.TrimSpace(r.Contact), strings.TrimSpace(r.Computer)
	cleaned(&r.Text, &r.Contact, &r.Computer)
	if err := errors.Join(text("what", r.Text, phone.MaxText, true)); err != nil {
		return "", err
	}
	if err := text("contact", r.Contact, phone.MaxLine, true); err != nil {
		return "", err
	}
	if err := text("computer", r.Computer, phone.MaxLine, false); err != nil {
		return "", err
	}
	if err := s.past("noticed", r.NoticedAt); err != nil {
		return "", err
	}
	place := phone.Place(remoteAddr)
	err = s.transact(ctx, func(ctx context.Context, d *deed) error {
		l, _, err := s.usableLink(ctx, d.tx, token, phone.Reports)
		if err == nil {
			err = d.byLink(ctx, l, place)
		}
		if err != nil {
			return err
		}
		inc, opened, err := s.linkIncident(ctx, d, l, place, r)
		if err != nil {
			return err
		}
		number = inc.Number
		facts := map[string]string{"link": l.ID, "link_name": l.Note, "reporter": r.Contact, "computer": r.Computer, "reported_at": sqldb.FormatTime(d.now)}
		if !r.NoticedAt.IsZero() {
			facts["noticed_at"] = sqldb.FormatTime(r.NoticedAt)
		}
		with := map[string]string{"message": r.Text, "remote_addr": remoteAddr}
		for k, v := range facts {
			with[k] = v
		}
		idx, err := d.record(ctx, "phone.report", inc.ID, with)
		if err != nil {
			return err
		}
		if _, err := phone.InsertUse(ctx, d.tx, phone.Use{LinkID: l.ID, OrganisationID: l.OrganisationID, IncidentID: inc.ID, Opened: opened, Place: place, At: d.now, LedgerIdx: idx}); err != nil {
			return err
		}
		words := r.Text
		if r.Computer != "" {
			words = fmt.Sprintf("%s\n(%s)", r.Text, r.Computer)
		}
		return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryAlert, Text: words, Params: facts, LedgerIdx: idx})
	})
	return number, err
}

// linkIncident finds the incident that a report by a link joins, or opens one, and has people
// told. Of reports that join they are told once an hour: a whole office behind one address, or
// somebody who floods the link, must not hide that another person reports something else.
func (s *Acts) linkIncident(ctx context.Context, d *deed, l phone.Link, place string, r LinkReport) (inc incident.Incident, opened bool, err error) {
	join, err := phone.JoinTo(ctx, d.tx, l, place, d.now)
	if err != nil {
		return inc, false, err
	}
	if join != "" {
		inc, err = incident.FindBare(ctx, d.tx, l.OrganisationID, join)
		if err == nil {
			inc, err = incident.GoesOn(ctx, d.tx, inc)
		}
		if err != nil {
			return inc, false, err
		}
		if inc.ClosedAt.IsZero() {
			return inc, false, s.announce(ctx, d, notify.Event{Kind: notify.IncidentOpened, Key: "joined " + hourly(notify.IncidentOpened, inc.ID, d.now), IncidentNumber: inc.Number, Path: "/incidents/" + inc.ID, Joined: true})
		}
	}
	discovered := r.NoticedAt
	if discovered.After(d.now) {
		discovered = d.now // the phone's clock runs fast
	}
	inc, err = s.open(ctx, d, NewIncident{Title: titleOf(r.Text, l.Note), Classification: incident.NotYet, Reporter: r.Contact, DiscoveredAt: discovered})
	if err != nil {
		return inc, false, err
	}
	return inc, true, s.announce(ctx, d, notify.Event{Kind: notify.IncidentOpened, Key: "opened " + inc.ID, IncidentNumber: inc.Number, Path: "/incidents/" + inc.ID})
}
