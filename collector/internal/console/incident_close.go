package console

import (
	"net/http"
	"slices"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
)

type incidentCloseView struct {
	Incident incident.Incident
	Isolated []endpointView // still cut off; closing does not release them
	// Withdrawn are those whose orders to go down are withdrawn with the closing.
	Withdrawn []endpointView
	Codes     []incident.CloseCode
	Form      form
}

func (s *server) incidentCloseForm(v *visit) error {
	return s.showIncidentClose(v, form{}, http.StatusOK)
}

func (s *server) showIncidentClose(v *visit, f form, status int) error {
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := incidentCloseView{Incident: i, Codes: incident.CloseCodes(), Form: f}
	if i.Drill {
		view.Codes = nil // a drill ends as one
	}
	commands, err := s.orders.Commands(v.ctx(), v.actor, act.CommandFilter{IncidentID: i.ID, Limit: 200})
	if err != nil {
		return err
	}
	for _, id := range i.EndpointIDs {
		e, err := s.endpoints.Endpoint(v.ctx(), v.actor, id)
		if err != nil {
			return err
		}
		if e.RevokedAt.IsZero() && (e.Isolation.Desired == endpoint.Isolated || e.Isolation.Observed == endpoint.Isolated) {
			view.Isolated = append(view.Isolated, viewEndpoint(e, v.now))
		}
		if slices.ContainsFunc(commands, func(c dispatch.Command) bool { return c.EndpointID == id && c.Down() && c.Status == dispatch.Queued }) {
			view.Withdrawn = append(view.Withdrawn, viewEndpoint(e, v.now))
		}
	}
	p := s.page(v, "incident_close", v.text.Text("title.incident_close"))
	p.Here = "/incidents/" + i.ID + "/close"
	return s.showStatus(v, status, p, view)
}

func (s *server) incidentClose(v *visit) error {
	f, err := readForm(v, field{name: "reason", kind: manyLines, max: maxReason}, field{name: "code", max: 32, empty: true})
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if f.ok() {
		code := incident.CloseCode(f.Values["code"])
		if code == "" {
			code = incident.Resolved
		}
		err := s.life.CloseIncidentAs(v.ctx(), v.actor, id, code, f.Values["reason"])
		if err == nil {
			if m, err := s.drills.DrillMark(v.ctx(), v.actor, id); err == nil {
				return s.done(v, "drill.closed", "/incidents/"+m.IncidentID+"/drill")
			}
			return s.done(v, "incident.closed", "/incidents/"+id)
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showIncidentClose(v, f, http.StatusUnprocessableEntity)
}
