package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/sqldb"
)

// Claim is what rows say of one act, and what the entry of the ledger that they name must say
// too.
type Claim struct {
	Act, Subject string
	Details      map[string]string // those that are empty don't count
	// Later are details that entries of earlier versions lack; an entry that has one says it.
	Later map[string]string
	At    time.Time // when it was recorded; zero: the rows don't say
	By    string    // who did it, by name; empty: the rows don't say
}

// Difference is one thing that rows and the ledger disagree about.
type Difference struct {
	// Code is [Edited] where rows say other things than their entry, [Missing] where an entry
	// has no row, [Surplus] where rows name an entry that is none of their kind.
	Code    Code
	Subject string
	Detail  string // English, for experts
}

// Put adds what a row says of an entry. Two rows that name one entry agree with none: each of
// them could be the one that nobody wrote.
func Put(claims map[int64]Claim, idx int64, c Claim) {
	if _, twice := claims[idx]; twice {
		c.Act += " twice"
	}
	claims[idx] = c
}

// HowActed are the names of details that entries of any act can have and rows never have: why
// somebody acted without signing in, by which token a program acted, which lines of timelines
// name the entry, and what time the act told.
func HowActed() []string { return []string{"break_glass", "api_token", "timeline", detailTold} }

// Differences holds every claim, by the index of its entry, against that entry, and every entry
// of an organisation with one of the acts against its claim. Details of the names beside stand
// in entries alone. q is one unchanging view. The error is only about not being able to look.
func Differences(ctx context.Context, q sqldb.Queryer, organisationID string, acts []string, claims map[int64]Claim, beside ...string) ([]Difference, error) {
	var found []Difference
	left, err := Pair(ctx, q, organisationID, acts, claims, func(e Recorded, c Claim, claimed bool) {
		if !claimed {
			found = append(found, Difference{Missing, e.Subject, fmt.Sprintf("entry %d of the ledger, %s, has no row", e.Index, e.Act)})
		} else if what := c.differs(e, beside); len(what) > 0 {
			found = append(found, Difference{Edited, e.Subject, fmt.Sprintf("its row does not say what entry %d of the ledger, %s, says: %s", e.Index, e.Act, strings.Join(what, ", "))})
		}
	})
	if err != nil {
		return nil, err
	}
	for _, idx := range left {
		found = append(found, Difference{Surplus, claims[idx].Subject, fmt.Sprintf("its row names entry %d of the ledger, which is none of its kind", idx)})
	}
	return found, nil
}

// Pair goes through every entry of an organisation with one of the acts, beside what a row claims of
// it where one does, and returns the entries that rows name and that are none of these, in order. The details are without
// those of [HowActed]. q is one unchanging view.
func Pair[C any](ctx context.Context, q sqldb.Queryer, organisationID string, acts []string, claims map[int64]C, see func(e Recorded, c C, claimed bool)) ([]int64, error) {
	left := maps.Clone(claims)
	for _, act := range acts {
		if err := Each(ctx, q, organisationID, act, func(e Recorded) {
			c, claimed := left[e.Index]
			delete(left, e.Index)
			for _, k := range HowActed() {
				delete(e.Details, k)
			}
			see(e, c, claimed)
		}); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(left)), nil
}

// differs names the facts that differ, not what they say.
func (c Claim) differs(e Recorded, beside []string) []string {
	what := map[string]bool{"act": c.Act != e.Act, "subject": sqldb.CleanText(c.Subject) != e.Subject,
		"at": !c.At.IsZero() && sqldb.FormatTime(c.At) != sqldb.FormatTime(e.Told), "by": c.By != "" && sqldb.CleanText(c.By) != e.ActorName}
	for _, side := range []map[string]string{c.Details, e.Details} {
		for k := range side {
			if _, later := c.Later[k]; !later && !slices.Contains(beside, k) && sqldb.CleanText(c.Details[k]) != sqldb.CleanText(e.Details[k]) {
				what[k] = true
			}
		}
	}
	for k, v := range c.Later {
		if said, ok := e.Details[k]; ok && said != v {
			what[k] = true
		}
	}
	maps.DeleteFunc(what, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(what))
}

// Each calls do for every entry of an act, newest first. Entries that cannot be read are passed
// over: [Verify] tells of them.
func Each(ctx context.Context, q sqldb.Queryer, organisationID, act string, do func(Recorded)) error {
	for f := (Filter{OrganisationID: organisationID, Act: act}); ; {
		page, err := Entries(ctx, q, f)
		if errors.Is(err, ErrBroken) || err == nil && len(page) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range page {
			do(e)
		}
		if f.Before = page[len(page)-1].Index; f.Before == 0 {
			return nil
		}
	}
}

// EachDifference is [Differences] of every organisation that has a ledger, with the claims that
// the function makes of its rows.
func EachDifference(ctx context.Context, q sqldb.Queryer, claims func(ctx context.Context, organisationID string) (map[int64]Claim, error), acts []string, beside ...string) (map[string][]Difference, error) {
	heads, err := Heads(ctx, q)
	if errors.Is(err, ErrBroken) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string][]Difference{}
	for _, h := range heads {
		c, err := claims(ctx, h.OrganisationID)
		if err != nil {
			return nil, err
		}
		if all[h.OrganisationID], err = Differences(ctx, q, h.OrganisationID, acts, c, beside...); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// OutOfOrder returns the entries of rows that are numbered in another order than that in which
// the ledger has them: of a table the rows with one value of a column, numbered by another. q is
// one unchanging view.
func OutOfOrder(ctx context.Context, q sqldb.Queryer, organisationID, table, of, number string) ([]int64, error) {
	rows, err := q.QueryContext(ctx, fmt.Sprintf(`SELECT %s, %s, ledger_idx FROM %s WHERE organisation_id = $1 ORDER BY %[1]s, ledger_idx, %[2]s`, of, number, table), organisationID)
	if err != nil {
		return nil, fmt.Errorf("read the order of %s: %w", table, err)
	}
	defer rows.Close()
	var odd []int64
	var last string
	var most int64
	for rows.Next() {
		var whose string
		var n, idx int64
		if err := rows.Scan(&whose, &n, &idx); err != nil {
			return nil, fmt.Errorf("read the order of %s: %w", table, err)
		}
		switch {
		case whose != last:
			last, most = whose, n
		case n < most:
			odd = append(odd, idx)
		default:
			most = n
		}
	}
	return odd, rows.Err()
}
