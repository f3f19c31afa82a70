package endpoint

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// OlderBoot is a boot that an earlier version stored without an entry in the ledger.
type OlderBoot struct {
	EndpointID string
	Details    map[string]string // of the entry of [ActBoot]
}

// OlderBoots returns the boots of an organisation of which no entry speaks.
func OlderBoots(ctx context.Context, q sqldb.Queryer, organisationID string) ([]OlderBoot, error) {
	said := ledger.States{}
	if err := ledger.Walk(ctx, q, organisationID, []string{ActBoot}, func(e ledger.Recorded) { replayBoot(said, e) }); err != nil {
		return nil, fmt.Errorf("list older boots: %w", err)
	}
	rows, err := ledger.ReadStates(ctx, q, bootRows, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list older boots: %w", err)
	}
	var list []OlderBoot
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if said[id] != nil {
			continue
		}
		columns := rows[id]
		deriveBoot(id, columns)
		list = append(list, OlderBoot{columns["endpoint_id"], map[string]string{"acquisition": id,
			"verdict": Boot{Verdict: columns["verdict"]}.Known(), "row_sha256": columns["row_sha256"]}})
	}
	return list, nil
}
