package console

import (
	"net/http"

	"hozen/collector/internal/incident"
)

type incidentListView struct {
	Open, Closed []incident.Incident // no drills
	Drills       []incident.Incident // open ones first
	May          abilities
}

func (s *server) incidentList(v *visit) error {
	all, err := s.incidents.Incidents(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	earnest, drills := parted(all)
	view := incidentListView{Open: openOnes(earnest), Drills: openOnes(drills), May: abilitiesOf(v.operator.Role)}
	for _, i := range drills {
		if !i.ClosedAt.IsZero() {
			view.Drills = append(view.Drills, i)
		}
	}
	for _, i := range earnest {
		if !i.ClosedAt.IsZero() {
			view.Closed = append(view.Closed, i)
		}
	}
	p := s.page(v, "incident_list", v.text.Text("title.incident_list"))
	p.Live, p.Refresh = "all=1", 30
	return s.showStatus(v, http.StatusOK, p, view)
}
