package act

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// maxEndpoints bounds the endpoints that one call can name.
const maxEndpoints = 1000

// Incidents lists the incidents of the actor's organisation, newest first.
func (s *Acts) Incidents(ctx context.Context, a Actor) ([]incident.Incident, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]incident.Incident, error) {
		return incident.List(ctx, q, a.OrganisationID)
	})
}

// Incident finds one incident by its identifier or its number.
func (s *Acts) Incident(ctx context.Context, a Actor, idOrNumber string) (incident.Incident, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (incident.Incident, error) {
		return incident.Find(ctx, q, a.OrganisationID, idOrNumber)
	})
}

// Timeline returns what was done and seen in an incident, oldest first.
func (s *Acts) Timeline(ctx context.Context, a Actor, incidentID string) ([]incident.Entry, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]incident.Entry, error) {
		inc, err := incident.Find(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return nil, err
		}
		list, err := incident.Timeline(ctx, q, inc.ID)
		return withoutLogs(a, list), err
	})
}

// TimelinePage returns at most n lines of the timeline, oldest first, without the newest skip,
// and how many there are in all.
func (s *Acts) TimelinePage(ctx context.Context, a Actor, incidentID string, skip, n int) (list []incident.Entry, total int, err error) {
	list, err = read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]incident.Entry, error) {
		inc, err := incident.Find(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return nil, err
		}
		var page []incident.Entry
		page, total, err = incident.TimelinePage(ctx, q, inc.ID, max(skip, 0), min(max(n, 1), incident.MaxShown))
		return withoutLogs(a, page), err
	})
	return list, total, err
}

// OpenIncident opens an incident.
func (s *Acts) OpenIncident(ctx context.Context, a Actor, n NewIncident) (inc incident.Incident, err error) {
	if err := text("title", n.Title, incident.MaxTitle, true); err != nil {
		return inc, err
	}
	if err := text("reporter", n.Reporter, incident.MaxReporter, false); err != nil {
		return inc, err
	}
	if n.Classification == "" {
		n.Classification = incident.NotYet
	}
	if !n.Classification.Valid() {
		return inc, &Invalid{Field: "classification", Code: "unknown", Err: fmt.Errorf("there is no classification %.40q", n.Classification)}
	}
	if n.Drill && n.Classification == incident.NotYet {
		return inc, &Invalid{Field: "classification", Code: "required", Err: errors.New("a drill is one of a playbook")}
	}
	if len(n.EndpointIDs) > maxEndpoints {
		return inc, &Invalid{Field: "endpoint_ids", Code: "range", Err: fmt.Errorf("at most %d endpoints", maxEndpoints)}
	}
	n.DiscoveredAt = sane(n.DiscoveredAt)
	if n.DiscoveredAt.After(s.now()) {
		return inc, &Invalid{Field: "discovered_at", Code: "range", Err: errors.New("it lies in the future")}
	}
	if err := n.Heard.check(s.now()); err != nil {
		return inc, err
	}
	err = s.write(ctx, a, mayRunIncident, func(ctx context.Context, d *deed) error {
		for _, e := range n.EndpointIDs {
			if _, err := d.endpoint(ctx, e); err != nil {
				return err
			}
		}
		if n.Join && !n.Drill {
			joined, found, err := s.joinRecent(ctx, d, n)
			if found || err != nil {
				inc = joined
				return err
			}
		}
		inc, err = s.open(ctx, d, n)
		return err
	})
	return inc, err
}

// open opens an incident in an open deed.
func (s *Acts) open(ctx context.Context, d *deed, n NewIncident) (incident.Incident, error) {
	if n.Reporter == "" {
		n.Reporter = d.actor.Name
	}
	if n.DiscoveredAt.IsZero() {
		n.DiscoveredAt = d.now
	}
	inc, err := incident.Insert(ctx, d.tx, incident.Incident{
		ID: id.New(id.Incident), OrganisationID: d.actor.OrganisationID, Title: n.Title, Classification: n.Classification,
		Reporter: n.Reporter, DiscoveredAt: n.DiscoveredAt, OpenedAt: d.now, EndpointIDs: n.EndpointIDs, Drill: n.Drill, FoundIn: n.foundIn,
	})
	if err != nil {
		return incident.Incident{}, err
	}
	facts := map[string]string{"number": inc.Number, "classification": string(inc.Classification), "reporter": inc.Reporter,
		"discovered_at": sqldb.FormatTime(inc.DiscoveredAt), "endpoints": strings.Join(inc.EndpointIDs, " ")}
	if inc.Drill {
		facts["drill"] = "true"
	}
	n.Heard.add(facts)
	with := map[string]string{"title": inc.Title, "found_in": inc.FoundIn}
	for k, v := range facts {
		with[k] = v
	}
	d.attend(inc.EndpointIDs...)
	idx, err := d.record(ctx, incident.ActOpen, inc.ID, with)
	if err != nil {
		return incident.Incident{}, err
	}
	first := ""
	if len(inc.EndpointIDs) > 0 {
		first = inc.EndpointIDs[0]
	}
	return inc, s.line(ctx, d, inc, first, incident.Entry{Kind: incident.EntryOpened, Params: facts, LedgerIdx: idx})
}

// AddNote adds a person's words to the timeline of an incident, open or closed.
func (s *Acts) AddNote(ctx context.Context, a Actor, incidentID, words string) error {
	words = strings.TrimSpace(words)
	if err := text("text", words, incident.MaxText, true); err != nil {
		return err
	}
	return s.write(ctx, a, mayNote, func(ctx context.Context, d *deed) error {
		inc, err := incident.Find(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err == nil {
			err = d.reach(inc.ID)
		}
		if err != nil {
			return err
		}
		idx, err := d.record(ctx, "incident.note", inc.ID, map[string]string{"text": words})
		if err != nil {
			return err
		}
		return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryNote, Text: words, LedgerIdx: idx})
	})
}

// CloseIncident is [Acts.CloseIncidentAs] of one that is resolved.
func (s *Acts) CloseIncident(ctx context.Context, a Actor, incidentID, reason string) error {
	return s.CloseIncidentAs(ctx, a, incidentID, incident.Resolved, reason)
}

// attend has endpoints told, after the commit, whether an incident of theirs is open.
func (d *deed) attend(endpointIDs ...string) {
	for _, e := range endpointIDs {
		d.wake(e)
	}
}

// line adds an entry to the timeline of an incident and tells the pages.
func (s *Acts) line(ctx context.Context, d *deed, inc incident.Incident, endpointID string, e incident.Entry) error {
	e.ID, e.IncidentID, e.At = id.New(id.Timeline), inc.ID, d.now
	if e.Actor == "" {
		e.Actor = d.actor.Name
	}
	for k, v := range e.Params {
		if v == "" {
			delete(e.Params, k)
		}
	}
	d.tell(s, Event{Kind: EventIncident, EndpointID: endpointID, IncidentID: inc.ID})
	return incident.AddEntry(ctx, d.tx, inc.OrganisationID, e)
}

// join adds an endpoint to an incident unless it is part of it.
func (s *Acts) join(ctx context.Context, d *deed, inc incident.Incident, e endpoint.Endpoint) error {
	added, err := incident.AddEndpoint(ctx, d.tx, inc, e.ID, d.now)
	if err != nil || !added {
		return err
	}
	d.attend(e.ID)
	idx, err := d.record(ctx, incident.ActJoin, inc.ID, map[string]string{"endpoint": e.ID, "hostname": e.Hostname})
	if err != nil {
		return err
	}
	return s.line(ctx, d, inc, e.ID, incident.Entry{Kind: incident.EntryJoined, Params: map[string]string{"endpoint": e.ID}, LedgerIdx: idx})
}

// ReportTrouble stores the report of a PC's user. It joins the newest open incident
// of the endpoint when that was opened within [incident.JoinWithin], else it opens
// one. The same alert again returns the same incident.
func (s *Acts) ReportTrouble(ctx context.Context, endpointID string, c AlertCall) (inc incident.Incident, err error) {
	if err := id.Check(id.Alert, c.AlertID); err != nil {
		return inc, &Invalid{Field: "alert_id", Code: "malformed", Err: err}
	}
	if err := text("message", c.Message, 4096, false); err != nil {
		return inc, err
	}
	if err := text("reporter", c.Reporter, incident.MaxReporter, false); err != nil {
		return inc, err
	}
	c.ReportedAt = sane(c.ReportedAt)
	err = s.transact(ctx, func(ctx context.Context, d *deed) error {
		e, err := d.agent(ctx, endpointID)
		if err != nil {
			return err
		}
		al := incident.Alert{ID: c.AlertID, OrganisationID: e.OrganisationID, EndpointID: endpointID, Message: c.Message, Reporter: c.Reporter,
			ReportedAt: c.ReportedAt, ReceivedAt: d.now}
		old, err := incident.AlertByID(ctx, d.tx, c.AlertID)
		switch {
		case err == nil && old.EndpointID != endpointID:
			return fmt.Errorf("%w: the alert is another endpoint's", ErrConflict)
		case err == nil:
			if !old.ReceivedAt.IsZero() {
				inc, err = incident.Find(ctx, d.tx, e.OrganisationID, old.IncidentID)
				return err
			}
			if inc, err = whereNow(ctx, d.tx, e.OrganisationID, old.IncidentID, e.ID); err != nil {
				return err
			}
			if inc.EndpointIDs, err = incident.Endpoints(ctx, d.tx, inc.ID); err != nil {
				return err
			}
			al.IncidentID = inc.ID
			err = incident.FillAlert(ctx, d.tx, al) // its evidence was faster
		case errors.Is(err, incident.ErrNoAlert):
			if inc, err = s.alertIncident(ctx, d, e, c); err != nil {
				return err
			}
			al.IncidentID = inc.ID
			err = incident.InsertAlert(ctx, d.tx, al)
		}
		if err != nil {
			return err
		}
		facts := map[string]string{"alert": c.AlertID, "endpoint": endpointID, "reporter": c.Reporter, "reported_at": sqldb.FormatTime(c.ReportedAt)}
		with := map[string]string{"incident": inc.ID, "message": c.Message}
		for k, v := range facts {
			with[k] = v
		}
		idx, err := d.record(ctx, incident.ActAlert, c.AlertID, with)
		if err != nil {
			return err
		}
		if err := s.line(ctx, d, inc, endpointID, incident.Entry{Kind: incident.EntryAlert, AgentAt: c.ReportedAt, Text: c.Message, Params: facts, LedgerIdx: idx}); err != nil {
			return err
		}
		return s.stayedUp(ctx, d, e, c)
	})
	return inc, err
}

// alertIncident finds the incident that an alert joins, or opens one.
func (s *Acts) alertIncident(ctx context.Context, d *deed, e endpoint.Endpoint, c AlertCall) (incident.Incident, error) {
	inc, err := incident.NewestOpen(ctx, d.tx, e.ID, d.now.Add(-incident.JoinWithin))
	if !errors.Is(err, incident.ErrNotFound) {
		return inc, err
	}
	discovered := c.ReportedAt
	if discovered.After(d.now) {
		discovered = d.now // the PC's clock runs fast
	}
	inc, err = s.open(ctx, d, NewIncident{Title: titleOf(c.Message, display(e)), Classification: incident.NotYet,
		Reporter: c.Reporter, DiscoveredAt: discovered, EndpointIDs: []string{e.ID}})
	if err != nil {
		return inc, err
	}
	return inc, s.announce(ctx, d, notify.Event{Kind: notify.IncidentOpened, Key: "opened " + inc.ID, IncidentNumber: inc.Number, Path: "/incidents/" + inc.ID})
}

// titleOf makes a title of what a person wrote: its first line, cut to fit.
func titleOf(message, otherwise string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(message, "\uFFFD")), "\n")
	line = strings.TrimSpace(line)
	if line == "" {
		return otherwise
	}
	const most = 120 // bytes; a title is read at a glance
	if len(line) <= most {
		return line
	}
	line = line[:most]
	for !utf8.ValidString(line) {
		line = line[:len(line)-1]
	}
	return line + "…"
}
