package record

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// Fault says what is wrong with the record of an incident.
type Fault string

// The faults.
const (
	RowEdited  Fault = "record_edited"  // a row says other things than the ledger
	RowMissing Fault = "record_missing" // the ledger knows of a row that is not there
	RowSurplus Fault = "record_surplus" // the ledger knows nothing of a row
)

// Finding is one thing that is wrong.
type Finding struct {
	OrganisationID string
	Subject        string // identifier of the incident
	Fault          Fault
	Detail         string // English, for experts
}

// claim is what a row says that an entry of the ledger must say.
type claim struct {
	act, subject string
	details      map[string]string
	byID, by     string    // who entered it
	at           time.Time // zero: another audit holds that
}

// Audit holds every row against its entry in the ledger, and every entry against its row. q
// is one unchanging view. The error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) ([]Finding, error) {
	heads, err := ledger.Heads(ctx, q)
	if errors.Is(err, ledger.ErrBroken) {
		return nil, nil // the ledger's own verification names it
	}
	var all []Finding
	for _, h := range heads {
		if err == nil {
			err = audit(ctx, q, h.OrganisationID, &all)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("audit the record: %w", err)
	}
	return all, nil
}

func audit(ctx context.Context, q sqldb.Queryer, org string, found *[]Finding) error {
	claims, err := claimsOf(ctx, q, org)
	if err != nil {
		return err
	}
	find := func(subject string, f Fault, format string, args ...any) {
		*found = append(*found, Finding{org, subject, f, fmt.Sprintf(format, args...)})
	}
	left, err := ledger.Pair(ctx, q, org, []string{ActAnswer, ActDecide, ActEnquire, ActUpload}, claims, func(e ledger.Recorded, c claim, claimed bool) {
		switch {
		case !claimed:
			find(e.Subject, RowMissing, "entry %d of the ledger, %s, has no row", e.Index, e.Act)
		case c.act != e.Act || c.subject != e.Subject || !maps.Equal(c.details, e.Details),
			!c.at.IsZero() && (c.byID != e.ActorID || sqldb.CleanText(c.by) != sqldb.CleanText(e.ActorName) || sqldb.FormatTime(c.at) != sqldb.FormatTime(e.Told)):
			find(e.Subject, RowEdited, "its row does not say what entry %d of the ledger, %s, says", e.Index, e.Act)
		}
	})
	if err != nil {
		return err
	}
	for _, idx := range left {
		find(claims[idx].subject, RowSurplus, "its row names entry %d of the ledger, which is none of its kind", idx)
	}
	return nil
}

// claimsOf are what the rows say, by the index of the entry that must say it too.
func claimsOf(ctx context.Context, q sqldb.Queryer, org string) (map[int64]claim, error) {
	claims := map[int64]claim{}
	add := func(idx int64, act, subject string, details map[string]string, byID, by string, at time.Time) {
		maps.DeleteFunc(details, func(_, v string) bool { return v == "" })
		put(claims, idx, claim{act, subject, details, byID, by, at})
	}
	versions, err := queryVersions(ctx, q, `organisation_id = $1`, org)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		add(v.LedgerIdx, ActAnswer, v.IncidentID, v.Details(), v.EnteredID, v.EnteredBy, v.EnteredAt)
	}
	decisions, err := queryDecisions(ctx, q, `organisation_id = $1`, org)
	if err != nil {
		return nil, err
	}
	for _, d := range decisions {
		add(d.LedgerIdx, ActDecide, d.IncidentID, d.Details(), d.EnteredID, d.EnteredBy, d.EnteredAt)
	}
	enquiries, err := queryEnquiries(ctx, q, `organisation_id = $1`, org)
	if err != nil {
		return nil, err
	}
	for _, e := range enquiries {
		add(e.LedgerIdx, ActEnquire, e.IncidentID, e.Details(), e.EnteredID, e.EnteredBy, e.EnteredAt)
	}
	uploads, err := queryUploads(ctx, q, `organisation_id = $1 AND received_at <> ''`, org)
	if err != nil {
		return nil, err
	}
	for _, u := range uploads {
		add(u.LedgerIdx, ActUpload, u.ID, u.Details(), "", "", time.Time{})
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
