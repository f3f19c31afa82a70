package console

import (
	"net/http"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
)

type incidentNewView struct {
	Form            form
	Classifications []incident.Classification
	Endpoints       []endpointView
	Chosen          map[string]bool
}

func classifications() []incident.Classification {
	return []incident.Classification{incident.NotYet, incident.Malware, incident.Ransomware, incident.Outage, incident.Leak}
}

// localInput is the layout of <input type="datetime-local">; people write it in JST.
const localInput = "2006-01-02T15:04"

func (s *server) incidentNewForm(v *visit) error {
	f := form{Values: map[string]string{"discovered": v.now.In(jst()).Format(localInput), "classification": string(incident.NotYet)}}
	return s.showIncidentNew(v, f, map[string]bool{v.r.URL.Query().Get("endpoint"): true}, http.StatusOK)
}

func (s *server) showIncidentNew(v *visit, f form, chosen map[string]bool, status int) error {
	all, err := s.endpoints.Endpoints(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	var active []endpoint.Endpoint
	for _, e := range all {
		if e.RevokedAt.IsZero() {
			active = append(active, e)
		}
	}
	return s.showStatus(v, status, s.page(v, "incident_new", v.text.Text("title.incident_new")),
		incidentNewView{Form: f, Classifications: classifications(), Endpoints: viewEndpoints(active, v.now), Chosen: chosen})
}

func (s *server) incidentNew(v *visit) error {
	f, err := readForm(v,
		field{name: "title", max: 256},
		field{name: "classification", max: 32, empty: true},
		field{name: "reporter", max: 256, empty: true},
		field{name: "discovered", max: 32},
		field{name: "heard_tel", max: 64, empty: true},
		field{name: "heard_at", max: 32, empty: true},
		field{name: "separate", max: 8, empty: true})
	if err != nil {
		return err
	}
	discovered, err := parseLocal(f.Values["discovered"])
	if err != nil && f.Errors["discovered"] == "" {
		f.Errors["discovered"] = v.text.Text("invalid.time")
	}
	if discovered.After(v.now.Add(time.Minute)) {
		f.Errors["discovered"] = v.text.Text("invalid.future")
	}
	heard := act.Heard{Tel: f.Values["heard_tel"]}
	if at := f.Values["heard_at"]; at != "" {
		if heard.At, err = parseLocal(at); err != nil {
			f.Errors["heard_at"] = v.text.Text("invalid.time")
		}
	}
	ids := v.r.PostForm["endpoint"]
	chosen := make(map[string]bool, len(ids))
	for _, id := range ids {
		chosen[id] = true
	}
	if f.ok() {
		i, err := s.incidents.OpenIncident(v.ctx(), v.actor, act.NewIncident{
			Title: f.Values["title"], Classification: incident.Classification(f.Values["classification"]),
			Reporter: f.Values["reporter"], DiscoveredAt: discovered, EndpointIDs: ids, Join: f.Values["separate"] == "", Heard: heard,
		})
		if err == nil {
			return s.done(v, "incident.opened", "/incidents/"+i.ID)
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
	return s.showIncidentNew(v, f, chosen, http.StatusUnprocessableEntity)
}

// parseLocal reads a moment as a form sends it, with or without seconds, in JST.
func parseLocal(value string) (time.Time, error) {
	t, err := time.ParseInLocation(localInput, value, jst())
	if err != nil {
		t, err = time.ParseInLocation(localInput+":05", value, jst())
	}
	return t, err
}
