package act

import (
	"context"
	"fmt"

	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
)

// SetRole gives another person another role, which takes effect at once: all sessions of the
// person end. Nobody changes the own role, and the last owner stays one. Who is no longer
// from outside loses what was granted.
func (s *Acts) SetRole(ctx context.Context, a Actor, operatorID string, to operator.Role) error {
	if !to.Valid() {
		return &Invalid{Field: "role", Code: "unknown", Err: fmt.Errorf("there is no role %.40q", to)}
	}
	return s.write(ctx, a, mayManagePeople, func(ctx context.Context, d *deed) error {
		o, err := d.reachable(ctx, operatorID)
		if err != nil {
			return err
		}
		switch {
		case !mayGrant(d.actor.Role, to):
			return fmt.Errorf("%w: the role %s may not make one of role %s", ErrForbidden, d.actor.Role, to)
		case d.actor.Kind == ByOperator && o.ID == d.actor.ID:
			return fmt.Errorf("%w: nobody changes the own role", ErrForbidden)
		case !o.DisabledAt.IsZero():
			return fmt.Errorf("%w: the operator is disabled", ErrConflict)
		case o.Role == to:
			return nil
		}
		if err := d.notLastOwner(ctx, o); err != nil {
			return err
		}
		if o.Role == operator.Vendor {
			if err := s.endGrants(ctx, d, o); err != nil {
				return err
			}
		}
		before, err := operator.SetRole(ctx, d.tx, o, to, d.now.Add(-organisation.TwoPersonsLinger), d.now)
		if err != nil {
			return err
		}
		_, err = d.record(ctx, operator.ActRole, o.ID, map[string]string{"name": o.Name, "was": string(o.Role), "role": string(to), operator.RolesWere: before})
		return err
	})
}

// notLastOwner refuses what would leave an organisation without an owner.
func (d *deed) notLastOwner(ctx context.Context, o operator.Operator) error {
	if o.Role != operator.Owner {
		return nil
	}
	all, err := operator.List(ctx, d.tx, d.actor.OrganisationID)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.ID != o.ID && other.Role == operator.Owner && other.DisabledAt.IsZero() {
			return nil
		}
	}
	return fmt.Errorf("%w: this is the last owner", ErrConflict)
}

// endGrants takes back all that was granted to somebody.
func (s *Acts) endGrants(ctx context.Context, d *deed, o operator.Operator) error {
	grants, err := operator.Grants(ctx, d.tx, o.ID)
	if err != nil {
		return err
	}
	for _, g := range grants {
		inc, err := incident.FindBare(ctx, d.tx, o.OrganisationID, g.IncidentID)
		if err != nil {
			return err
		}
		if _, err := operator.EndGrant(ctx, d.tx, o.ID, inc.ID); err != nil {
			return err
		}
		if err := s.granted(ctx, d, o, inc, operator.ActEndGrant, ""); err != nil {
			return err
		}
	}
	return nil
}

// SessionCounts tells in how many places the people of the actor's organisation are signed
// in, by identifier.
func (s *Acts) SessionCounts(ctx context.Context, a Actor) (map[string]int, error) {
	return read(ctx, s, a, mayManagePeople, func(q sqldb.Queryer, a Actor) (map[string]int, error) {
		return operator.SessionCounts(ctx, q, s.seals, a.OrganisationID, s.now())
	})
}
