package endpoint

import (
	"context"
	"fmt"
	"slices"

	"hozen/collector/internal/sqldb"
)

// Purpose is what people say that an endpoint is.
type Purpose string

// The purposes. The empty one means that nobody said.
const (
	PC     Purpose = "pc"
	Server Purpose = "server"
)

// MaxSite and MaxTag are the longest names in bytes, MaxTags is how many tags an endpoint
// may have.
const (
	MaxSite = 64
	MaxTag  = 64
	MaxTags = 16
)

// SetPlace stores where an endpoint stands, what it is and its tags.
func SetPlace(ctx context.Context, tx *sqldb.Tx, e Endpoint) error {
	if err := exec(ctx, tx, "place endpoint", `UPDATE endpoint_endpoint SET site = $1, purpose = $2 WHERE id = $3`,
		sqldb.CleanText(e.Site), string(e.Purpose), e.ID); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM endpoint_tag WHERE endpoint_id = $1`, e.ID); err != nil {
		return fmt.Errorf("tag endpoint: %w", err)
	}
	tags := slices.Clone(e.Tags)
	slices.Sort(tags)
	for _, t := range slices.Compact(tags) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO endpoint_tag (endpoint_id, organisation_id, tag) VALUES ($1, $2, $3)`, e.ID, e.OrganisationID, sqldb.CleanText(t)); err != nil {
			return fmt.Errorf("tag endpoint: %w", err)
		}
	}
	return nil
}

// Tags returns the tags of the endpoints of an organisation, sorted, by endpoint.
func Tags(ctx context.Context, q sqldb.Queryer, organisationID string) (map[string][]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT endpoint_id, tag FROM endpoint_tag WHERE organisation_id = $1 ORDER BY endpoint_id, tag`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	defer rows.Close()
	tags := map[string][]string{}
	for rows.Next() {
		var id, tag string
		if err := rows.Scan(&id, &tag); err != nil {
			return nil, fmt.Errorf("read tag: %w", err)
		}
		tags[id] = append(tags[id], tag)
	}
	return tags, rows.Err()
}
