package playbook

import (
	"context"
	"fmt"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// ActMark is the act of the ledger's entry of a mark; its subject is the mark.
const ActMark = "playbook.mark"

// Details are what that entry says. It says beside what the item was called then (text) and of
// which edition of the guide it is (edition).
func (m Mark) Details() map[string]string {
	return map[string]string{"incident": m.IncidentID, "item": m.Item, "state": string(m.State), "note": m.Note, "gates": strings.Join(m.Gates, " "), "gate_reason": m.GateReason}
}

// Audit holds every mark against its entry in the ledger, and every entry against its mark, by
// organisation. q is one unchanging view. The error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	found, err := ledger.EachDifference(ctx, q, func(ctx context.Context, org string) (map[int64]ledger.Claim, error) {
		list, err := query(ctx, q, `organisation_id = $1`, org)
		if err != nil {
			return nil, err
		}
		claims := map[int64]ledger.Claim{}
		for _, m := range list {
			ledger.Put(claims, m.LedgerIdx, ledger.Claim{Act: ActMark, Subject: m.ID, Details: m.Details(), At: m.At, By: m.ActorName})
		}
		odd, err := ledger.OutOfOrder(ctx, q, org, "playbook_mark", "incident_id", "seq")
		for _, idx := range odd {
			claims[idx].Details["seq"] = "in another order" // no entry says that
		}
		return claims, err
	}, []string{ActMark}, "text", "edition")
	if err != nil {
		return nil, fmt.Errorf("audit progress of playbooks: %w", err)
	}
	return found, nil
}
