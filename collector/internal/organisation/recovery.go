package organisation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"hozen/collector/internal/sqldb"
)

// RecoveryKey returns the fingerprint of the recovery key that an organisation uses;
// empty: none was ever used.
func RecoveryKey(ctx context.Context, q sqldb.Queryer, id string) (string, error) {
	var fingerprint string
	err := q.QueryRowContext(ctx, `SELECT recovery_key FROM organisation_profile WHERE id = $1`, id).Scan(&fingerprint)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("find recovery key of an organisation: %w", err)
	}
	return fingerprint, nil
}

// SetRecoveryKey stores the fingerprint of the recovery key that an organisation uses.
func SetRecoveryKey(ctx context.Context, tx *sqldb.Tx, id, fingerprint string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE organisation_profile SET recovery_key = $1 WHERE id = $2`, fingerprint, id); err != nil {
		return fmt.Errorf("store recovery key of an organisation: %w", err)
	}
	return nil
}
