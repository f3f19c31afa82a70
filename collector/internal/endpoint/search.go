package endpoint

import (
	"context"
	"fmt"

	"hozen/collector/internal/search"
	"hozen/collector/internal/sqldb"
)

// Searched says where endpoints are searched for.
func Searched() search.Source {
	return search.Source{From: "endpoint_endpoint", ID: "id", Name: "CASE WHEN label <> '' THEN label ELSE hostname END", Text: "hostname || ' ' || remote_addr || ' ' || platform || ' ' || site",
		Endpoint: "id", At: "last_seen_at", In: []string{"label", "hostname", "remote_addr", "platform", "site"}, Keys: []string{"id"}, Order: "hostname, id"}
}

// Names puts what endpoints of an organisation are called under their identifiers.
func Names(ctx context.Context, q sqldb.Queryer, organisationID string, ids []string, into map[string]string) error {
	for some, in := range sqldb.In(ids, 2) {
		if err := named(ctx, q, organisationID, some, in, into); err != nil {
			return fmt.Errorf("name what was found: %w", err)
		}
	}
	return nil
}

func named(ctx context.Context, q sqldb.Queryer, organisationID string, ids []any, in string, into map[string]string) error {
	rows, err := q.QueryContext(ctx, `SELECT id, CASE WHEN label <> '' THEN label ELSE hostname END FROM endpoint_endpoint WHERE organisation_id = $1 AND id IN `+in, append([]any{organisationID}, ids...)...)
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
