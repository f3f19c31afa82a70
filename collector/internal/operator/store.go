package operator

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

const columns = `id, organisation_id, name, display_name, role, must_change_password, disabled_at, created_at, last_sign_in_at, address, factor_since`

type scanner interface{ Scan(dest ...any) error }

func scan(s scanner, more ...any) (Operator, error) {
	var o Operator
	err := s.Scan(append([]any{&o.ID, &o.OrganisationID, &o.Name, &o.DisplayName, &o.Role, sqldb.ScanBool(&o.MustChangePassword),
		sqldb.ScanTime(&o.DisabledAt), sqldb.ScanTime(&o.CreatedAt), sqldb.ScanTime(&o.LastSignInAt),
		&o.Address, sqldb.ScanTime(&o.FactorSince)}, more...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return Operator{}, ErrNotFound
	}
	if err != nil {
		return Operator{}, fmt.Errorf("read operator: %w", err)
	}
	return o, nil
}

// Insert adds an operator with a password hash as [Hasher] makes it. It fails with
// [ErrNameUsed] when the name is taken.
func Insert(ctx context.Context, tx *sqldb.Tx, o Operator, hash string) error {
	_, _, err := ByName(ctx, tx, o.Name)
	if err == nil {
		return ErrNameUsed
	}
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO operator_operator (`+columns+`, password_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		o.ID, o.OrganisationID, o.Name, sqldb.CleanText(o.DisplayName), string(o.Role), sqldb.FormatBool(o.MustChangePassword),
		sqldb.FormatTime(o.DisabledAt), sqldb.FormatTime(o.CreatedAt), sqldb.FormatTime(o.LastSignInAt), o.Address,
		sqldb.FormatTime(o.FactorSince), hash)
	if err != nil {
		return fmt.Errorf("add operator: %w", err)
	}
	return nil
}

// ByID finds an operator, disabled ones too.
func ByID(ctx context.Context, q sqldb.Queryer, id string) (Operator, error) {
	return scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM operator_operator WHERE id = $1`, id))
}

// ByName finds an operator and the password hash by sign-in name, disabled ones too.
func ByName(ctx context.Context, q sqldb.Queryer, name string) (Operator, string, error) {
	var hash string
	o, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+`, password_hash FROM operator_operator WHERE name = $1`, name), &hash)
	return o, hash, err
}

// PasswordProof stands for a password hash where the hash itself must not be: who has it
// knows only whether the password was changed since.
func PasswordProof(hash string) string { return hashToken("password " + hash) }

// ProofOf is [PasswordProof] of somebody's password as it is now.
func ProofOf(ctx context.Context, q sqldb.Queryer, id string) (string, error) {
	var hash string
	err := q.QueryRowContext(ctx, `SELECT password_hash FROM operator_operator WHERE id = $1`, id).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("find password: %w", err)
	}
	return PasswordProof(hash), nil
}

// List returns the operators of an organisation by name, disabled ones too.
func List(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Operator, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM operator_operator WHERE organisation_id = $1 ORDER BY name`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list operators: %w", err)
	}
	defer rows.Close()
	var list []Operator
	for rows.Next() {
		o, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

// SetPassword replaces the password hash and ends all sessions and tokens of the operator.
func SetPassword(ctx context.Context, tx *sqldb.Tx, id, hash string, mustChange bool, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE operator_operator SET password_hash = $1, must_change_password = $2 WHERE id = $3`,
		hash, sqldb.FormatBool(mustChange), id)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return EndSessions(ctx, tx, id, now)
}

// Disable bars an operator from now on and ends all sessions and tokens.
func Disable(ctx context.Context, tx *sqldb.Tx, id string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE operator_operator SET disabled_at = $1 WHERE id = $2`, sqldb.FormatTime(at), id)
	if err != nil {
		return fmt.Errorf("disable operator: %w", err)
	}
	return EndSessions(ctx, tx, id, at)
}

// SignedIn records a sign-in.
func SignedIn(ctx context.Context, tx *sqldb.Tx, id string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE operator_operator SET last_sign_in_at = $1 WHERE id = $2`, sqldb.FormatTime(at), id)
	if err != nil {
		return fmt.Errorf("record sign-in: %w", err)
	}
	return nil
}
