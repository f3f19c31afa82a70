package incident

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// AuditTimelines holds every line of every timeline against its entry in the ledger, and every
// entry against the lines that it says name it, by organisation. q is one unchanging view. The
// error is only about not being able to look.
func AuditTimelines(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	heads, err := ledger.Heads(ctx, q)
	if errors.Is(err, ledger.ErrBroken) {
		return nil, nil // the ledger's own verification names it
	}
	if err != nil {
		return nil, fmt.Errorf("audit timelines: %w", err)
	}
	all, err := lines(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("audit timelines: %w", err)
	}
	unsealed, err := Unsealed(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("audit timelines: %w", err)
	}
	found := map[string][]ledger.Difference{}
	for _, h := range heads {
		s, err := saidOf(ctx, q, h.OrganisationID)
		if err != nil {
			return nil, fmt.Errorf("audit timelines: %w", err)
		}
		spoken := s.first >= 0 || len(s.seals) > 0
		found[h.OrganisationID] = s.differs(all[h.OrganisationID])
		if spoken && slices.Contains(unsealed, h.OrganisationID) {
			found[h.OrganisationID] = append(found[h.OrganisationID], ledger.Difference{Code: ledger.Surplus, Subject: h.OrganisationID,
				Detail: "a row asks that lines of timelines be sealed, of which the ledger speaks already"})
		}
		delete(all, h.OrganisationID)
	}
	for org, list := range all { // of organisations that have no ledger
		for _, l := range list {
			found[org] = append(found[org], l.surplus())
		}
	}
	return found, nil
}

func (l kept) surplus() ledger.Difference {
	return ledger.Difference{Code: ledger.Surplus, Subject: l.incident, Detail: fmt.Sprintf("entry %d of the ledger does not speak of the line %s of the timeline", l.idx, l.id)}
}

// differs holds the lines of an organisation against what its ledger says.
func (s said) differs(lines []kept) []ledger.Difference {
	var found []ledger.Difference
	var older []kept
	spoken := s.first >= 0 || len(s.seals) > 0
	left := map[int64][]kept{} // lines that their entry does not speak of as they are
	for _, l := range lines {
		sums, ok := s.sums[l.idx]
		switch i := slices.Index(sums, l.sum); {
		case !ok:
			older = append(older, l)
		case i < 0:
			left[l.idx] = append(left[l.idx], l)
		default:
			s.sums[l.idx] = slices.Delete(sums, i, i+1)
		}
	}
	for _, idx := range slices.Sorted(maps.Keys(s.sums)) {
		for range s.sums[idx] {
			if len(left[idx]) == 0 {
				found = append(found, ledger.Difference{Code: ledger.Missing, Subject: s.about[idx], Detail: fmt.Sprintf("a line of the timeline is not there that entry %d of the ledger speaks of", idx)})
				continue
			}
			l := left[idx][0]
			left[idx] = left[idx][1:]
			found = append(found, ledger.Difference{Code: ledger.Edited, Subject: l.incident, Detail: fmt.Sprintf("the line %s of the timeline is not the one that entry %d of the ledger speaks of", l.id, idx)})
		}
	}
	for _, idx := range slices.Sorted(maps.Keys(left)) {
		for _, l := range left[idx] {
			found = append(found, l.surplus())
		}
	}
	if !spoken {
		return found // the database of an earlier version, before its first start
	}
	return append(found, s.olderDiffer(older)...)
}

// olderDiffer holds lines whose entries speak of none against the entries that were made for
// them when entries began to.
func (s said) olderDiffer(older []kept) []ledger.Difference {
	var found []ledger.Difference
	of := map[string][]kept{}
	for _, l := range older {
		of[l.incident] = append(of[l.incident], l)
	}
	sealed := map[string]int64{}
	for _, e := range s.seals {
		if s.first >= 0 && e.Index > s.first { // lines are sealed once, before the first that is spoken of
			found = append(found, ledger.Difference{Code: ledger.Surplus, Subject: e.Subject,
				Detail: fmt.Sprintf("entry %d of the ledger seals lines of the timeline after entry %d began to speak of lines", e.Index, s.first)})
			continue
		}
		sealed[e.Subject] = max(sealed[e.Subject], e.Index)
		before := slices.DeleteFunc(slices.Clone(of[e.Subject]), func(l kept) bool { return l.idx > e.Index })
		if e.Details["older"] == sumOf(before) {
			continue
		}
		code := ledger.Edited
		if n, _ := strconv.Atoi(e.Details["lines"]); n > len(before) { // the collector writes it
			code = ledger.Missing
		} else if n < len(before) {
			code = ledger.Surplus
		}
		found = append(found, ledger.Difference{Code: code, Subject: e.Subject,
			Detail: fmt.Sprintf("entry %d of the ledger speaks of other lines of the timeline: of %s, and there are %d", e.Index, e.Details["lines"], len(before))})
	}
	for _, l := range older {
		if at, ok := sealed[l.incident]; !ok || l.idx > at {
			found = append(found, l.surplus())
		}
	}
	return found
}
