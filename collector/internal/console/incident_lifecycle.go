package console

import (
	"errors"
	"net/http"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
)

type incidentLifecycleView struct {
	Incident  incident.Incident
	Others    []incident.Incident // open ones, into which it can be merged
	Endpoints []endpointView
	Chosen    map[string]bool
	Form      form
	Deed      string // of the form that is shown again
}

func (s *server) incidentLifecycleForm(v *visit) error {
	return s.showLifecycle(v, form{}, "", http.StatusOK)
}

func (s *server) showLifecycle(v *visit, f form, deed string, status int) error {
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := incidentLifecycleView{Incident: i, Form: f, Deed: deed, Chosen: map[string]bool{}}
	for _, id := range v.r.PostForm["endpoint"] {
		view.Chosen[id] = true
	}
	all, err := s.incidents.Incidents(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.ID != i.ID && other.Drill == i.Drill && other.ClosedAt.IsZero() {
			view.Others = append(view.Others, other)
		}
	}
	for _, id := range i.EndpointIDs {
		e, err := s.endpoints.Endpoint(v.ctx(), v.actor, id)
		if err != nil {
			return err
		}
		view.Endpoints = append(view.Endpoints, viewEndpoint(e, v.now))
	}
	p := s.page(v, "incident_lifecycle", v.text.Text("title.incident_lifecycle")+" "+i.Number)
	p.Here = "/incidents/" + i.ID + "/lifecycle"
	return s.showStatus(v, status, p, view)
}

// lifecycleDone answers a form about the life of an incident.
func (s *server) lifecycleDone(v *visit, f form, deed, flash, to string, err error) error {
	if err == nil && f.ok() {
		return s.done(v, flash, "/incidents/"+to)
	}
	if err != nil && (!f.refuse(v, err) || errors.Is(err, act.ErrNotFound)) {
		return err
	}
	if reason := f.Errors["endpoint_ids"]; reason != "" {
		f.Errors["endpoint"] = reason
	}
	return s.showLifecycle(v, f, deed, http.StatusUnprocessableEntity)
}

func (s *server) incidentReopen(v *visit) error {
	f, err := readForm(v, field{name: "reason", kind: manyLines, max: maxReason})
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if f.ok() {
		err = s.life.ReopenIncident(v.ctx(), v.actor, id, f.Values["reason"])
	}
	return s.lifecycleDone(v, f, "reopen", "lifecycle.reopened", id, err)
}

func (s *server) incidentMerge(v *visit) error {
	f, err := readForm(v, field{name: "into", max: 64}, field{name: "reason", kind: manyLines, max: maxReason})
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	var into incident.Incident
	if f.ok() {
		into, err = s.life.MergeIncident(v.ctx(), v.actor, id, f.Values["into"], f.Values["reason"])
	}
	return s.lifecycleDone(v, f, "merge", "lifecycle.merged", into.ID, err)
}

func (s *server) incidentSplit(v *visit) error {
	f, err := readForm(v, field{name: "title", max: incident.MaxTitle}, field{name: "reason", kind: manyLines, max: maxReason})
	if err != nil {
		return err
	}
	var made incident.Incident
	if f.ok() {
		made, err = s.life.SplitIncident(v.ctx(), v.actor, v.r.PathValue("id"), v.r.PostForm["endpoint"], f.Values["title"], f.Values["reason"])
	}
	return s.lifecycleDone(v, f, "split", "lifecycle.split", made.ID, err)
}
