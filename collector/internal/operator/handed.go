package operator

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

// Handed records that the operator by gave another one a one-time password at a time; by
// is empty for nobody of the console.
func Handed(ctx context.Context, tx *sqldb.Tx, id, by string, at time.Time) error {
	return exec(ctx, tx, "record who gave a password", `UPDATE operator_operator SET password_by = $1, password_at = $2 WHERE id = $3`, by, sqldb.FormatTime(at), id)
}

// FactorTaken records that the operator by took another one's second factor away.
func FactorTaken(ctx context.Context, tx *sqldb.Tx, id, by string, at time.Time) error {
	return exec(ctx, tx, "record who took a second factor", `UPDATE operator_operator SET factor_by = $1, factor_at = $2 WHERE id = $3`, by, sqldb.FormatTime(at), id)
}

// Handers returns who could have signed in as an operator since a time, by having given
// the password or taken the second factor last.
func Handers(ctx context.Context, q sqldb.Queryer, id string, since time.Time) ([]string, error) {
	var by [2]string
	var at [2]time.Time
	err := q.QueryRowContext(ctx, `SELECT password_by, password_at, factor_by, factor_at FROM operator_operator WHERE id = $1`, id).
		Scan(&by[0], sqldb.ScanTime(&at[0]), &by[1], sqldb.ScanTime(&at[1]))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("find who gave a sign-in: %w", err)
	}
	var list []string
	for n := range by {
		if by[n] != "" && at[n].After(since) {
			list = append(list, by[n])
		}
	}
	return list, nil
}
