package exhibit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// Fault says what is wrong with the record of custody.
type Fault string

// The faults.
const (
	RowEdited  Fault = "custody_edited"  // a row says other things than the ledger
	RowMissing Fault = "custody_missing" // the ledger knows of a row that is not there
	RowSurplus Fault = "custody_surplus" // the ledger knows nothing of a row
)

// Finding is one thing that is wrong.
type Finding struct {
	OrganisationID string
	Subject        string // identifier of the exhibit or incident
	Fault          Fault
	Detail         string // English, for experts
}

// claim is what a row says that an entry of the ledger must say.
type claim struct {
	act, subject string
	details      map[string]string
}

// Audit holds every row against its entry in the ledger, and every entry against its row. q
// is one unchanging view. The error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) ([]Finding, error) {
	heads, err := ledger.Heads(ctx, q)
	if errors.Is(err, ledger.ErrBroken) {
		return nil, nil // the ledger's own verification names it
	}
	if err != nil {
		return nil, fmt.Errorf("audit custody: %w", err)
	}
	var all []Finding
	for _, h := range heads {
		found, err := audit(ctx, q, h.OrganisationID)
		if err != nil {
			return nil, fmt.Errorf("audit custody: %w", err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func audit(ctx context.Context, q sqldb.Queryer, org string) ([]Finding, error) {
	claims, err := claimsOf(ctx, q, org)
	if err != nil {
		return nil, err
	}
	var found []Finding
	find := func(subject string, f Fault, format string, args ...any) {
		found = append(found, Finding{org, subject, f, fmt.Sprintf(format, args...)})
	}
	acts := []string{ActAdd, ActDescribe}
	for _, t := range EventTypes() {
		acts = append(acts, t.Act())
	}
	for _, act := range acts {
		for f := (ledger.Filter{OrganisationID: org, Act: act}); ; {
			page, err := ledger.Entries(ctx, q, f)
			if errors.Is(err, ledger.ErrBroken) || err == nil && len(page) == 0 {
				break
			}
			if err != nil {
				return nil, err
			}
			for _, e := range page {
				c, ok := claims[e.Index]
				delete(claims, e.Index)
				for _, k := range onlyInLedger() {
					delete(e.Details, k)
				}
				switch {
				case !ok:
					find(e.Subject, RowMissing, "entry %d of the ledger, %s, has no row", e.Index, act)
				case c.act != act || c.subject != e.Subject || !maps.Equal(c.details, e.Details):
					find(e.Subject, RowEdited, "its row does not say what entry %d of the ledger says: %s", e.Index, differing(c, e))
				}
			}
			if f.Before = page[len(page)-1].Index; f.Before == 0 {
				break
			}
		}
	}
	for idx, c := range claims {
		find(c.subject, RowSurplus, "its row names entry %d of the ledger, which is none of its kind", idx)
	}
	return found, nil
}

// onlyInLedger are facts that entries have and rows have not: how somebody acted, what a
// disposal removed, which the audit of the evidence reads, and by which period of keeping.
func onlyInLedger() []string {
	return append(ledger.HowActed(), "acquisition_blobs", RetentionDays, RetentionSetAt, ClosedAt)
}

// differing names the facts that differ, not what they say.
func differing(c claim, e ledger.Recorded) string {
	var names []string
	if c.act != e.Act {
		names = append(names, "act")
	}
	if c.subject != e.Subject {
		names = append(names, "subject")
	}
	for k, v := range e.Details {
		if w, ok := c.details[k]; !ok || w != v {
			names = append(names, k)
		}
	}
	for k := range c.details {
		if _, ok := e.Details[k]; !ok {
			names = append(names, k)
		}
	}
	return strings.Join(names, ", ")
}

// claimsOf are what the rows say, by the index of the entry that must say it too.
func claimsOf(ctx context.Context, q sqldb.Queryer, org string) (map[int64]claim, error) {
	items, err := queryItems(ctx, q, `organisation_id = $1`, org)
	if err != nil {
		return nil, err
	}
	if err := addChanges(ctx, q, items, `organisation_id = $1`, org); err != nil {
		return nil, err
	}
	claims := map[int64]claim{}
	numbers := map[string]string{}
	for _, i := range items {
		numbers[i.ID] = i.Number
		put(claims, i.LedgerIdx, claim{ActAdd, i.ID, i.Details()})
		for _, c := range i.Changes {
			if c.LedgerIdx != i.LedgerIdx {
				put(claims, c.LedgerIdx, claim{ActDescribe, i.ID, c.Details(i.Number)})
			}
		}
	}
	events, err := queryEvents(ctx, q, `organisation_id = $1 ORDER BY incident_id, seq`, org)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		number := numbers[e.ItemID]
		put(claims, e.LedgerIdx, claim{e.Type.Act(), e.Subject(), e.Details(number)})
	}
	return claims, nil
}

// put adds what a row says of an entry. Two rows that name one entry agree with none.
func put(claims map[int64]claim, idx int64, c claim) {
	if _, twice := claims[idx]; twice {
		c.act += " twice"
	}
	claims[idx] = c
}
