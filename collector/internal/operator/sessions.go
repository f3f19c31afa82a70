package operator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/alexedwards/scs/v2"

	"hozen/collector/internal/sqldb"
)

// Session is a sign-in that is in force.
type Session struct {
	ID        string // not the token, from which nobody can be found by it
	Local     bool   // at the collector's own machine
	StartedAt time.Time
	SeenAt    time.Time // last page that a person asked for, within five minutes; zero of a local one
	ExpiresAt time.Time
	Remote    string
	Agent     string
}

// Sessions lists the sessions of a person that are in force, the newest first.
func Sessions(ctx context.Context, q sqldb.Queryer, seals Seals, operatorID string, now time.Time) ([]Session, error) {
	stored, err := storedSessions(ctx, q, seals, operatorID, now)
	if err != nil {
		return nil, err
	}
	list := make([]Session, 0, len(stored))
	for _, s := range stored {
		list = append(list, s.Session)
	}
	slices.SortStableFunc(list, func(a, b Session) int { return b.StartedAt.Compare(a.StartedAt) })
	return list, nil
}

type storedSession struct {
	Session
	tokenSHA256 string
}

func storedSessions(ctx context.Context, q sqldb.Queryer, seals Seals, operatorID string, now time.Time) ([]storedSession, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+sessionColumns+` FROM operator_session
		WHERE operator_id = $1 AND ended_at = '' AND expires_at > $2`, operatorID, sqldb.FormatTime(now))
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	defer rows.Close()
	var list []storedSession
	for rows.Next() {
		row, err := scanSession(rows)
		if err != nil {
			return nil, fmt.Errorf("read session: %w", err)
		}
		data, err := seals.open(row)
		if err != nil {
			continue // nobody is signed in by it
		}
		s := storedSession{tokenSHA256: row.tokenSHA256}
		if err := sqldb.ScanTime(&s.ExpiresAt).Scan(row.expiresAt); err != nil {
			return nil, fmt.Errorf("read session: %w", err)
		}
		s.describe(row.kind, data)
		list = append(list, s)
	}
	return list, rows.Err()
}

// describe fills in what a session says of itself. What can't be read leaves it as it is:
// a session that nobody could see could not be ended either.
func (s *storedSession) describe(kind string, data []byte) {
	s.ID = s.tokenSHA256[:min(16, len(s.tokenSHA256))]
	if kind == kindLocal {
		s.Local, s.StartedAt = true, s.ExpiresAt.Add(-LocalSessionLife)
		return
	}
	_, values, err := scs.GobCodec{}.Decode(data)
	if err != nil {
		return
	}
	if id, _ := values[SessionID].(string); id != "" {
		s.ID = id
	}
	s.Remote, _ = values[SessionRemote].(string)
	s.Agent, _ = values[SessionAgent].(string)
	if n, _ := values[SessionStarted].(int64); n != 0 {
		s.StartedAt = time.Unix(n, 0).UTC()
	}
	if n, _ := values[SessionSeen].(int64); n != 0 {
		s.SeenAt = time.Unix(n, 0).UTC()
	}
}

// EndSome ends the sessions of a person for which end says so and returns how many.
func EndSome(ctx context.Context, tx *sqldb.Tx, seals Seals, operatorID string, now time.Time, end func(Session) bool) (int, error) {
	stored, err := storedSessions(ctx, tx, seals, operatorID, now)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, s := range stored {
		if !end(s.Session) {
			continue
		}
		if err := exec(ctx, tx, "end session", `UPDATE operator_session SET ended_at = $1, data = '' WHERE token_sha256 = $2`, sqldb.FormatTime(now), s.tokenSHA256); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}
