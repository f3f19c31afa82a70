package console

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/export"
	"hozen/collector/internal/incident"
)

type incidentExportView struct {
	Incident  incident.Incident
	Endpoints []endpointView
	Profiles  []string
	Chosen    map[string]bool // endpoints and profiles that are ticked
	Packages  []export.Record // newest first
	Ready     string          // identifier of the package that was just ordered
	Evidence  int             // acquisitions of the incident
	Form      form
}

func (s *server) incidentExportForm(v *visit) error {
	return s.showIncidentExport(v, form{}, nil, http.StatusOK)
}

func (s *server) showIncidentExport(v *visit, f form, chosen map[string]bool, status int) error {
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := incidentExportView{Incident: i, Chosen: chosen, Form: f, Ready: v.r.URL.Query().Get("ready")}
	if view.Packages, err = s.exports.Exports(v.ctx(), v.actor, i.ID); err != nil {
		return err
	}
	acquisitions, err := s.evidence.Acquisitions(v.ctx(), v.actor, i.ID)
	if err != nil {
		return err
	}
	view.Evidence = len(acquisitions)
	for _, a := range acquisitions {
		if !slices.Contains(view.Profiles, a.Profile) {
			view.Profiles = append(view.Profiles, a.Profile)
		}
	}
	slices.Sort(view.Profiles)
	for _, id := range i.EndpointIDs {
		e, err := s.endpoints.Endpoint(v.ctx(), v.actor, id)
		if err != nil {
			return err
		}
		view.Endpoints = append(view.Endpoints, viewEndpoint(e, v.now))
	}
	p := s.page(v, "incident_export", v.text.Text("title.incident_export"))
	p.Here = "/incidents/" + i.ID + "/export"
	return s.showStatus(v, status, p, view)
}

// maxTicks bounds the boxes that one form can tick.
const maxTicks = export.MaxScope

func (s *server) incidentExport(v *visit) error {
	f, err := readForm(v, field{name: "recipient", max: export.MaxRecipient}, field{name: "purpose", kind: manyLines, max: export.MaxPurpose})
	if err != nil {
		return err
	}
	n := act.NewExport{IncidentID: v.r.PathValue("id"), Recipient: f.Values["recipient"], Purpose: f.Values["purpose"], Hosts: v.r.PostForm["host"], Profiles: v.r.PostForm["profile"]}
	if len(n.Hosts)+len(n.Profiles) > maxTicks {
		f.Errors["hosts"] = v.text.Text("invalid.range")
	}
	if f.ok() {
		r, err := s.exports.OrderExport(v.ctx(), v.actor, n)
		if err == nil {
			return s.done(v, "export.ordered", "/incidents/"+r.IncidentID+"/export?ready="+url.QueryEscape(r.ID)+"#packages")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	chosen := map[string]bool{}
	for _, id := range append(slices.Clone(n.Hosts), n.Profiles...) {
		chosen[id] = true
	}
	return s.showIncidentExport(v, f, chosen, http.StatusUnprocessableEntity)
}

// exportDownload sends a package while it is made.
func (s *server) exportDownload(v *visit) error {
	r, err := s.exports.Export(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	if v.r.Method == http.MethodHead {
		attachment(v.w.Header(), r.Number+".zip", "application/zip")
		return nil
	}
	w := &slowWriter{w: v.w, c: http.NewResponseController(v.w), begin: func() { attachment(v.w.Header(), r.Number+".zip", "application/zip") }}
	_, err = s.exports.WriteExport(v.ctx(), v.actor, r.ID, w)
	if err != nil && w.begun {
		// The browser must not take what it has for a whole file; without a length, only a
		// connection that breaks tells it so.
		panic(http.ErrAbortHandler)
	}
	return err
}

// slowWriter gives every write its own time, for downloads take as long as they take.
type slowWriter struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	begin func()
	begun bool
}

func (s *slowWriter) Write(b []byte) (int, error) {
	if !s.begun {
		s.begin()
		s.begun = true
	}
	_ = s.c.SetWriteDeadline(time.Now().Add(downloadStall))
	return s.w.Write(b)
}
