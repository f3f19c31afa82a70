package operator

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/alexedwards/scs/v2"

	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
)

// SessionKey is the name under which a console session holds the operator's
// identifier, a string. [SessionStore] looks for it, so that sessions end when
// their operator is disabled or gets another password.
const SessionKey = "operator"

// Further names under which a console session says what [Sessions] shows of it.
const (
	SessionID      = "session" // string; stays when the token changes
	SessionStarted = "started" // int64, Unix seconds
	SessionSeen    = "seen"    // int64, Unix seconds
	SessionRemote  = "remote"  // string, the address
	SessionAgent   = "agent"   // string, what the browser calls itself
)

// The kinds of sessions; one can't be used as the other.
const (
	kindConsole = "console"
	kindLocal   = "local"
)

// LocalSessionLife is how long a sign-in at the local socket lasts.
const LocalSessionLife = 12 * time.Hour

// Seals makes sessions what they are: of each the row holds the data sealed for this token,
// kind, organisation, person and end, with a key that is not in the database. So nobody reads
// in the database what a session keeps, and a row that somebody wrote there, or changed, is no
// session. The zero Seals seals nothing and takes nothing.
type Seals struct{ key secret.Key }

// NewSeals returns the seals of sessions of a collector with that key of secrets.
func NewSeals(k secret.Key) Seals { return Seals{k.For("sessions")} }

// sessionRow is a session as the database has it, but for whether it was ended.
type sessionRow struct{ tokenSHA256, organisationID, operatorID, kind, data, expiresAt string }

const sessionColumns = `token_sha256, organisation_id, operator_id, kind, data, expires_at`

func scanSession(s scanner, more ...any) (r sessionRow, err error) {
	return r, s.Scan(append([]any{&r.tokenSHA256, &r.organisationID, &r.operatorID, &r.kind, &r.data, &r.expiresAt}, more...)...)
}

// thing is what the data of a row is sealed for.
func (r sessionRow) thing() string {
	return fmt.Sprintf("session %q", []string{r.tokenSHA256, r.organisationID, r.operatorID, r.kind, r.expiresAt})
}

// open returns the data of a session, or [secret.ErrSealed] when the row is none.
func (s Seals) open(r sessionRow) ([]byte, error) { return s.key.Open(r.thing(), r.data) }

// SessionStore keeps the sessions of the console in the database, by the SHA-256 of
// their tokens and sealed, see [Seals]: whoever reads the database can't take over a session,
// and whoever writes to it can't make one. It is an scs.Store and scs.CtxStore.
type SessionStore struct {
	db    *sqldb.DB
	seals Seals
	now   func() time.Time
}

var _ scs.CtxStore = (*SessionStore)(nil)

// NewSessionStore returns a store on db with those seals and that clock.
func NewSessionStore(db *sqldb.DB, seals Seals, now func() time.Time) *SessionStore {
	return &SessionStore{db: db, seals: seals, now: now}
}

// Find is FindCtx without a context.
func (s *SessionStore) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx without a context.
func (s *SessionStore) Commit(token string, b []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, b, expiry)
}

// Delete is DeleteCtx without a context.
func (s *SessionStore) Delete(token string) error {
	return s.DeleteCtx(context.Background(), token)
}

// FindCtx returns the data of a session that has not expired and whose operator, if
// it has one, is active.
func (s *SessionStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	row, err := scanSession(s.db.Read().QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM operator_session s
		WHERE token_sha256 = $1 AND kind = $2 AND expires_at > $3 AND ended_at = ''
		AND (operator_id = '' OR EXISTS (SELECT 1 FROM operator_operator o WHERE o.id = s.operator_id AND o.disabled_at = ''))`,
		hashToken(token), kindConsole, sqldb.FormatTime(s.now())))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("find session: %w", err)
	}
	b, err := s.seals.open(row)
	if err != nil {
		return nil, false, nil // as scs asks for with malformed ones
	}
	return b, true, nil
}

// CommitCtx stores the data of a session, new or known.
func (s *SessionStore) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error {
	_, values, err := scs.GobCodec{}.Decode(b)
	if err != nil {
		return fmt.Errorf("read session: %w", err)
	}
	operatorID, _ := values[SessionKey].(string)
	return s.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		return insertSession(ctx, tx, s.seals, session{token: token, operatorID: operatorID, kind: kindConsole, data: b, expiresAt: expiry}, s.now())
	})
}

// DeleteCtx ends a session; one that does not exist is no error.
func (s *SessionStore) DeleteCtx(ctx context.Context, token string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		return deleteSession(ctx, tx, token, s.now())
	})
}

// NewLocalSession makes a session for the local socket and returns its token, which
// is stored only as a hash.
func NewLocalSession(ctx context.Context, tx *sqldb.Tx, seals Seals, operatorID string, now time.Time) (token string, expiresAt time.Time, err error) {
	token = rand.Text()
	expiresAt = now.Add(LocalSessionLife)
	return token, expiresAt, insertSession(ctx, tx, seals, session{token: token, operatorID: operatorID, kind: kindLocal, expiresAt: expiresAt}, now)
}

// LocalSession returns the operator of a token from [NewLocalSession], or
// [ErrNotFound] when it has expired, its seal is broken or its operator is disabled.
func LocalSession(ctx context.Context, q sqldb.Queryer, seals Seals, token string, now time.Time) (Operator, error) {
	row, err := scanSession(q.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM operator_session WHERE token_sha256 = $1 AND kind = $2 AND expires_at > $3 AND ended_at = ''`,
		hashToken(token), kindLocal, sqldb.FormatTime(now)))
	if errors.Is(err, sql.ErrNoRows) {
		return Operator{}, ErrNotFound
	}
	if err != nil {
		return Operator{}, fmt.Errorf("find session: %w", err)
	}
	if _, err := seals.open(row); err != nil {
		return Operator{}, ErrNotFound
	}
	o, err := ByID(ctx, q, row.operatorID)
	if err != nil {
		return Operator{}, err
	}
	if !o.DisabledAt.IsZero() {
		return Operator{}, ErrNotFound
	}
	return o, nil
}

// EndLocalSession ends a session; one that does not exist is no error.
func EndLocalSession(ctx context.Context, tx *sqldb.Tx, token string, now time.Time) error {
	return deleteSession(ctx, tx, token, now)
}

type session struct {
	token, operatorID, kind string
	data                    []byte
	expiresAt               time.Time
}

func insertSession(ctx context.Context, tx *sqldb.Tx, seals Seals, s session, now time.Time) error {
	organisationID := ""
	if s.operatorID != "" {
		o, err := ByID(ctx, tx, s.operatorID)
		if errors.Is(err, ErrNotFound) || err == nil && !o.DisabledAt.IsZero() {
			// A request that was under way while its operator was disabled must not
			// bring the session back to life.
			return deleteSession(ctx, tx, s.token, now)
		}
		if err != nil {
			return err
		}
		organisationID = o.OrganisationID
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM operator_session WHERE expires_at <= $1`, sqldb.FormatTime(now)); err != nil {
		return fmt.Errorf("drop expired sessions: %w", err)
	}
	row := sessionRow{tokenSHA256: hashToken(s.token), organisationID: organisationID, operatorID: s.operatorID, kind: s.kind, expiresAt: sqldb.FormatTime(s.expiresAt)}
	var err error
	if row.data, err = seals.key.Seal(row.thing(), s.data); err != nil {
		return fmt.Errorf("store session: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO operator_session (`+sessionColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (token_sha256) DO UPDATE SET organisation_id = excluded.organisation_id, operator_id = excluded.operator_id,
			kind = excluded.kind, data = excluded.data, expires_at = excluded.expires_at
		WHERE operator_session.ended_at = ''`,
		row.tokenSHA256, row.organisationID, row.operatorID, row.kind, row.data, row.expiresAt)
	if err != nil {
		return fmt.Errorf("store session: %w", err)
	}
	return nil
}

// deleteSession ends a session. That of a person stays known as ended until it would have
// expired: a request that was under way must not bring it back to life.
func deleteSession(ctx context.Context, tx *sqldb.Tx, token string, now time.Time) error {
	return errors.Join(
		exec(ctx, tx, "end session", `DELETE FROM operator_session WHERE token_sha256 = $1 AND operator_id = ''`, hashToken(token)),
		exec(ctx, tx, "end session", `UPDATE operator_session SET ended_at = $1, data = '' WHERE token_sha256 = $2 AND ended_at = ''`, sqldb.FormatTime(now), hashToken(token)))
}

// EndSessions ends all sessions of a person, and the tokens with which programs act on the
// person's behalf: whoever has one is as good as signed in.
func EndSessions(ctx context.Context, tx *sqldb.Tx, operatorID string, now time.Time) error {
	_, err := EndTokens(ctx, tx, operatorID, now)
	return errors.Join(err,
		exec(ctx, tx, "end sessions", `UPDATE operator_session SET ended_at = $1, data = '' WHERE operator_id = $2 AND ended_at = ''`, sqldb.FormatTime(now), operatorID))
}

func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
