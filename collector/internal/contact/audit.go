package contact

import (
	"context"
	"fmt"
	"strconv"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries; their subject is the contact.
const (
	ActAdd    = "contact.add"
	ActChange = "contact.change"
	ActRemove = "contact.remove"
)

// Act is what the ledger's entry of the version is called.
func (o Own) Act() string {
	switch {
	case o.Removed:
		return ActRemove
	case o.Version == 1:
		return ActAdd
	}
	return ActChange
}

// Details are what that entry says.
func (o Own) Details() map[string]string {
	within := ""
	if o.WithinHours > 0 {
		within = strconv.Itoa(o.WithinHours)
	}
	return map[string]string{"version": strconv.FormatInt(o.Version, 10), "kind": string(o.Kind), "name": o.Name, "person": o.Person,
		"tel": o.Tel, "mail": o.Mail, "url": o.URL, "hours": o.Hours, "reference": o.Reference, "within_hours": within, "note": o.Note}
}

// Audit holds every version of a contact against its entry in the ledger, and every entry
// against its version, by organisation. q is one unchanging view. The error is only about not
// being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	found, err := ledger.EachDifference(ctx, q, func(ctx context.Context, org string) (map[int64]ledger.Claim, error) {
		list, err := query(ctx, q, `SELECT `+ownColumns+` FROM contact_version WHERE organisation_id = $1`, org)
		claims := map[int64]ledger.Claim{}
		for _, o := range list {
			ledger.Put(claims, o.LedgerIdx, ledger.Claim{Act: o.Act(), Subject: o.ID, Details: o.Details(), At: o.At, By: o.ActorName})
		}
		return claims, err
	}, []string{ActAdd, ActChange, ActRemove})
	if err != nil {
		return nil, fmt.Errorf("audit contacts: %w", err)
	}
	return found, nil
}
