package incident

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

const columns = `id, organisation_id, number, title, classification, reporter, discovered_at, opened_at, closed_at, close_code, merged_into, split_from, drill, found_in`

func scan(s interface{ Scan(dest ...any) error }) (Incident, error) {
	var i Incident
	err := s.Scan(&i.ID, &i.OrganisationID, &i.Number, &i.Title, &i.Classification, &i.Reporter,
		sqldb.ScanTime(&i.DiscoveredAt), sqldb.ScanTime(&i.OpenedAt), sqldb.ScanTime(&i.ClosedAt), &i.CloseCode, &i.MergedInto, &i.SplitFrom, sqldb.ScanBool(&i.Drill), &i.FoundIn)
	if errors.Is(err, sql.ErrNoRows) {
		return Incident{}, ErrNotFound
	}
	if err != nil {
		return Incident{}, fmt.Errorf("read incident: %w", err)
	}
	return i, nil
}

// Insert opens an incident with its endpoints and gives it the next number of its
// organisation and year.
func Insert(ctx context.Context, tx *sqldb.Tx, i Incident) (Incident, error) {
	year := Year(i.OpenedAt)
	next, number := `INSERT INTO incident_counter (organisation_id, year, counter) VALUES ($1, $2, 1)
		ON CONFLICT (organisation_id, year) DO UPDATE SET counter = incident_counter.counter + 1 RETURNING counter`, Number
	if i.Drill {
		next, number = `INSERT INTO incident_drill_counter (organisation_id, year, counter) VALUES ($1, $2, 1)
		ON CONFLICT (organisation_id, year) DO UPDATE SET counter = incident_drill_counter.counter + 1 RETURNING counter`, DrillNumber
		i.Title = MarkDrill(i.Title)
	}
	var n int
	if err := tx.QueryRowContext(ctx, next, i.OrganisationID, year).Scan(&n); err != nil {
		return Incident{}, fmt.Errorf("number incident: %w", err)
	}
	i.Number = number(year, n)
	_, err := tx.ExecContext(ctx, `INSERT INTO incident_incident (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		i.ID, i.OrganisationID, i.Number, sqldb.CleanText(i.Title), string(i.Classification), sqldb.CleanText(i.Reporter),
		sqldb.FormatTime(i.DiscoveredAt), sqldb.FormatTime(i.OpenedAt), sqldb.FormatTime(i.ClosedAt), string(i.CloseCode), i.MergedInto, i.SplitFrom, sqldb.FormatBool(i.Drill), i.FoundIn)
	if err != nil {
		return Incident{}, fmt.Errorf("open incident: %w", err)
	}
	added := make(map[string]bool, len(i.EndpointIDs))
	for _, e := range i.EndpointIDs {
		if added[e] {
			continue
		}
		added[e] = true
		if err := tx.Gather(ctx, sqldb.Rows{Table: "incident_endpoint", Columns: "incident_id, endpoint_id, organisation_id, added_at"},
			i.ID, e, i.OrganisationID, sqldb.FormatTime(i.OpenedAt)); err != nil {
			return Incident{}, fmt.Errorf("add endpoint to incident: %w", err)
		}
	}
	return i, nil
}

// AddEndpoint adds an endpoint to an incident and reports whether it was new.
func AddEndpoint(ctx context.Context, tx *sqldb.Tx, i Incident, endpointID string, at time.Time) (bool, error) {
	res, err := tx.ExecContext(ctx, `INSERT INTO incident_endpoint (incident_id, endpoint_id, organisation_id, added_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (incident_id, endpoint_id) DO NOTHING`, i.ID, endpointID, i.OrganisationID, sqldb.FormatTime(at))
	if err != nil {
		return false, fmt.Errorf("add endpoint to incident: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// Find finds an incident by its identifier or its number, with its endpoints.
func Find(ctx context.Context, q sqldb.Queryer, organisationID, idOrNumber string) (Incident, error) {
	i, err := FindBare(ctx, q, organisationID, idOrNumber)
	if err != nil {
		return Incident{}, err
	}
	i.EndpointIDs, err = endpoints(ctx, q, i.ID)
	return i, err
}

// FindBare is [Find] without the endpoints, of which an incident may have thousands.
func FindBare(ctx context.Context, q sqldb.Queryer, organisationID, idOrNumber string) (Incident, error) {
	return scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM incident_incident WHERE organisation_id = $1 AND (id = $2 OR number = $2)`,
		organisationID, idOrNumber))
}

// NewestOpenBare is [NewestOpen] without the endpoints.
func NewestOpenBare(ctx context.Context, q sqldb.Queryer, endpointID string, since time.Time) (Incident, error) {
	return scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM incident_incident WHERE closed_at = '' AND drill = 0 AND opened_at >= $1
		AND id IN (SELECT incident_id FROM incident_endpoint WHERE endpoint_id = $2) ORDER BY opened_at DESC, id DESC LIMIT 1`,
		sqldb.FormatTime(since), endpointID))
}

// NewestOpen finds the newest open incident of an endpoint that was opened at or
// after since; the zero time means ever. A drill is never it: what comes of itself is real
// until somebody says otherwise.
func NewestOpen(ctx context.Context, q sqldb.Queryer, endpointID string, since time.Time) (Incident, error) {
	i, err := NewestOpenBare(ctx, q, endpointID, since)
	if err != nil {
		return Incident{}, err
	}
	i.EndpointIDs, err = endpoints(ctx, q, i.ID)
	return i, err
}

// NewestOpenNumbers returns, by endpoint, the number of its newest open incident, drills
// aside; those without are not in it.
func NewestOpenNumbers(ctx context.Context, q sqldb.Queryer, endpointIDs []string) (map[string]string, error) {
	numbers := map[string]string{}
	for ids, in := range sqldb.In(endpointIDs, 1) {
		if err := newestOpenNumbers(ctx, q, ids, in, numbers); err != nil {
			return nil, fmt.Errorf("look for open incidents: %w", err)
		}
	}
	return numbers, nil
}

func newestOpenNumbers(ctx context.Context, q sqldb.Queryer, ids []any, in string, numbers map[string]string) error {
	// The newest of each is picked where the rows are: of a PC that was in many incidents, all
	// of them would be carried here.
	rows, err := q.QueryContext(ctx, `SELECT n.endpoint_id, (SELECT i.number FROM incident_endpoint e JOIN incident_incident i ON i.id = e.incident_id
		WHERE e.endpoint_id = n.endpoint_id AND i.closed_at = '' AND i.drill = 0 ORDER BY i.opened_at DESC, i.id DESC LIMIT 1)
		FROM (SELECT DISTINCT endpoint_id FROM incident_endpoint WHERE endpoint_id IN `+in+`) n`, ids...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var endpointID string
		var number sql.NullString
		if err := rows.Scan(&endpointID, &number); err != nil {
			return err
		}
		if number.Valid {
			numbers[endpointID] = number.String
		}
	}
	return rows.Err()
}

// Endpoints returns the endpoints of an incident in the order in which they joined.
func Endpoints(ctx context.Context, q sqldb.Queryer, incidentID string) ([]string, error) {
	return endpoints(ctx, q, incidentID)
}

func endpoints(ctx context.Context, q sqldb.Queryer, incidentID string) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT endpoint_id FROM incident_endpoint WHERE incident_id = $1 ORDER BY added_at, endpoint_id`, incidentID)
	if err != nil {
		return nil, fmt.Errorf("list endpoints of incident: %w", err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var e string
		if err := rows.Scan(&e); err != nil {
			return nil, fmt.Errorf("list endpoints of incident: %w", err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// List returns the incidents of an organisation with their endpoints, newest first.
func List(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Incident, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM incident_incident WHERE organisation_id = $1 ORDER BY opened_at DESC, id DESC`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list incidents: %w", err)
	}
	defer rows.Close()
	var list []Incident
	at := map[string]int{}
	for rows.Next() {
		i, err := scan(rows)
		if err != nil {
			return nil, err
		}
		at[i.ID] = len(list)
		list = append(list, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list incidents: %w", err)
	}
	pairs, err := q.QueryContext(ctx, `SELECT incident_id, endpoint_id FROM incident_endpoint WHERE organisation_id = $1 ORDER BY added_at, endpoint_id`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list endpoints of incidents: %w", err)
	}
	defer pairs.Close()
	for pairs.Next() {
		var i, e string
		if err := pairs.Scan(&i, &e); err != nil {
			return nil, fmt.Errorf("list endpoints of incidents: %w", err)
		}
		if n, ok := at[i]; ok {
			list[n].EndpointIDs = append(list[n].EndpointIDs, e)
		}
	}
	return list, pairs.Err()
}
