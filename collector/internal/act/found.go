package act

import (
	"context"
	"errors"
	"fmt"

	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/internal/id"
)

// Found makes the first organisation and its owner in an empty database; in one that
// has an organisation it is [ErrConflict]. The owner signs in once with the password
// that is returned and has to choose another.
func (s *Acts) Found(ctx context.Context, organisationName string, owner NewOperator) (op operator.Operator, oneTimePassword string, err error) {
	if err := text("organisation", organisationName, organisation.MaxName, true); err != nil {
		return operator.Operator{}, "", err
	}
	if err := s.transact(ctx, func(ctx context.Context, d *deed) error {
		_, err := organisation.Default(ctx, d.tx)
		if err == nil {
			return fmt.Errorf("%w: there is an organisation", ErrConflict)
		}
		if !errors.Is(err, organisation.ErrNotFound) {
			return err
		}
		o := organisation.Organisation{ID: id.New(id.Organisation), Name: organisationName, CreatedAt: d.now}
		d.actor = Actor{Kind: BySystem, OrganisationID: o.ID}
		if err := organisation.Insert(ctx, d.tx, o); err != nil {
			return err
		}
		facts := map[string]string{"name": o.Name}
		if s.recovery != nil {
			facts["recovery_key"] = s.recovery.Fingerprint()
			if err := organisation.SetRecoveryKey(ctx, d.tx, o.ID, s.recovery.Fingerprint()); err != nil {
				return err
			}
		}
		_, err = d.record(ctx, organisation.ActFound, o.ID, facts)
		return err
	}); err != nil {
		return operator.Operator{}, "", err
	}
	owner.Role = operator.Owner
	return s.AddOperator(ctx, Actor{Kind: BySystem}, owner)
}
