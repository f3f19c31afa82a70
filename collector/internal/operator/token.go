package operator

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"hozen/collector/internal/sqldb"
)

// TokenPrefix begins the secret of every token for programs, so that people and scanners
// that look for lost secrets know one when they see it.
const TokenPrefix = "hozen_api_"

// MaxTokenName is how long the name of a token is at most, in bytes.
const MaxTokenName = 64

// tokenSeen is how often at most the use of a token is written down.
const tokenSeen = time.Minute

// Token lets a program act on behalf of the person who made it.
type Token struct {
	ID             string
	OrganisationID string
	OperatorID     string
	Name           string
	Role           Role     // the person had when it was made
	Scopes         []string // what it is for, sorted
	CreatedAt      time.Time
	ExpiresAt      time.Time
	UsedAt         time.Time // within a minute; zero: never
	UsedFrom       string    // address
	EndedAt        time.Time // zero while in force
}

// Live reports whether the token is in force at a moment, as far as the token goes.
func (t Token) Live(now time.Time) bool { return t.EndedAt.IsZero() && now.Before(t.ExpiresAt) }

// NewTokenSecret returns the secret of a token: 130 bits of randomness behind the prefix.
func NewTokenSecret() string { return TokenPrefix + rand.Text() }

const tokenColumns = `id, organisation_id, operator_id, name, role, scopes, created_at, expires_at, used_at, used_from, ended_at`

func scanToken(s scanner) (Token, error) {
	var t Token
	var scopes string
	err := s.Scan(&t.ID, &t.OrganisationID, &t.OperatorID, &t.Name, &t.Role, &scopes, sqldb.ScanTime(&t.CreatedAt), sqldb.ScanTime(&t.ExpiresAt),
		sqldb.ScanTime(&t.UsedAt), &t.UsedFrom, sqldb.ScanTime(&t.EndedAt))
	if errors.Is(err, sql.ErrNoRows) {
		return Token{}, ErrNotFound
	}
	if err != nil {
		return Token{}, fmt.Errorf("read token: %w", err)
	}
	t.Scopes = strings.Fields(scopes)
	return t, nil
}

// InsertToken stores a token; of its secret the SHA-256 alone.
func InsertToken(ctx context.Context, tx *sqldb.Tx, t Token, secret string) error {
	return exec(ctx, tx, "store token", `INSERT INTO operator_token (`+tokenColumns+`, secret_sha256) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		t.ID, t.OrganisationID, t.OperatorID, sqldb.CleanText(t.Name), string(t.Role), strings.Join(t.Scopes, " "), sqldb.FormatTime(t.CreatedAt), sqldb.FormatTime(t.ExpiresAt),
		sqldb.FormatTime(t.UsedAt), t.UsedFrom, sqldb.FormatTime(t.EndedAt), hashToken(secret))
}

// TokenBySecret finds a token, ended ones too, or [ErrNotFound].
func TokenBySecret(ctx context.Context, q sqldb.Queryer, secret string) (Token, error) {
	return scanToken(q.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM operator_token WHERE secret_sha256 = $1`, hashToken(secret)))
}

// TokenByID finds a token, ended ones too, or [ErrNotFound].
func TokenByID(ctx context.Context, q sqldb.Queryer, id string) (Token, error) {
	return scanToken(q.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM operator_token WHERE id = $1`, id))
}

// Tokens lists the tokens of an organisation, the newest first, ended ones too.
func Tokens(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Token, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+tokenColumns+` FROM operator_token WHERE organisation_id = $1 ORDER BY created_at DESC, id DESC`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	defer rows.Close()
	var list []Token
	for rows.Next() {
		t, err := scanToken(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, rows.Err()
}

// TokenUsed writes down that a token was used, at most once a minute from one address.
func TokenUsed(ctx context.Context, tx *sqldb.Tx, t Token, now time.Time, from string) error {
	return exec(ctx, tx, "note use of token", `UPDATE operator_token SET used_at = $1, used_from = $2 WHERE id = $3`, sqldb.FormatTime(now), from, t.ID)
}

// Stale reports whether a use at a moment from an address is worth writing down.
func (t Token) Stale(now time.Time, from string) bool {
	return t.UsedFrom != from || now.Sub(t.UsedAt) >= tokenSeen
}

// EndToken ends a token and reports whether it was in force.
func EndToken(ctx context.Context, tx *sqldb.Tx, id string, at time.Time) (bool, error) {
	return one(ctx, tx, "end token", `UPDATE operator_token SET ended_at = $1 WHERE id = $2 AND ended_at = ''`, sqldb.FormatTime(at), id)
}

// EndTokens ends all tokens of a person and reports whether one was in force or merely expired.
func EndTokens(ctx context.Context, tx *sqldb.Tx, operatorID string, at time.Time) (bool, error) {
	return one(ctx, tx, "end tokens", `UPDATE operator_token SET ended_at = $1 WHERE operator_id = $2 AND ended_at = ''`, sqldb.FormatTime(at), operatorID)
}
