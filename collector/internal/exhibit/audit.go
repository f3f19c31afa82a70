package exhibit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

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
	kind         string      // of who recorded it; empty: the row doesn't say
	byID         string      // of who recorded it, where kind is said
	by           []string    // by name; several where several rows say it
	at           []time.Time // when it was recorded
}

// differs names what e says otherwise.
func (c claim) differs(e ledger.Recorded) []string {
	var names []string
	if c.act != e.Act {
		names = append(names, "act")
	}
	if c.subject != e.Subject {
		names = append(names, "subject")
	}
	if c.kind != "" && c.kind != e.ActorKind {
		names = append(names, "actor_kind")
	}
	if c.kind != "" && c.byID != cleaned(e.ActorID) {
		names = append(names, "actor_id")
	}
	if slices.ContainsFunc(c.by, func(by string) bool { return cleaned(by) != cleaned(e.ActorName) }) {
		names = append(names, "by")
	}
	if slices.ContainsFunc(c.at, func(at time.Time) bool { return sqldb.FormatTime(at) != sqldb.FormatTime(e.Told) }) {
		names = append(names, "recorded_at")
	}
	return names
}

// cleaned is a name as [Event.Clean] leaves it.
func cleaned(s string) string { return sqldb.CleanText(strings.TrimSpace(s)) }

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
	strays, err := changesOfNone(ctx, q, org)
	if err != nil {
		return nil, err
	}
	for _, id := range strays {
		find(id, RowSurplus, "rows change it, and there is no such exhibit")
	}
	acts := []string{ActAdd, ActDescribe}
	for _, t := range EventTypes() {
		acts = append(acts, t.Act())
	}
	left, err := ledger.Pair(ctx, q, org, acts, claims, func(e ledger.Recorded, c claim, claimed bool) {
		for _, k := range onlyInLedger() {
			delete(e.Details, k)
		}
		switch {
		case !claimed:
			find(e.Subject, RowMissing, "entry %d of the ledger, %s, has no row", e.Index, e.Act)
		case len(c.differs(e)) > 0 || !maps.Equal(c.details, e.Details):
			find(e.Subject, RowEdited, "its row does not say what entry %d of the ledger says: %s", e.Index, differing(c, e))
		}
	})
	if err != nil {
		return nil, err
	}
	for _, idx := range left {
		find(claims[idx].subject, RowSurplus, "its row names entry %d of the ledger, which is none of its kind", idx)
	}
	return found, nil
}

// changesOfNone are the exhibits that rows change and that are not there: whoever reads an
// exhibit with its changes does not meet them.
func changesOfNone(ctx context.Context, q sqldb.Queryer, org string) (list []string, err error) {
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT item_id FROM exhibit_change c WHERE organisation_id = $1
		AND NOT EXISTS (SELECT 1 FROM exhibit_item i WHERE i.id = c.item_id AND i.organisation_id = c.organisation_id) ORDER BY item_id`, org)
	if err != nil {
		return nil, fmt.Errorf("read changes of exhibits: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("read changes of exhibits: %w", err)
		}
		list = append(list, id)
	}
	return list, rows.Err()
}

// onlyInLedger are facts that entries have and rows have not: what a disposal removed, which the
// audit of the evidence reads, and by which period of keeping.
func onlyInLedger() []string {
	return []string{"acquisition_blobs", RetentionDays, RetentionSetAt, ClosedAt}
}

// differing names the facts that differ, not what they say.
func differing(c claim, e ledger.Recorded) string {
	names := c.differs(e)
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
		added := claim{act: ActAdd, subject: i.ID, details: i.Details(), by: []string{i.CreatedBy}, at: []time.Time{i.CreatedAt}}
		for _, c := range i.Changes {
			if c.LedgerIdx == i.LedgerIdx {
				added.by, added.at = append(added.by, c.By), append(added.at, c.At)
				continue
			}
			put(claims, c.LedgerIdx, claim{act: ActDescribe, subject: i.ID, details: c.Details(i.Number), by: []string{c.By}, at: []time.Time{c.At}})
		}
		put(claims, i.LedgerIdx, added)
	}
	events, err := queryEvents(ctx, q, `organisation_id = $1 ORDER BY incident_id, seq`, org)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		number := numbers[e.ItemID]
		put(claims, e.LedgerIdx, claim{act: e.Type.Act(), subject: e.Subject(), details: e.Details(number),
			kind: cmp.Or(e.ActorKind, "none"), byID: e.ActorID, by: []string{e.ActorName}, at: []time.Time{e.RecordedAt}})
	}
	odd, err := ledger.OutOfOrder(ctx, q, org, "exhibit_change", "item_id", "change_no")
	for _, idx := range odd {
		if c, ok := claims[idx]; ok { // a change of no exhibit names none
			c.details["change_no"] = "in another order" // no entry says that
		}
	}
	return claims, err
}

// put adds what a row says of an entry. Two rows that name one entry agree with none.
func put(claims map[int64]claim, idx int64, c claim) {
	if _, twice := claims[idx]; twice {
		c.act += " twice"
	}
	claims[idx] = c
}
