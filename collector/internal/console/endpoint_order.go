package console

import (
	"net/http"
	"net/url"
	"slices"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/incident"
)

type endpointOrderView struct {
	Endpoint  endpointView
	Verb      dispatch.Verb
	Form      form
	Incidents []incident.Incident // open ones of this endpoint, to choose from
	Must      bool                // a reason is required
}

// maxReason is how long the reason of an order may be, in bytes.
const maxReason = 1024

func verbOf(v *visit) (dispatch.Verb, error) {
	verb := dispatch.Verb(v.r.PathValue("verb"))
	if !slices.Contains([]dispatch.Verb{dispatch.Acquire, dispatch.Isolate, dispatch.Release}, verb) {
		return "", act.ErrNotFound
	}
	return verb, nil
}

// endpointOrderForm is the step between the button and the deed: it says in plain
// words what will happen and asks why.
func (s *server) endpointOrderForm(v *visit) error {
	verb, err := verbOf(v)
	if err != nil {
		return err
	}
	if !abilitiesOf(v.operator.Role).Order {
		return act.ErrForbidden
	}
	f := form{Values: map[string]string{"incident": v.r.URL.Query().Get("incident")}}
	return s.showOrder(v, verb, f, http.StatusOK)
}

func (s *server) showOrder(v *visit, verb dispatch.Verb, f form, status int) error {
	e, err := s.endpoints.Endpoint(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	incidents, err := s.incidents.Incidents(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := endpointOrderView{Endpoint: viewEndpoint(e, v.now), Verb: verb, Form: f, Must: verb != dispatch.Acquire}
	view.Incidents = touching(openOnes(incidents), e.ID)
	p := s.page(v, "endpoint_order", v.text.Text("order."+string(verb)+".title"))
	p.Here = "/endpoints/" + e.ID + "/order/" + string(verb)
	return s.showStatus(v, status, p, view)
}

func (s *server) endpointOrder(v *visit) error {
	verb, err := verbOf(v)
	if err != nil {
		return err
	}
	f, err := readForm(v,
		field{name: "reason", max: maxReason, empty: verb == dispatch.Acquire},
		field{name: "incident", max: 64, empty: true},
		field{name: "isolate_first", max: 8, empty: true})
	if err != nil {
		return err
	}
	if !f.ok() {
		return s.showOrder(v, verb, f, http.StatusUnprocessableEntity)
	}
	order := act.Order{Reason: f.Values["reason"], IncidentID: f.Values["incident"]}
	do := s.orders.Acquire
	switch verb {
	case dispatch.Isolate:
		do = s.orders.Isolate
		order.IsolateFirst = f.Values["isolate_first"] == "1"
	case dispatch.Release:
		do = s.orders.Release
	case dispatch.Acquire:
		order.Profile = "flash"
	}
	c, err := do(v.ctx(), v.actor, v.r.PathValue("id"), order)
	if err != nil {
		if f.refuse(v, err) {
			return s.showOrder(v, verb, f, http.StatusUnprocessableEntity)
		}
		return err
	}
	return s.done(v, "order."+string(verb)+".done", "/endpoints/"+c.EndpointID+"?command="+url.QueryEscape(c.ID))
}
