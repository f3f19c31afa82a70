package operator

import (
	"context"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

// MaxGrant is how long somebody from outside may see an incident without being granted it
// again.
const MaxGrant = 366 * 24 * time.Hour

// Grant lets somebody from outside see one incident until a time.
type Grant struct {
	OperatorID     string
	OrganisationID string
	IncidentID     string
	Until          time.Time
	GrantedBy      string
	GrantedAt      time.Time
}

// SetGrant stores a grant, in place of an earlier one for the same incident.
func SetGrant(ctx context.Context, tx *sqldb.Tx, g Grant) error {
	return exec(ctx, tx, "grant incident", `INSERT INTO operator_grant (operator_id, incident_id, organisation_id, until, granted_by, granted_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (operator_id, incident_id) DO UPDATE SET until = excluded.until, granted_by = excluded.granted_by, granted_at = excluded.granted_at`,
		g.OperatorID, g.IncidentID, g.OrganisationID, sqldb.FormatTime(g.Until), g.GrantedBy, sqldb.FormatTime(g.GrantedAt))
}

// EndGrant takes a grant back and reports whether there was one.
func EndGrant(ctx context.Context, tx *sqldb.Tx, operatorID, incidentID string) (bool, error) {
	return one(ctx, tx, "end grant", `DELETE FROM operator_grant WHERE operator_id = $1 AND incident_id = $2`, operatorID, incidentID)
}

// Grants lists somebody's grants, those that have ended too, the newest first.
func Grants(ctx context.Context, q sqldb.Queryer, operatorID string) ([]Grant, error) {
	rows, err := q.QueryContext(ctx, `SELECT operator_id, incident_id, organisation_id, until, granted_by, granted_at FROM operator_grant
		WHERE operator_id = $1 ORDER BY granted_at DESC, incident_id`, operatorID)
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	defer rows.Close()
	var list []Grant
	for rows.Next() {
		var g Grant
		if err := rows.Scan(&g.OperatorID, &g.IncidentID, &g.OrganisationID, sqldb.ScanTime(&g.Until), &g.GrantedBy, sqldb.ScanTime(&g.GrantedAt)); err != nil {
			return nil, fmt.Errorf("read grant: %w", err)
		}
		list = append(list, g)
	}
	return list, rows.Err()
}

// SetAddress stores where somebody is told what happened; empty: nowhere.
func SetAddress(ctx context.Context, tx *sqldb.Tx, id, address string) error {
	return exec(ctx, tx, "store address", `UPDATE operator_operator SET address = $1 WHERE id = $2`, address, id)
}

// Addresses are where the people of an organisation who run incidents want to be told:
// owners, responsible persons and handlers that are active.
func Addresses(ctx context.Context, q sqldb.Queryer, organisationID string) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT address FROM operator_operator WHERE organisation_id = $1 AND address <> '' AND disabled_at = '' AND role IN ($2, $3, $4) ORDER BY address`,
		organisationID, string(Owner), string(Responsible), string(Handler))
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var a string
		if err := rows.Scan(&a); err != nil {
			return nil, fmt.Errorf("read address: %w", err)
		}
		list = append(list, a)
	}
	return list, rows.Err()
}
