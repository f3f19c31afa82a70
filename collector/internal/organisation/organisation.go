// Package organisation keeps whose data it is: every row of every table belongs to
// one organisation. It knows nothing of what the rows are about.
package organisation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

// MaxName is the longest name in bytes.
const MaxName = 256

// ErrNotFound means that there is no such organisation.
var ErrNotFound = errors.New("no such organisation")

// Organisation is whose data it is.
type Organisation struct {
	ID        string
	Name      string
	CreatedAt time.Time
}

// Insert adds an organisation.
func Insert(ctx context.Context, tx *sqldb.Tx, o Organisation) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO organisation_profile (id, name, created_at) VALUES ($1, $2, $3)`,
		o.ID, o.Name, sqldb.FormatTime(o.CreatedAt))
	if err != nil {
		return fmt.Errorf("add organisation: %w", err)
	}
	return nil
}

// Default returns the oldest organisation: the only one, as long as no operator
// looks after several.
func Default(ctx context.Context, q sqldb.Queryer) (Organisation, error) {
	var o Organisation
	err := q.QueryRowContext(ctx, `SELECT id, name, created_at FROM organisation_profile ORDER BY created_at, id LIMIT 1`).
		Scan(&o.ID, &o.Name, sqldb.ScanTime(&o.CreatedAt))
	if errors.Is(err, sql.ErrNoRows) {
		return Organisation{}, ErrNotFound
	}
	if err != nil {
		return Organisation{}, fmt.Errorf("find organisation: %w", err)
	}
	return o, nil
}

// All returns all organisations, the oldest first.
func All(ctx context.Context, q sqldb.Queryer) ([]Organisation, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, name, created_at FROM organisation_profile ORDER BY created_at, id`)
	if err != nil {
		return nil, fmt.Errorf("list organisations: %w", err)
	}
	defer rows.Close()
	var list []Organisation
	for rows.Next() {
		var o Organisation
		if err := rows.Scan(&o.ID, &o.Name, sqldb.ScanTime(&o.CreatedAt)); err != nil {
			return nil, fmt.Errorf("read organisation: %w", err)
		}
		list = append(list, o)
	}
	return list, rows.Err()
}
