package act

import (
	"cmp"
	"context"
	"strconv"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
)

// SealOlderRows makes the ledger speak of the rows of which an earlier version recorded
// nothing: how boots ended, alerts that evidence named and that never came, and PCs that asked
// again with another token. It returns of how many. It does so once for each organisation, and
// never where the ledger began with entries of this version: whatever stands in such rows
// later, an act put it there. It is called at the start, before anything else writes.
func (s *Acts) SealOlderRows(ctx context.Context) (int, error) {
	all, err := organisation.All(ctx, s.db.Read())
	if err != nil {
		return 0, err
	}
	sealed := 0
	for _, o := range all {
		n := 0
		if err := s.transact(ctx, func(ctx context.Context, d *deed) error {
			d.actor = Actor{Kind: BySystem, OrganisationID: o.ID}
			done, err := sealsRows(ctx, d.tx, o.ID)
			if done || err != nil {
				return err
			}
			n, err = d.sealRows(ctx)
			return err
		}); err != nil {
			return sealed, err
		}
		sealed += n
	}
	return sealed, nil
}

// sealsRows reports whether the ledger of an organisation speaks of such rows itself: an entry
// says that the older ones were sealed, or entries of people have what only this version says.
func sealsRows(ctx context.Context, q sqldb.Queryer, organisationID string) (done bool, err error) {
	err = ledger.Walk(ctx, q, organisationID, []string{organisation.ActSealOlder, operator.ActAdd, operator.ActPassword, operator.ActReset, endpoint.ActBoot},
		func(e ledger.Recorded) {
			done = done || e.Act == organisation.ActSealOlder || e.Act == endpoint.ActBoot || e.Details[operator.PasswordSHA256] != ""
		})
	return done, err
}

func (d *deed) sealRows(ctx context.Context) (int, error) {
	org := d.actor.OrganisationID
	boots, err := endpoint.OlderBoots(ctx, d.tx, org)
	if err != nil {
		return 0, err
	}
	alerts, err := incident.OlderAlerts(ctx, d.tx, org)
	if err != nil {
		return 0, err
	}
	uses, err := enroll.Older(ctx, d.tx, org)
	if err != nil {
		return 0, err
	}
	if _, err := d.record(ctx, organisation.ActSealOlder, org, map[string]string{"boots": strconv.Itoa(len(boots)), "alerts": strconv.Itoa(len(alerts)), "token_uses": strconv.Itoa(len(uses))}); err != nil {
		return 0, err
	}
	for _, b := range boots {
		if _, err := d.record(ctx, endpoint.ActBoot, b.EndpointID, b.Details); err != nil {
			return 0, err
		}
	}
	for _, a := range alerts {
		if _, err := d.record(ctx, incident.ActExpect, a.ID, map[string]string{"endpoint": a.EndpointID, "incident": a.IncidentID}); err != nil {
			return 0, err
		}
	}
	for _, u := range uses {
		if _, err := d.record(ctx, enroll.ActAskAgain, cmp.Or(u.Request, u.Token), map[string]string{"token": u.Token}); err != nil {
			return 0, err
		}
	}
	return len(boots) + len(alerts) + len(uses), nil
}
