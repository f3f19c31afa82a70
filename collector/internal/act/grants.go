package act

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb"
)

// GrantIncident lets somebody of the role vendor see one incident until a time, in place of
// what was granted of it before.
func (s *Acts) GrantIncident(ctx context.Context, a Actor, operatorID, incidentID string, until time.Time) error {
	now := s.now()
	if !until.After(now) || until.After(now.Add(operator.MaxGrant)) {
		return &Invalid{Field: "until", Code: "range", Err: errors.New("it must be in the future and within a year")}
	}
	return s.write(ctx, a, mayManagePeople, func(ctx context.Context, d *deed) error {
		o, inc, err := d.guest(ctx, operatorID, incidentID)
		if err != nil {
			return err
		}
		if !o.DisabledAt.IsZero() {
			return fmt.Errorf("%w: the operator is disabled", ErrConflict)
		}
		g := operator.Grant{OperatorID: o.ID, OrganisationID: o.OrganisationID, IncidentID: inc.ID, Until: until, GrantedBy: d.actor.ID, GrantedAt: d.now}
		if err := operator.SetGrant(ctx, d.tx, g); err != nil {
			return err
		}
		return s.granted(ctx, d, o, inc, operator.ActGrant, sqldb.FormatTime(until))
	})
}

// EndGrant takes a grant back at once. One that is not there is no error.
func (s *Acts) EndGrant(ctx context.Context, a Actor, operatorID, incidentID string) error {
	return s.write(ctx, a, mayManagePeople, func(ctx context.Context, d *deed) error {
		o, inc, err := d.guest(ctx, operatorID, incidentID)
		if err != nil {
			return err
		}
		was, err := operator.EndGrant(ctx, d.tx, o.ID, inc.ID)
		if err != nil || !was {
			return err
		}
		return s.granted(ctx, d, o, inc, operator.ActEndGrant, "")
	})
}

// guest finds somebody from outside and an incident.
func (d *deed) guest(ctx context.Context, operatorID, incidentID string) (operator.Operator, incident.Incident, error) {
	o, err := d.reachable(ctx, operatorID)
	if err != nil {
		return o, incident.Incident{}, err
	}
	if o.Role != operator.Vendor {
		return o, incident.Incident{}, fmt.Errorf("%w: only people of the role vendor are granted incidents one by one", ErrConflict)
	}
	inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, incidentID)
	return o, inc, err
}

func (s *Acts) granted(ctx context.Context, d *deed, o operator.Operator, inc incident.Incident, act, until string) error {
	facts := map[string]string{"operator": o.ID, "name": o.Name, "until": until}
	idx, err := d.record(ctx, act, o.ID, map[string]string{"incident": inc.ID, "number": inc.Number, "name": o.Name, "until": until})
	if err != nil {
		return err
	}
	facts["what"] = strings.TrimPrefix(act, "operator.")
	return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryAccess, Params: facts, LedgerIdx: idx})
}
