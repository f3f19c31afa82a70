package console

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
)

type incidentShowView struct {
	Incident     incident.Incident
	May          abilities
	Endpoints    []incidentEndpoint
	Entries      []entryView // the newest
	Older        int         // entries that only the timeline's own page shows
	Acquisitions []acquisitionView
	Custody      exhibitCard
	Record       recordCard
	Playbook     playbookCard
	Deadlines    deadlineCard
	Steps        []briefStep
	People       peopleCard
	Note         form
	Status       incidentStatus
}

// incidentEndpoint is an endpoint of the incident and the order under way on it.
type incidentEndpoint struct {
	endpointView
	Progress *progressView
}

// acquisitionView is one acquisition and the evidence that came of it.
type acquisitionView struct {
	evidence.Acquisition
	EndpointName string
	Evidence     []evidence.Item
}

func (s *server) incidentShow(v *visit) error {
	return s.showIncident(v, form{}, http.StatusOK)
}

func (s *server) showIncident(v *visit, note form, status int) error {
	return s.showIncidentWith(v, note, form{}, status)
}

func (s *server) showIncidentWith(v *visit, note, hold form, status int) error {
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := incidentShowView{Incident: i, May: abilitiesOf(v.operator.Role), Note: note}
	acquisitions, err := s.evidence.Acquisitions(v.ctx(), v.actor, i.ID)
	if err != nil {
		return err
	}
	items, err := s.evidence.Evidence(v.ctx(), v.actor, i.ID)
	if err != nil {
		return err
	}
	commands, err := s.orders.Commands(v.ctx(), v.actor, act.CommandFilter{IncidentID: i.ID, Limit: 200})
	if err != nil {
		return err
	}
	all, err := s.endpoints.Endpoints(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	custody, err := s.custody.Custody(v.ctx(), v.actor, i.ID)
	if err != nil {
		return err
	}
	view.Custody = viewExhibits(custody, view.May, hold)
	if view.Record, err = s.recordCard(v, i); err != nil {
		return err
	}
	if err := s.fillWorkbench(v, i.ID, &view); err != nil {
		return err
	}
	entries, total, err := s.incidents.TimelinePage(v.ctx(), v.actor, i.ID, 0, entriesShown)
	if err != nil {
		return err
	}
	view.Older = total - len(entries)
	names := make(map[string]string, len(all))
	for _, e := range all {
		ev := viewEndpoint(e, v.now)
		names[e.ID] = ev.Name
		if !slices.Contains(i.EndpointIDs, e.ID) {
			continue
		}
		ie := incidentEndpoint{endpointView: ev}
		if c, ok := followed(commandsOf(commands, e.ID), ""); ok {
			if c.Then.Down() {
				if ev.Ends, err = s.endpoints.Boots(v.ctx(), v.actor, e.ID); err != nil {
					return err
				}
			}
			if ie.Progress, err = s.progressOf(v, c, ev, acquisitions); err != nil {
				return err
			}
		}
		view.Endpoints = append(view.Endpoints, ie)
	}
	if err := s.status(v, &view, commands, acquisitions); err != nil {
		return err
	}
	view.Acquisitions = groupEvidence(acquisitions, items, names)
	view.Entries = viewTimeline(v.text, entries, names)

	p := s.page(v, "incident_show", i.Number+" "+plain(i.Title, 80))
	p.Here = "/incidents/" + i.ID
	p.Live = "incident=" + i.ID // never by a timed reload: that would sweep away a half-written note
	return s.showStatus(v, status, p, view)
}

// commandsOf are the commands of one endpoint, newest first.
func commandsOf(all []dispatch.Command, endpointID string) []dispatch.Command {
	var some []dispatch.Command
	for _, c := range all {
		if c.EndpointID == endpointID {
			some = append(some, c)
		}
	}
	slices.SortStableFunc(some, func(a, b dispatch.Command) int { return b.IssuedAt.Compare(a.IssuedAt) })
	return some
}

func groupEvidence(acquisitions []evidence.Acquisition, items []evidence.Item, names map[string]string) []acquisitionView {
	var views []acquisitionView
	for _, a := range acquisitions {
		view := acquisitionView{Acquisition: a, EndpointName: nameOf(names, a.EndpointID)}
		for _, it := range items {
			if it.AcquisitionID == a.ID {
				view.Evidence = append(view.Evidence, it)
			}
		}
		slices.SortStableFunc(view.Evidence, func(x, y evidence.Item) int { return strings.Compare(x.Number, y.Number) })
		views = append(views, view)
	}
	slices.SortStableFunc(views, func(a, b acquisitionView) int { return b.ReceivedAt.Compare(a.ReceivedAt) })
	return views
}

func nameOf(names map[string]string, id string) string {
	if n, ok := names[id]; ok {
		return n
	}
	return id
}

// maxNote is how long a note may be, in bytes.
const maxNote = 8192

func (s *server) incidentNote(v *visit) error {
	f, err := readForm(v, field{name: "text", kind: manyLines, max: maxNote})
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if f.ok() {
		err := s.incidents.AddNote(v.ctx(), v.actor, id, f.Values["text"])
		if err == nil {
			return s.done(v, "note.added", "/incidents/"+id+"#timeline")
		}
		if !f.refuse(v, err) || errors.Is(err, act.ErrNotFound) {
			return err
		}
	}
	return s.showIncident(v, f, http.StatusUnprocessableEntity)
}
