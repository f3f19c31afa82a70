package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/sqldb"
)

// SetRole gives an operator another role and ends all sessions. Which roles it was since a
// time is kept for [RolesBefore], and returned, in words.
func SetRole(ctx context.Context, tx *sqldb.Tx, o Operator, to Role, since, now time.Time) (before string, err error) {
	of, err := RolesBefore(ctx, tx, o.OrganisationID, since)
	if err != nil {
		return "", err
	}
	roles := of[o.ID]
	if !slices.Contains(roles, o.Role) {
		roles = append(roles, o.Role)
	}
	words := make([]string, 0, len(roles))
	for _, r := range roles {
		words = append(words, string(r))
	}
	before = strings.Join(words, " ")
	if err := exec(ctx, tx, "change role", `UPDATE operator_operator SET role = $1, role_at = $2, roles_before = $3 WHERE id = $4`,
		string(to), sqldb.FormatTime(now), before, o.ID); err != nil {
		return "", err
	}
	return before, EndSessions(ctx, tx, o.ID, now)
}

// RolesBefore are the roles that operators of an organisation had before a change since a
// time, by identifier.
func RolesBefore(ctx context.Context, q sqldb.Queryer, organisationID string, since time.Time) (map[string][]Role, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, roles_before FROM operator_operator WHERE organisation_id = $1 AND role_at > $2`, organisationID, sqldb.FormatTime(since))
	if err != nil {
		return nil, fmt.Errorf("find former roles: %w", err)
	}
	defer rows.Close()
	of := map[string][]Role{}
	for rows.Next() {
		var id, before string
		if err := rows.Scan(&id, &before); err != nil {
			return nil, fmt.Errorf("find former roles: %w", err)
		}
		for _, r := range strings.Fields(before) {
			of[id] = append(of[id], Role(r))
		}
	}
	return of, rows.Err()
}

// SessionCounts tells in how many places the people of an organisation are signed in, by
// identifier. Who is signed in nowhere is not in it.
func SessionCounts(ctx context.Context, q sqldb.Queryer, seals Seals, organisationID string, now time.Time) (map[string]int, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+sessionColumns+` FROM operator_session WHERE organisation_id = $1 AND operator_id <> '' AND ended_at = '' AND expires_at > $2`,
		organisationID, sqldb.FormatTime(now))
	if err != nil {
		return nil, fmt.Errorf("count sessions: %w", err)
	}
	defer rows.Close()
	of := map[string]int{}
	for rows.Next() {
		row, err := scanSession(rows)
		if err != nil {
			return nil, fmt.Errorf("count sessions: %w", err)
		}
		if _, err := seals.open(row); err == nil {
			of[row.operatorID]++
		}
	}
	return of, rows.Err()
}
