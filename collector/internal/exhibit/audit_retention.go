package exhibit

import (
	"context"
	"fmt"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// AuditRetention holds how long evidence is kept against the ledger, by organisation. q is one
// unchanging view. The error is only about not being able to look.
func AuditRetention(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "exhibit_retention", []string{"organisation_id", "ledger_idx", "days", "at", "changed_by"}, func(r map[string]string) (string, string) {
		return r["ledger_idx"], r["organisation_id"]
	})
	if err == nil {
		var found map[string][]ledger.Difference
		if found, err = ledger.EachStanding(ctx, q, []string{ActRetention}, rows, func(e ledger.Recorded) []ledger.Told {
			idx := fmt.Sprint(e.Index)
			return []ledger.Told{{Key: idx, Made: true, Is: map[string]string{"ledger_idx": idx, "days": e.Details["days"], "at": sqldb.FormatTime(e.Told), "changed_by": e.ActorName}}}
		}); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("audit retention: %w", err)
}
