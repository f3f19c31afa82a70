package group

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

// Asked is an order to a group that waits for a second person.
type Asked struct {
	ID             string
	OrganisationID string
	Verb           string
	Said           string // JSON of the whole order, for it to be given again
	Reason         string
	AskedBy        string
	AskedName      string
	AskedAt        time.Time
	DecidedBy      string
	DecidedName    string
	DecidedAt      time.Time
	Decision       Decision
	GroupID        string // the order that came of it
}

// Decision is what the second person said.
type Decision string

// The decisions. The empty one means that it waits.
const (
	Agreed  Decision = "agreed"
	Refused Decision = "refused"
)

// AskedWaits is how long an order to a group waits for its second person.
const AskedWaits = 24 * time.Hour

const askedColumns = `id, organisation_id, verb, said, reason, asked_by, asked_name, asked_at, decided_by, decided_name, decided_at, decision, group_id`

// InsertAsked stores that somebody asks for an order to a group.
func InsertAsked(ctx context.Context, tx *sqldb.Tx, a Asked) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO group_asked (`+askedColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', '', '', '', '')`,
		a.ID, a.OrganisationID, a.Verb, sqldb.CleanText(a.Said), sqldb.CleanText(a.Reason), a.AskedBy, sqldb.CleanText(a.AskedName), sqldb.FormatTime(a.AskedAt))
	if err != nil {
		return fmt.Errorf("ask for order to group: %w", err)
	}
	return nil
}

// DecideAsked stores what the second person said. The error is [ErrNotFound] if somebody
// else was faster.
func DecideAsked(ctx context.Context, tx *sqldb.Tx, a Asked) error {
	r, err := tx.ExecContext(ctx, `UPDATE group_asked SET decided_by = $1, decided_name = $2, decided_at = $3, decision = $4, group_id = $5 WHERE id = $6 AND decision = ''`,
		a.DecidedBy, sqldb.CleanText(a.DecidedName), sqldb.FormatTime(a.DecidedAt), string(a.Decision), a.GroupID, a.ID)
	if err != nil {
		return fmt.Errorf("decide order to group: %w", err)
	}
	if n, err := r.RowsAffected(); err != nil {
		return fmt.Errorf("decide order to group: %w", err)
	} else if n == 0 {
		return ErrNotFound
	}
	return nil
}

// AskedByID finds an order that waits, or waited.
func AskedByID(ctx context.Context, q sqldb.Queryer, id string) (Asked, error) {
	return scanAsked(q.QueryRowContext(ctx, `SELECT `+askedColumns+` FROM group_asked WHERE id = $1`, id))
}

// WaitingAsked lists the orders of an organisation that wait, the newest first.
func WaitingAsked(ctx context.Context, q sqldb.Queryer, organisationID string, now time.Time) ([]Asked, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+askedColumns+` FROM group_asked WHERE organisation_id = $1 AND decision = '' AND asked_at > $2 ORDER BY asked_at DESC, id DESC LIMIT 100`,
		organisationID, sqldb.FormatTime(now.Add(-AskedWaits)))
	if err != nil {
		return nil, fmt.Errorf("list orders to groups that wait: %w", err)
	}
	defer rows.Close()
	var list []Asked
	for rows.Next() {
		a, err := scanAsked(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

func scanAsked(s interface{ Scan(dest ...any) error }) (Asked, error) {
	var a Asked
	err := s.Scan(&a.ID, &a.OrganisationID, &a.Verb, &a.Said, &a.Reason, &a.AskedBy, &a.AskedName, sqldb.ScanTime(&a.AskedAt),
		&a.DecidedBy, &a.DecidedName, sqldb.ScanTime(&a.DecidedAt), &a.Decision, &a.GroupID)
	if errors.Is(err, sql.ErrNoRows) {
		return Asked{}, ErrNotFound
	}
	if err != nil {
		return Asked{}, fmt.Errorf("read order to group that waits: %w", err)
	}
	return a, nil
}
