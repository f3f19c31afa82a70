package console

import (
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
)

// entriesShown is how many entries the page of an incident shows; its timeline has them all.
const entriesShown = 30

type incidentTimelineView struct {
	Incident incident.Incident
	Picture  timelinePicture
	Entries  []entryView // newest first
	Pager    pager
}

// incidentTimeline shows the whole timeline: a picture of it, and all entries on pages.
func (s *server) incidentTimeline(v *visit) error {
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	values := v.r.URL.Query()
	q := query{Page: 1}
	if n, err := strconv.Atoi(values.Get("page")); err == nil {
		q.Page = min(max(n, 1), 1_000_000)
	}
	entries, total, err := s.incidents.TimelinePage(v.ctx(), v.actor, i.ID, (q.Page-1)*rowsPerPage, rowsPerPage)
	if err != nil {
		return err
	}
	all, err := s.endpoints.Endpoints(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	names := make(map[string]string, len(all))
	var own []endpointView
	for _, e := range all {
		ev := viewEndpoint(e, v.now)
		names[e.ID] = ev.Name
		if slices.Contains(i.EndpointIDs, e.ID) {
			own = append(own, ev)
		}
	}
	view := incidentTimelineView{Incident: i, Entries: viewTimeline(v.text, entries, names)}
	view.Pager = pager{Query: q, Total: total, Page: q.Page, Pages: max((total+rowsPerPage-1)/rowsPerPage, 1)}
	if len(entries) > 0 {
		view.Pager.First, view.Pager.Last = (q.Page-1)*rowsPerPage+1, (q.Page-1)*rowsPerPage+len(entries)
	}
	if q.Page == 1 {
		if view.Picture, err = s.timelinePicture(v, i, own, names); err != nil {
			return err
		}
	}
	p := s.page(v, "incident_timeline", v.text.Text("title.incident_timeline")+" "+i.Number)
	return s.showStatus(v, 200, p, view)
}

// timelinePicture reads what the picture shows.
func (s *server) timelinePicture(v *visit, i incident.Incident, own []endpointView, names map[string]string) (timelinePicture, error) {
	entries, err := s.incidents.Timeline(v.ctx(), v.actor, i.ID)
	if err != nil {
		return timelinePicture{}, err
	}
	own = own[:min(len(own), pictureEndpoints)]
	boots := map[string][]endpoint.Boot{}
	for _, e := range own {
		if boots[e.ID], err = s.endpoints.Boots(v.ctx(), v.actor, e.ID); err != nil {
			return timelinePicture{}, err
		}
	}
	values := v.r.URL.Query()
	from, _ := time.Parse(time.RFC3339, values.Get("from"))
	to, _ := time.Parse(time.RFC3339, values.Get("to"))
	pic := drawTimeline(v.text, entries, own, boots, names, from, to)
	pic.Elsewhere = max(len(i.EndpointIDs)-len(own), 0)
	return pic, nil
}
