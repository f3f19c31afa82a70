package act

import (
	"context"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
)

// many is what one transaction knows of very many endpoints, each of which gets an order
// in it: read and counted together, because one by one that takes longer than the orders.
type many struct {
	endpoints map[string]endpoint.Endpoint
	incident  *incident.Incident // nil: each endpoint's own
	joined    map[string]bool    // endpoints of the incident
	counters  map[string]uint64  // of the next command; none: not counted yet
	waiting   map[string]bool    // endpoints that had an order outstanding before
}

// answer has the deed leave for each endpoint that gets a command what its stream will
// ask: a thousand are woken at once, and would read back together what was just written.
// Who had another order outstanding, or got one since, asks the database.
func (m *many) answer(s *Acts, d *deed, given []dispatch.Command) {
	d.answers = append(d.answers, func() {
		for _, c := range given {
			if m.waiting[c.EndpointID] || !s.asking.turns.has(d.turn, c.EndpointID) {
				continue
			}
			s.asking.outstanding.remember(c.EndpointID, []dispatch.Command{c})
			// An incident that is opened with the order is the newest.
			if m.incident != nil && !m.incident.Drill && m.incident.OpenedAt.Equal(d.now) {
				s.asking.openNumbers.remember(c.EndpointID, m.incident.Number)
			}
			if !s.asking.turns.has(d.turn, c.EndpointID) { // it forgot before this remembered
				s.asking.forget([]string{c.EndpointID})
			}
		}
	})
}

// many reads the members that are not left out, and the incident that their orders belong
// to. known are endpoints as the transaction has read them.
func (s *Acts) many(ctx context.Context, d *deed, incidentID string, members []group.Member, known map[string]endpoint.Endpoint) (*many, error) {
	all := &many{endpoints: known, joined: map[string]bool{}}
	if known == nil {
		var err error
		if all.endpoints, err = endpoint.ByIDs(ctx, d.tx, inGroup(members)); err != nil {
			return nil, err
		}
	}
	if incidentID == "" {
		return all, nil
	}
	inc, err := s.incidentOpen(ctx, d, incidentID)
	if err != nil {
		return nil, err
	}
	all.incident = &inc
	ids, err := incident.Endpoints(ctx, d.tx, inc.ID)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		all.joined[id] = true
	}
	return all, nil
}

// endpoint returns one of them.
func (m *many) endpoint(id string) (endpoint.Endpoint, error) {
	e, ok := m.endpoints[id]
	if !ok {
		return e, endpoint.ErrNotFound
	}
	return e, nil
}

// count gives each member that is not left out the counter of its next command. All of
// them must get one: an agent wonders about a counter that never comes.
func (m *many) count(ctx context.Context, d *deed, members []group.Member) error {
	var err error
	if m.waiting, err = dispatch.Waiting(ctx, d.tx, inGroup(members)); err != nil {
		return err
	}
	m.counters, err = dispatch.Count(ctx, d.tx, d.actor.OrganisationID, inGroup(members))
	return err
}

// inGroup are the endpoints of the members that are not left out.
func inGroup(members []group.Member) []string {
	var ids []string
	for _, m := range members {
		if m.LeftOut == "" {
			ids = append(ids, m.EndpointID)
		}
	}
	return ids
}
