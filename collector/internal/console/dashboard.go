package console

import (
	"errors"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/watch"
)

type dashboardView struct {
	Endpoints []endpointView
	Requests  []enroll.Request
	Incidents []incident.Incident // open ones, no drills
	Drills    []incident.Incident // open ones
	Online    int
	Isolated  int
	Unknown   int
	Active    int // endpoints that are not revoked
	// Deadlines are those that end first, of the incidents that have some.
	Deadlines []dashboardDeadline
	// Ledger is how the ledger differs from what was signed; empty: it does not.
	Ledger string
	// Concerns are those of the watch itself.
	Concerns []watch.Concern
	Urgent   int
	// Now answers the three questions that somebody has who opens the page.
	Now nowView
}

// dashboard is the first page: what waits for a person, then every endpoint.
func (s *server) dashboard(v *visit) error {
	all, err := s.endpoints.Endpoints(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	requests, err := s.waiting(v)
	if err != nil {
		return err
	}
	incidents, err := s.incidents.Incidents(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := dashboardView{Endpoints: viewEndpoints(all, v.now), Requests: requests}
	view.Incidents, view.Drills = parted(openOnes(incidents))
	for _, e := range view.Endpoints {
		if e.Presence == "revoked" {
			continue
		}
		view.Active++
		if e.Online {
			view.Online++
		}
		switch endpoint.State(e.Isolation.State) {
		case endpoint.Isolated:
			view.Isolated++
		case endpoint.Unknown:
			view.Unknown++
		}
	}
	next, err := s.workbench.NextDeadlines(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view.Deadlines = viewNextDeadlines(next, v.now)
	differs, err := s.ledger.LedgerDiffers(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	if differs != nil {
		view.Ledger = string(differs.Kind)
	}
	if view.Concerns, err = s.concerns(v); err != nil {
		return err
	}
	view.Urgent = urgent(view.Concerns)
	if err := s.viewNow(v, &view, next); err != nil {
		return err
	}
	p := s.page(v, "dashboard", v.text.Text("title.dashboard"))
	p.Live, p.Refresh = "all=1", 30
	return s.showStatus(v, 200, p, view)
}

// waiting returns the enrolments that wait for approval; roles that may not see them
// have none.
func (s *server) waiting(v *visit) ([]enroll.Request, error) {
	requests, err := s.enrolment.EnrollmentRequests(v.ctx(), v.actor)
	if errors.Is(err, act.ErrForbidden) {
		return nil, nil
	}
	return requests, err
}

func openOnes(all []incident.Incident) []incident.Incident {
	var open []incident.Incident
	for _, i := range all {
		if i.ClosedAt.IsZero() {
			open = append(open, i)
		}
	}
	return open
}
