package group

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

const columns = `id, organisation_id, verb, phase, reason, incident_id, selected_by, isolation, isolate_first, break_glass, issuer, issued_by, issued_at, cut_at`

func scan(s interface{ Scan(dest ...any) error }) (Order, error) {
	var o Order
	err := s.Scan(&o.ID, &o.OrganisationID, &o.Verb, &o.Phase, &o.Reason, &o.IncidentID, &o.SelectedBy, &o.Isolation, sqldb.ScanBool(&o.IsolateFirst),
		&o.BreakGlass, &o.Issuer, &o.IssuedBy, sqldb.ScanTime(&o.IssuedAt), sqldb.ScanTime(&o.CutAt))
	if errors.Is(err, sql.ErrNoRows) {
		return Order{}, ErrNotFound
	}
	if err != nil {
		return Order{}, fmt.Errorf("read group: %w", err)
	}
	var said struct {
		Drill bool `json:"drill"`
	}
	if err := json.Unmarshal([]byte(o.Isolation), &said); err != nil {
		return Order{}, fmt.Errorf("read group %s: %w", o.ID, err)
	}
	o.Drill = said.Drill
	return o, nil
}

// Insert stores an order with its members.
func Insert(ctx context.Context, tx *sqldb.Tx, o Order, members []Member) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO group_order (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		o.ID, o.OrganisationID, o.Verb, string(o.Phase), sqldb.CleanText(o.Reason), o.IncidentID, sqldb.CleanText(o.SelectedBy), o.Isolation,
		sqldb.FormatBool(o.IsolateFirst), sqldb.CleanText(o.BreakGlass), sqldb.CleanText(o.Issuer), o.IssuedBy, sqldb.FormatTime(o.IssuedAt), sqldb.FormatTime(o.CutAt))
	if err != nil {
		return fmt.Errorf("store group: %w", err)
	}
	for _, m := range members {
		if err := tx.Gather(ctx, sqldb.Rows{Table: "group_member", Columns: "group_id, endpoint_id, organisation_id, standing, left_out, capture_id, command_id"},
			o.ID, m.EndpointID, o.OrganisationID, sqldb.FormatBool(m.Standing), m.LeftOut, m.CaptureID, m.CommandID); err != nil {
			return fmt.Errorf("store member of group: %w", err)
		}
	}
	return nil
}

// Cut stores that the members have their commands.
func Cut(ctx context.Context, tx *sqldb.Tx, o Order, members []Member) error {
	if _, err := tx.ExecContext(ctx, `UPDATE group_order SET phase = $1, cut_at = $2 WHERE id = $3`, string(Ordered), sqldb.FormatTime(o.CutAt), o.ID); err != nil {
		return fmt.Errorf("store cut of group: %w", err)
	}
	for _, m := range members {
		if _, err := tx.ExecContext(ctx, `UPDATE group_member SET command_id = $1, left_out = $2 WHERE group_id = $3 AND endpoint_id = $4`,
			m.CommandID, m.LeftOut, o.ID, m.EndpointID); err != nil {
			return fmt.Errorf("store command of member: %w", err)
		}
	}
	return nil
}

// ByID finds an order.
func ByID(ctx context.Context, q sqldb.Queryer, id string) (Order, error) {
	return scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM group_order WHERE id = $1`, id))
}

// List returns the newest orders of an organisation, newest first.
func List(ctx context.Context, q sqldb.Queryer, organisationID string, limit int) ([]Order, error) {
	return list(ctx, q, `WHERE organisation_id = $1 ORDER BY issued_at DESC, id DESC LIMIT $2`, organisationID, limit)
}

// Unfinished returns the orders whose members have no command yet, of all organisations.
func Unfinished(ctx context.Context, q sqldb.Queryer) ([]Order, error) {
	return list(ctx, q, `WHERE phase = $1 ORDER BY issued_at, id`, string(Capturing))
}

func list(ctx context.Context, q sqldb.Queryer, where string, args ...any) ([]Order, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM group_order `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	defer rows.Close()
	var list []Order
	for rows.Next() {
		o, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

// Members returns the members of an order in the order of their identifiers.
func Members(ctx context.Context, q sqldb.Queryer, id string) ([]Member, error) {
	rows, err := q.QueryContext(ctx, `SELECT endpoint_id, standing, left_out, capture_id, command_id, result, ended, ended_at FROM group_member WHERE group_id = $1 ORDER BY endpoint_id`, id)
	if err != nil {
		return nil, fmt.Errorf("list members of group: %w", err)
	}
	defer rows.Close()
	var list []Member
	for rows.Next() {
		var m Member
		var result string
		if err := rows.Scan(&m.EndpointID, sqldb.ScanBool(&m.Standing), &m.LeftOut, &m.CaptureID, &m.CommandID, &result, &m.Ended, sqldb.ScanTime(&m.EndedAt)); err != nil {
			return nil, fmt.Errorf("read member of group: %w", err)
		}
		if m.Result, err = parseResult(result); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, rows.Err()
}

// drillsLooked is how many of the newest orders are looked through for a drill.
const drillsLooked = 1000

// LastDrill returns when the last drill of an organisation was ordered by somebody; zero
// if none was.
func LastDrill(ctx context.Context, q sqldb.Queryer, organisationID, by string) (time.Time, error) {
	all, err := List(ctx, q, organisationID, drillsLooked)
	if err != nil {
		return time.Time{}, err
	}
	for _, o := range all {
		if o.Drill && o.IssuedBy == by {
			return o.IssuedAt, nil
		}
	}
	return time.Time{}, nil
}
