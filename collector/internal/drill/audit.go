package drill

import (
	"context"
	"fmt"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
)

// The acts of the ledger's entries; their subject is the incident.
const (
	ActSimulate = "drill.simulate"
	ActTold     = "drill.told"
	ActResult   = "drill.result"
)

// StepID is the detail that names the row of a step; entries of earlier versions lack it.
const StepID = "step"

// Audit holds the steps and results of drills against the ledger, by organisation. q is one
// unchanging view. The error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "drill_step", []string{"organisation_id", "id", "incident_id", "endpoint_id", "what", "at", "actor_kind", "actor_id", "actor_name", "note", "ledger_idx"}, func(r map[string]string) (string, string) {
		return r["ledger_idx"], r["incident_id"]
	})
	if err != nil {
		return nil, fmt.Errorf("audit drills: %w", err)
	}
	results, err := ledger.ReadRows(ctx, q, "drill_result", []string{"organisation_id", "incident_id", "version", "at", "actor_name", "result", "ledger_idx"}, func(r map[string]string) (string, string) {
		r["result"] = digest.Of([]byte(r["result"])).String()
		return "result " + r["ledger_idx"], r["incident_id"]
	})
	if err != nil {
		return nil, fmt.Errorf("audit drills: %w", err)
	}
	for key, r := range results {
		rows[key] = r
	}
	found, err := ledger.EachStanding(ctx, q, []string{ActSimulate, ActTold, ActResult}, rows, func(e ledger.Recorded) []ledger.Told {
		idx := fmt.Sprint(e.Index)
		t := ledger.Told{Key: idx, Made: true, Is: map[string]string{"incident_id": e.Subject, "at": sqldb.FormatTime(e.Told), "actor_name": e.ActorName, "ledger_idx": idx}}
		if e.Act == ActResult {
			t.Key = "result " + idx
			t.Is["version"], t.Is["result"] = e.Details["version"], e.Details["sha256"]
			return []ledger.Told{t}
		}
		t.Is["endpoint_id"], t.Is["what"], t.Is["note"], t.Is["actor_kind"], t.Is["actor_id"] = e.Details["endpoint"], e.Details["what"], e.Details["note"], e.ActorKind, e.ActorID
		t.Later(e, "id", StepID)
		return []ledger.Told{t}
	})
	if err != nil {
		return nil, fmt.Errorf("audit drills: %w", err)
	}
	return found, nil
}
