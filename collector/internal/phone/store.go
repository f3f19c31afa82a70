package phone

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

const columns = `id, organisation_id, kind, incident_id, note, token_sealed, made_id, made_by, made_at, expires_at, revoked_at, revoked_by,
	(SELECT COUNT(*) FROM phone_use u WHERE u.link_id = l.id AND u.ledger_idx >= 0), (SELECT COALESCE(MAX(u.at), '') FROM phone_use u WHERE u.link_id = l.id AND u.ledger_idx >= 0)`

// Insert stores a link with its token.
func Insert(ctx context.Context, tx *sqldb.Tx, l Link, token string) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO phone_link (id, organisation_id, kind, incident_id, note, token_sha256, token_sealed, made_id, made_by, made_at, expires_at, revoked_at, revoked_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', '')`,
		l.ID, l.OrganisationID, string(l.Kind), l.IncidentID, sqldb.CleanText(l.Note), HashToken(token), l.Sealed, l.MadeID, sqldb.CleanText(l.MadeBy),
		sqldb.FormatTime(l.MadeAt), sqldb.FormatTime(l.ExpiresAt)); err != nil {
		return fmt.Errorf("store link: %w", err)
	}
	return nil
}

// Revoke ends a link, and reports whether it had not been ended before.
func Revoke(ctx context.Context, tx *sqldb.Tx, id, by string, at time.Time) (bool, error) {
	r, err := tx.ExecContext(ctx, `UPDATE phone_link SET revoked_at = $1, revoked_by = $2, token_sealed = '' WHERE id = $3 AND revoked_at = ''`, sqldb.FormatTime(at), sqldb.CleanText(by), id)
	if err != nil {
		return false, fmt.Errorf("revoke link: %w", err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("revoke link: %w", err)
	}
	return n > 0, nil
}

// List returns the links of an organisation for reports, or of one of its incidents, the
// newest first.
func List(ctx context.Context, q sqldb.Queryer, organisationID, incidentID string) ([]Link, error) {
	return query(ctx, q, `organisation_id = $1 AND incident_id = $2 ORDER BY made_at DESC, id DESC`, organisationID, incidentID)
}

// Find finds a link, or fails with [ErrNotFound].
func Find(ctx context.Context, q sqldb.Queryer, organisationID, id string) (Link, error) {
	return only(query(ctx, q, `organisation_id = $1 AND id = $2`, organisationID, id))
}

// ByToken finds a link that is good now by its token. One that is not is [ErrOver], and one
// that is none is [ErrNotFound].
func ByToken(ctx context.Context, q sqldb.Queryer, token string, now time.Time) (Link, error) {
	l, err := only(query(ctx, q, `token_sha256 = $1`, HashToken(token)))
	if err == nil && !l.Good(now) {
		err = ErrOver
	}
	if err != nil {
		return Link{}, err
	}
	return l, nil
}

func only(list []Link, err error) (Link, error) {
	if err == nil && len(list) != 1 {
		err = ErrNotFound
	}
	if err != nil {
		return Link{}, err
	}
	return list[0], nil
}

func query(ctx context.Context, q sqldb.Queryer, cond string, args ...any) ([]Link, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM phone_link l WHERE `+cond, args...)
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	defer rows.Close()
	var list []Link
	for rows.Next() {
		var l Link
		if err := rows.Scan(&l.ID, &l.OrganisationID, &l.Kind, &l.IncidentID, &l.Note, &l.Sealed, &l.MadeID, &l.MadeBy, sqldb.ScanTime(&l.MadeAt), sqldb.ScanTime(&l.ExpiresAt),
			sqldb.ScanTime(&l.RevokedAt), &l.RevokedBy, &l.Used, sqldb.ScanTime(&l.UsedAt)); err != nil {
			return nil, fmt.Errorf("read link: %w", err)
		}
		list = append(list, l)
	}
	return list, rows.Err()
}

// Use is something that came by a link.
type Use struct {
	LinkID         string
	OrganisationID string
	IncidentID     string
	Opened         bool   // it opened the incident
	Place          string // see [Place]
	Size           int64  // bytes of a photograph
	At             time.Time
	LedgerIdx      int64 // [Coming]: not all of it is there
}

// Coming is the index in the ledger of what has begun to come. If it breaks off, that stays:
// it is a use that counts for [Room], and nothing that came.
const Coming = -1

// InsertUse notes that something came by a link, or begins to, and returns its number among
// the uses of the link.
func InsertUse(ctx context.Context, tx *sqldb.Tx, u Use) (seq int64, err error) {
	if err := tx.QueryRowContext(ctx, `INSERT INTO phone_use (link_id, seq, organisation_id, incident_id, opened, address, size, at, ledger_idx)
		VALUES ($1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM phone_use WHERE link_id = $1), $2, $3, $4, $5, $6, $7, $8) RETURNING seq`,
		u.LinkID, u.OrganisationID, u.IncidentID, sqldb.FormatBool(u.Opened), u.Place, u.Size, sqldb.FormatTime(u.At), u.LedgerIdx).Scan(&seq); err != nil {
		return 0, fmt.Errorf("note use of link: %w", err)
	}
	return seq, nil
}

// EndUse notes that all of what had begun to come is there.
func EndUse(ctx context.Context, tx *sqldb.Tx, seq int64, u Use) error {
	if _, err := tx.ExecContext(ctx, `UPDATE phone_use SET incident_id = $1, size = $2, at = $3, ledger_idx = $4 WHERE link_id = $5 AND seq = $6`,
		u.IncidentID, u.Size, sqldb.FormatTime(u.At), u.LedgerIdx, u.LinkID, seq); err != nil {
		return fmt.Errorf("note use of link: %w", err)
	}
	return nil
}

// Room refuses what is more than may come by a link, whether or not it then came whole: [ErrTooMany] where waiting helps, else
// [ErrOver].
func Room(ctx context.Context, q sqldb.Queryer, l Link, place string, now time.Time) error {
	var link, here, photos int
	var size int64
	since := sqldb.FormatTime(now.Add(-hour))
	if err := q.QueryRowContext(ctx, `SELECT COUNT(CASE WHEN at > $1 THEN 1 END), COUNT(CASE WHEN at > $1 AND address = $2 THEN 1 END), COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM phone_use WHERE link_id = $3`,
		since, place, l.ID).Scan(&link, &here, &photos, &size); err != nil {
		return fmt.Errorf("count uses of link: %w", err)
	}
	switch {
	case l.Kind == Photos && (photos >= MaxPhotos || size >= MaxBytes):
		return ErrOver
	case link >= perLink || here >= perAddress:
		return ErrTooMany
	}
	return nil
}

// JoinTo is the incident that a report joins: the newest that one from the same place opened
// within [JoinWithin], or, where a link opened many within an hour, the newest that it
// opened. Empty: it opens one.
func JoinTo(ctx context.Context, q sqldb.Queryer, l Link, place string, now time.Time) (incidentID string, err error) {
	err = q.QueryRowContext(ctx, `SELECT incident_id FROM phone_use WHERE link_id = $1 AND address = $2 AND at > $3 ORDER BY seq DESC LIMIT 1`,
		l.ID, place, sqldb.FormatTime(now.Add(-JoinWithin))).Scan(&incidentID)
	if !errors.Is(err, sql.ErrNoRows) {
		return incidentID, wrap(err)
	}
	var opened int
	if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM phone_use WHERE link_id = $1 AND opened = 1 AND at > $2`, l.ID, sqldb.FormatTime(now.Add(-hour))).Scan(&opened); err != nil {
		return "", wrap(err)
	}
	if opened < opensByLink {
		return "", nil
	}
	return incidentID, wrap(q.QueryRowContext(ctx, `SELECT incident_id FROM phone_use WHERE link_id = $1 AND opened = 1 ORDER BY seq DESC LIMIT 1`, l.ID).Scan(&incidentID))
}

func wrap(err error) error {
	if err != nil {
		return fmt.Errorf("look for what came by the link: %w", err)
	}
	return nil
}
