package act

import (
	"context"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/sqldb"
)

// GroupMember is one endpoint of a group and how far it is.
type GroupMember struct {
	group.Member
	Endpoint endpoint.Endpoint
	Capture  *dispatch.Command // nil: none was ordered
	Command  *dispatch.Command // nil: not given yet
}

// Groups lists orders to groups, newest first.
func (s *Acts) Groups(ctx context.Context, a Actor, n int) ([]group.Order, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]group.Order, error) {
		return group.List(ctx, q, a.OrganisationID, limit(n))
	})
}

// Group finds an order to a group with its members as they are now.
func (s *Acts) Group(ctx context.Context, a Actor, id string) (g group.Order, members []GroupMember, err error) {
	g, err = read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (group.Order, error) {
		g, err := group.ByID(ctx, q, id)
		if err != nil {
			return g, err
		}
		if err := a.own(g.OrganisationID); err != nil {
			return g, err
		}
		list, err := group.Members(ctx, q, g.ID)
		if err != nil {
			return g, err
		}
		for _, m := range list {
			e, err := endpoint.ByID(ctx, q, m.EndpointID)
			if err != nil {
				return g, err
			}
			gm := GroupMember{Member: m, Endpoint: s.asOfNow(e)}
			if gm.Capture, err = commandOrNil(ctx, q, m.CaptureID); err != nil {
				return g, err
			}
			if gm.Command, err = commandOrNil(ctx, q, m.CommandID); err != nil {
				return g, err
			}
			members = append(members, gm)
		}
		return g, nil
	})
	if err != nil {
		return group.Order{}, nil, err
	}
	return g, members, nil
}

func commandOrNil(ctx context.Context, q sqldb.Queryer, id string) (*dispatch.Command, error) {
	if id == "" {
		return nil, nil
	}
	c, err := dispatch.ByID(ctx, q, id)
	if err != nil {
		return nil, err
	}
	return &c, nil
}
