package incident

import (
	"context"
	"fmt"

	"hozen/collector/internal/search"
	"hozen/collector/internal/sqldb"
)

// Searched says where incidents are searched for.
func Searched() search.Source {
	return search.Source{From: "incident_incident", ID: "id", Name: "number", Text: "title", Incident: "id", At: "opened_at",
		In: []string{"number", "title", "reporter"}, Keys: []string{"id"}, Order: "opened_at DESC, id DESC"}
}

// SearchedEntries says where timelines are searched; decisions and enquiries are left out
// for those who do not read their logs.
func SearchedEntries(decisions, enquiries bool) search.Source {
	where := "text <> ''"
	if !decisions {
		where += " AND kind <> 'decision'"
	}
	if !enquiries {
		where += " AND kind <> 'enquiry'"
	}
	return search.Source{From: "incident_entry", ID: "id", Name: "actor", Text: "text", Incident: "incident_id", At: "at",
		In: []string{"text"}, Where: where, Order: "ledger_idx DESC, id DESC"}
}

// Numbers puts the numbers of incidents of an organisation under their identifiers.
func Numbers(ctx context.Context, q sqldb.Queryer, organisationID string, ids []string, into map[string]string) error {
	for some, in := range sqldb.In(ids, 2) {
		if err := named(ctx, q, organisationID, some, in, into); err != nil {
			return fmt.Errorf("name what was found: %w", err)
		}
	}
	return nil
}

func named(ctx context.Context, q sqldb.Queryer, organisationID string, ids []any, in string, into map[string]string) error {
	rows, err := q.QueryContext(ctx, `SELECT id, number FROM incident_incident WHERE organisation_id = $1 AND id IN `+in, append([]any{organisationID}, ids...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
		into[id] = name
	}
	return rows.Err()
}
