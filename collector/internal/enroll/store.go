package enroll

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

const tokenColumns = `id, organisation_id, auto, note, created_by, created_at, expires_at, max_uses, uses, revoked_at`

func scanToken(s interface{ Scan(dest ...any) error }) (Token, error) {
	var t Token
	err := s.Scan(&t.ID, &t.OrganisationID, sqldb.ScanBool(&t.Auto), &t.Note, &t.CreatedBy, sqldb.ScanTime(&t.CreatedAt),
		sqldb.ScanTime(&t.ExpiresAt), &t.MaxUses, &t.Uses, sqldb.ScanTime(&t.RevokedAt))
	return t, orNotFound(err, "read token")
}

// InsertToken adds a token; secretSHA256 is what [HashSecret] made of its secret.
func InsertToken(ctx context.Context, tx *sqldb.Tx, t Token, secretSHA256 string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO enroll_token (`+tokenColumns+`, secret_sha256) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		t.ID, t.OrganisationID, sqldb.FormatBool(t.Auto), sqldb.CleanText(t.Note), t.CreatedBy, sqldb.FormatTime(t.CreatedAt),
		sqldb.FormatTime(t.ExpiresAt), t.MaxUses, t.Uses, sqldb.FormatTime(t.RevokedAt), secretSHA256)
	return wrap(err, "add token")
}

// TokenBySecret finds a token by the hash of its secret, spent and revoked ones too.
func TokenBySecret(ctx context.Context, q sqldb.Queryer, secretSHA256 string) (Token, error) {
	return scanToken(q.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM enroll_token WHERE secret_sha256 = $1`, secretSHA256))
}

// TokenByID finds a token, spent and revoked ones too.
func TokenByID(ctx context.Context, q sqldb.Queryer, id string) (Token, error) {
	return scanToken(q.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM enroll_token WHERE id = $1`, id))
}

// Tokens returns the tokens of an organisation, newest first.
func Tokens(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Token, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+tokenColumns+` FROM enroll_token WHERE organisation_id = $1 ORDER BY created_at DESC, id DESC`, organisationID)
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

// UseToken counts one use.
func UseToken(ctx context.Context, tx *sqldb.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `UPDATE enroll_token SET uses = uses + 1 WHERE id = $1`, id)
	return wrap(err, "count use of token")
}

// RevokeToken ends a token.
func RevokeToken(ctx context.Context, tx *sqldb.Tx, id string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE enroll_token SET revoked_at = $1 WHERE id = $2`, sqldb.FormatTime(at), id)
	return wrap(err, "revoke token")
}

const requestColumns = `id, organisation_id, token_id, code, hostname, os, arch, platform, remote_addr, requested_at,
	key_sha256, public_key, agent_version, status, reason, endpoint_id`

func scanRequest(s interface{ Scan(dest ...any) error }) (Request, error) {
	var r Request
	var key string
	err := s.Scan(&r.ID, &r.OrganisationID, &r.TokenID, &r.Code, &r.Hostname, &r.OS, &r.Arch, &r.Platform, &r.RemoteAddr, sqldb.ScanTime(&r.RequestedAt),
		&r.KeySHA256, &key, &r.AgentVersion, &r.Status, &r.Reason, &r.EndpointID)
	if err == nil {
		r.PublicKey, err = base64.StdEncoding.DecodeString(key)
	}
	return r, orNotFound(err, "read enrolment request")
}

// InsertRequest adds a request.
func InsertRequest(ctx context.Context, tx *sqldb.Tx, r Request) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO enroll_request (`+requestColumns+`, decided_at, decided_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, '', '')`,
		r.ID, r.OrganisationID, r.TokenID, r.Code, sqldb.CleanText(r.Hostname), sqldb.CleanText(r.OS), sqldb.CleanText(r.Arch),
		sqldb.CleanText(r.Platform), r.RemoteAddr, sqldb.FormatTime(r.RequestedAt), r.KeySHA256,
		base64.StdEncoding.EncodeToString(r.PublicKey), sqldb.CleanText(r.AgentVersion), string(r.Status), r.Reason, r.EndpointID)
	return wrap(err, "add enrolment request")
}

// RequestByKey finds the request of a public key, decided ones too.
func RequestByKey(ctx context.Context, q sqldb.Queryer, keySHA256 string) (Request, error) {
	return scanRequest(q.QueryRowContext(ctx, `SELECT `+requestColumns+` FROM enroll_request WHERE key_sha256 = $1`, keySHA256))
}

// RequestByID finds a request, decided ones too.
func RequestByID(ctx context.Context, q sqldb.Queryer, id string) (Request, error) {
	return scanRequest(q.QueryRowContext(ctx, `SELECT `+requestColumns+` FROM enroll_request WHERE id = $1`, id))
}

// Waiting returns the requests of an organisation that wait for an operator, oldest first.
func Waiting(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Request, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+requestColumns+` FROM enroll_request WHERE organisation_id = $1 AND status = $2 ORDER BY requested_at, id`,
		organisationID, string(Pending))
	if err != nil {
		return nil, fmt.Errorf("list enrolment requests: %w", err)
	}
	defer rows.Close()
	var list []Request
	for rows.Next() {
		r, err := scanRequest(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// CountWaiting counts the requests of a token that wait for an operator.
func CountWaiting(ctx context.Context, q sqldb.Queryer, tokenID string) (int, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM enroll_request WHERE token_id = $1 AND status = $2`, tokenID, string(Pending)).Scan(&n)
	return n, wrap(err, "count enrolment requests")
}

// CodeWaits reports whether a waiting request has that short code.
func CodeWaits(ctx context.Context, q sqldb.Queryer, organisationID, code string) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM enroll_request WHERE organisation_id = $1 AND code = $2 AND status = $3`,
		organisationID, code, string(Pending)).Scan(&n)
	return n > 0, wrap(err, "look for short code")
}

// Decide ends the waiting of a request. endpointID is empty unless approved.
func Decide(ctx context.Context, tx *sqldb.Tx, requestID string, s RequestStatus, by, reason, endpointID string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE enroll_request SET status = $1, decided_at = $2, decided_by = $3, reason = $4, endpoint_id = $5 WHERE id = $6`,
		string(s), sqldb.FormatTime(at), by, sqldb.CleanText(reason), endpointID, requestID)
	return wrap(err, "decide enrolment request")
}

// Retoken moves a waiting request under another token.
func Retoken(ctx context.Context, tx *sqldb.Tx, requestID, tokenID string) error {
	_, err := tx.ExecContext(ctx, `UPDATE enroll_request SET token_id = $1 WHERE id = $2`, tokenID, requestID)
	return wrap(err, "move enrolment request")
}

const certificateColumns = `serial, organisation_id, endpoint_id, key_sha256, der, not_before, not_after, issued_at, revoked_at`

func scanCertificate(s interface{ Scan(dest ...any) error }) (Certificate, error) {
	var c Certificate
	var der string
	err := s.Scan(&c.Serial, &c.OrganisationID, &c.EndpointID, &c.KeySHA256, &der, sqldb.ScanTime(&c.NotBefore), sqldb.ScanTime(&c.NotAfter),
		sqldb.ScanTime(&c.IssuedAt), sqldb.ScanTime(&c.RevokedAt))
	if err == nil {
		c.DER, err = base64.StdEncoding.DecodeString(der)
	}
	return c, orNotFound(err, "read certificate")
}

// InsertCertificate records an issued certificate.
func InsertCertificate(ctx context.Context, tx *sqldb.Tx, c Certificate) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO enroll_certificate (`+certificateColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		c.Serial, c.OrganisationID, c.EndpointID, c.KeySHA256, base64.StdEncoding.EncodeToString(c.DER),
		sqldb.FormatTime(c.NotBefore), sqldb.FormatTime(c.NotAfter), sqldb.FormatTime(c.IssuedAt), sqldb.FormatTime(c.RevokedAt))
	return wrap(err, "record certificate")
}

// CertificateBySerial finds a certificate, expired and revoked ones too.
func CertificateBySerial(ctx context.Context, q sqldb.Queryer, serial string) (Certificate, error) {
	return scanCertificate(q.QueryRowContext(ctx, `SELECT `+certificateColumns+` FROM enroll_certificate WHERE serial = $1`, serial))
}

// NewestCertificate finds the certificate issued last for a public key.
func NewestCertificate(ctx context.Context, q sqldb.Queryer, keySHA256 string) (Certificate, error) {
	return scanCertificate(q.QueryRowContext(ctx, `SELECT `+certificateColumns+` FROM enroll_certificate WHERE key_sha256 = $1
		ORDER BY issued_at DESC, serial LIMIT 1`, keySHA256))
}

// RevokeCertificates revokes all certificates of an endpoint.
func RevokeCertificates(ctx context.Context, tx *sqldb.Tx, endpointID string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE enroll_certificate SET revoked_at = $1 WHERE endpoint_id = $2 AND revoked_at = ''`, sqldb.FormatTime(at), endpointID)
	return wrap(err, "revoke certificates")
}

func orNotFound(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return wrap(err, what)
}

func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
