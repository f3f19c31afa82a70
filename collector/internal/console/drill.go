package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/drill"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
)

// drillOf returns the drill to which a page belongs, by its address, for the mark that stands on
// it; nil where all is real or nobody is signed in.
func (s *server) drillOf(v *visit) *act.Marked {
	if v.operator.ID == "" {
		return nil
	}
	ref := v.r.PathValue("id")
	switch first, _, _ := strings.Cut(strings.TrimPrefix(v.r.URL.Path, "/"), "/"); first {
	case "incidents", "evidence":
	case "endpoints", "contacts", "groups":
		if ref = v.r.URL.Query().Get("incident"); ref == "" {
			ref = v.r.PostForm.Get("incident")
		}
	default:
		return nil
	}
	if ref == "" {
		return nil
	}
	m, err := s.drills.DrillMark(v.ctx(), v.actor, ref)
	if err != nil {
		return nil // real, or the page says itself what is wrong
	}
	return &m
}

// scenarios are the playbooks that can be drilled.
func scenarios() []incident.Classification {
	return []incident.Classification{incident.Malware, incident.Ransomware, incident.Outage, incident.Leak}
}

type drillNewView struct {
	Form      form
	Scenarios []incident.Classification
	Endpoints []endpointView
	Chosen    map[string]bool
	Targets   []drill.Target
}

func (s *server) drillNewForm(v *visit) error {
	f := form{Values: map[string]string{"discovered": v.now.In(jst()).Format(localInput)}}
	return s.showDrillNew(v, f, map[string]bool{v.r.URL.Query().Get("endpoint"): true}, http.StatusOK)
}

func (s *server) showDrillNew(v *visit, f form, chosen map[string]bool, status int) error {
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	all, err := s.endpoints.Endpoints(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	active := slices.DeleteFunc(all, func(e endpoint.Endpoint) bool { return !e.RevokedAt.IsZero() })
	return s.showStatus(v, status, s.page(v, "drill_new", v.text.Text("title.drill_new")),
		drillNewView{Form: f, Scenarios: scenarios(), Endpoints: viewEndpoints(active, v.now), Chosen: chosen, Targets: s.workbench.Guides().Drills.Targets()})
}

func (s *server) drillNew(v *visit) error {
	f, err := readForm(v, field{name: "title", max: 240, empty: true}, field{name: "classification", max: 32}, field{name: "discovered", max: 32})
	if err != nil {
		return err
	}
	reported, err := parseLocal(f.Values["discovered"])
	if err != nil && f.Errors["discovered"] == "" {
		f.Errors["discovered"] = v.text.Text("invalid.time")
	}
	if reported.After(v.now.Add(time.Minute)) {
		f.Errors["discovered"] = v.text.Text("invalid.future")
	}
	chosen := map[string]bool{}
	for _, id := range v.r.PostForm["endpoint"] {
		chosen[id] = true
	}
	scenario := incident.Classification(f.Values["classification"])
	if f.Errors["classification"] == "" && !slices.Contains(scenarios(), scenario) {
		f.Errors["classification"] = v.text.Text("invalid.unknown")
	}
	if f.ok() {
		title := f.Values["title"]
		if title == "" {
			title = v.text.Text("drill.new.default", "scenario", v.text.Text("classification."+string(scenario)))
		}
		if reported.After(v.now) {
			reported = v.now // the minute of the form was rounded
		}
		i, err := s.incidents.OpenIncident(v.ctx(), v.actor, act.NewIncident{Title: title, Classification: scenario, DiscoveredAt: reported,
			EndpointIDs: v.r.PostForm["endpoint"], Drill: true})
		if err == nil {
			return s.done(v, "drill.opened", "/incidents/"+i.ID)
		}
		if !f.refuse(v, err) {
			return err
		}
		for old, name := range map[string]string{"discovered_at": "discovered", "endpoint_ids": "endpoint"} {
			if reason := f.Errors[old]; reason != "" {
				f.Errors[name] = reason
			}
		}
	}
	return s.showDrillNew(v, f, chosen, http.StatusUnprocessableEntity)
}

type drillShowView struct {
	act.Drill
	May   abilities
	Open  bool
	Laps  []lapView
	Next  drill.Moment // what is to be done next; empty: everything was reached
	Steps []stepView
	Form  form
	// KeptAt is when the result was frozen, and KeptIdx its entry in the ledger.
	KeptAt  time.Time
	KeptIdx int64
	InTime  int
	// FirstEvidence says whether evidence came before isolation: yes, no, or nothing.
	FirstEvidence string
}

type lapView struct {
	drill.Lap
	Tone string
}

type stepView struct {
	drill.Step
	Endpoint string
}

// drillShow is how a drill stands, and what came of it when it is over.
func (s *server) drillShow(v *visit) error { return s.showDrill(v, form{}, http.StatusOK) }

func (s *server) showDrill(v *visit, f form, status int) error {
	d, err := s.drills.DrillOf(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	all, err := s.endpoints.Endpoints(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	names := make(map[string]string, len(all))
	for _, e := range all {
		names[e.ID] = viewEndpoint(e, v.now).Name
	}
	view := drillShowView{Drill: d, May: abilitiesOf(v.operator.Role), Open: d.Incident.ClosedAt.IsZero(), Form: f, InTime: d.Result.InTime()}
	if first := d.Result.FirstEvidence; first != nil {
		view.FirstEvidence = map[bool]string{true: "yes", false: "no"}[*first]
	}
	for _, l := range d.Result.Laps {
		tone := map[drill.State]string{drill.InTime: "ok", drill.Late: "warn", drill.Overdue: "warn", drill.NotDone: "bad"}[l.State]
		view.Laps = append(view.Laps, lapView{l, tone})
		if view.Next == "" && l.At.IsZero() {
			view.Next = l.Moment
		}
	}
	for _, st := range d.Steps {
		sv := stepView{Step: st}
		if st.EndpointID != "" {
			sv.Endpoint = nameOf(names, st.EndpointID)
		}
		view.Steps = append(view.Steps, sv)
	}
	if n := len(d.Kept); n > 0 && !view.Open {
		view.KeptAt, view.KeptIdx = d.Kept[n-1].At, d.Kept[n-1].LedgerIdx
	}
	title := "title.drill_show"
	if view.Open {
		title = "drill.progress"
	}
	p := s.page(v, "drill_show", v.text.Text(title)+" "+d.Incident.Number)
	p.Here = "/incidents/" + d.Incident.ID + "/drill"
	return s.showStatus(v, status, p, view)
}

// drillStep records what somebody only simulates, or that the owner was told.
func (s *server) drillStep(v *visit) error {
	f, err := readForm(v, field{name: "what", max: 16}, field{name: "endpoint", max: 64, empty: true}, field{name: "note", kind: manyLines, max: drill.MaxNote, empty: true})
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if f.ok() {
		err := s.drills.StepDrill(v.ctx(), v.actor, id, act.DrillStep{What: drill.What(f.Values["what"]), EndpointID: f.Values["endpoint"], Note: f.Values["note"]})
		if err == nil {
			return s.done(v, "drill.step.done", "/incidents/"+id+"/drill")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showDrill(v, f, http.StatusUnprocessableEntity)
}

type drillRealView struct {
	Incident        incident.Incident
	Form            form
	Classifications []incident.Classification
	Endpoints       []endpointView
	Chosen          map[string]bool
}

func (s *server) drillRealForm(v *visit) error {
	return s.showDrillReal(v, form{}, map[string]bool{}, http.StatusOK)
}

func (s *server) showDrillReal(v *visit, f form, chosen map[string]bool, status int) error {
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	d, err := s.drills.DrillOf(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := drillRealView{Incident: d.Incident, Form: f, Classifications: classifications(), Chosen: chosen}
	all, err := s.endpoints.Endpoints(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	// Those of the drill first: there the sign was most likely seen.
	for _, of := range []bool{true, false} {
		for _, e := range all {
			if e.RevokedAt.IsZero() && slices.Contains(d.Incident.EndpointIDs, e.ID) == of {
				view.Endpoints = append(view.Endpoints, viewEndpoint(e, v.now))
			}
		}
	}
	p := s.page(v, "drill_real", v.text.Text("title.drill_real"))
	p.Here = "/incidents/" + d.Incident.ID + "/drill/real"
	return s.showStatus(v, status, p, view)
}

// drillReal opens a real incident about what was found in a drill.
func (s *server) drillReal(v *visit) error {
	f, err := readForm(v, field{name: "seen", kind: manyLines, max: maxNote}, field{name: "classification", max: 32, empty: true})
	if err != nil {
		return err
	}
	chosen := map[string]bool{}
	for _, id := range v.r.PostForm["endpoint"] {
		chosen[id] = true
	}
	if f.ok() {
		i, err := s.drills.NotADrill(v.ctx(), v.actor, v.r.PathValue("id"), act.RealSign{Seen: f.Values["seen"],
			Classification: incident.Classification(f.Values["classification"]), EndpointIDs: v.r.PostForm["endpoint"]})
		if err == nil {
			return s.done(v, "drill.real.opened", "/incidents/"+i.ID)
		}
		if !f.refuse(v, err) {
			return err
		}
		if reason := f.Errors["endpoint_ids"]; reason != "" {
			f.Errors["endpoint"] = reason
		}
	}
	return s.showDrillReal(v, f, chosen, http.StatusUnprocessableEntity)
}

// parted tells real incidents from drills.
func parted(all []incident.Incident) (earnest, drills []incident.Incident) {
	for _, i := range all {
		if i.Drill {
			drills = append(drills, i)
		} else {
			earnest = append(earnest, i)
		}
	}
	return earnest, drills
}
