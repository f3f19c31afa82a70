package console

import (
	"errors"
	"net/http"
	"slices"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
)

type endpointShowView struct {
	Endpoint     endpointView
	May          abilities
	Progress     *progressView // of the command that the page follows; nil when none
	Commands     []dispatch.Command
	Acquisitions []evidence.Acquisition
	Boots        []bootView
	Incidents    []incident.Incident // open ones of this endpoint
	Names        map[string]string   // incident identifier to number
	Label        form
	Place        form
	Card         isolationCard
}

const commandsShown = 15

func (s *server) endpointShow(v *visit) error {
	view, err := s.endpointShowView(v)
	if err != nil {
		return err
	}
	p := s.page(v, "endpoint_show", plain(view.Endpoint.Name, 80))
	p.Live = "endpoint=" + view.Endpoint.ID
	if view.Progress != nil && !view.Progress.Final {
		p.Refresh = 3
	}
	return s.showStatus(v, http.StatusOK, p, view)
}

func (s *server) endpointShowView(v *visit) (endpointShowView, error) {
	view := endpointShowView{May: abilitiesOf(v.operator.Role), Label: form{}}
	e, err := s.endpoints.Endpoint(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return view, err
	}
	view.Endpoint = viewEndpoint(e, v.now)
	view.Label.Values = map[string]string{"label": e.Label}
	if view.Place, err = s.placeForm(v, e); err != nil {
		return view, err
	}
	if view.Card, err = s.isolationCardOf(v, view.Endpoint); err != nil {
		return view, err
	}
	if view.Commands, err = s.orders.Commands(v.ctx(), v.actor, act.CommandFilter{EndpointID: e.ID, Limit: commandsShown}); err != nil {
		return view, err
	}
	slices.SortStableFunc(view.Commands, func(a, b dispatch.Command) int { return b.IssuedAt.Compare(a.IssuedAt) })
	if view.Acquisitions, err = s.endpoints.EndpointAcquisitions(v.ctx(), v.actor, e.ID); err != nil {
		return view, err
	}
	slices.SortStableFunc(view.Acquisitions, func(a, b evidence.Acquisition) int { return b.ReceivedAt.Compare(a.ReceivedAt) })
	boots, err := s.endpoints.Boots(v.ctx(), v.actor, e.ID)
	if err != nil {
		return view, err
	}
	view.Boots, view.Endpoint.Ends = viewBoots(v.text, boots), boots
	incidents, err := s.incidents.Incidents(v.ctx(), v.actor)
	if err != nil {
		return view, err
	}
	view.Names = numbersOf(incidents)
	view.Incidents = touching(openOnes(incidents), e.ID)
	if c, ok := followed(view.Commands, v.r.URL.Query().Get("command")); ok {
		if view.Progress, err = s.progressOf(v, c, view.Endpoint, view.Acquisitions); err != nil {
			return view, err
		}
	}
	return view, nil
}

// followed is the command whose progress a page shows: the one that the address
// names, else the newest if its PC did not go down, else the newest that is not finished.
func followed(commands []dispatch.Command, id string) (dispatch.Command, bool) {
	for _, c := range commands {
		if id != "" && c.ID == id {
			return c, true
		}
	}
	for i, c := range commands {
		if !c.Status.Final() || i == 0 && c.Status == dispatch.NotDown {
			return c, true
		}
	}
	return dispatch.Command{}, false
}

func numbersOf(all []incident.Incident) map[string]string {
	names := make(map[string]string, len(all))
	for _, i := range all {
		names[i.ID] = i.Number
	}
	return names
}

func touching(all []incident.Incident, endpointID string) []incident.Incident {
	var some []incident.Incident
	for _, i := range all {
		if slices.Contains(i.EndpointIDs, endpointID) {
			some = append(some, i)
		}
	}
	return some
}

func (s *server) endpointLabel(v *visit) error {
	f, err := readForm(v, field{name: "label", max: 128, empty: true})
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if f.ok() {
		err := s.endpoints.LabelEndpoint(v.ctx(), v.actor, id, f.Values["label"])
		if err == nil {
			return s.done(v, "endpoint.labelled", "/endpoints/"+id)
		}
		if !f.refuse(v, err) || errors.Is(err, act.ErrNotFound) {
			return err
		}
	}
	view, err := s.endpointShowView(v)
	if err != nil {
		return err
	}
	view.Label = f
	return s.showStatus(v, http.StatusUnprocessableEntity, s.page(v, "endpoint_show", plain(view.Endpoint.Name, 80)), view)
}
