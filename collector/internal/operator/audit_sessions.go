package operator

import (
	"context"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

// Forged is a row that passes for a session and is none.
type Forged struct {
	OrganisationID string
	row            sessionRow
}

// Subject is whose the session would be, or what is known of it where it would be nobody's.
func (f Forged) Subject() string {
	if f.row.operatorID == "" {
		return "session " + f.row.tokenSHA256[:min(16, len(f.row.tokenSHA256))]
	}
	return f.row.operatorID
}

// Detail says more, for experts.
func (f Forged) Detail() string {
	return fmt.Sprintf("the row of a sign-in (%.20s, SHA-256 of the token %.16s…) has no seal of this collector: it was written or changed in the database, or secrets-key.txt is another one than when it began; nobody is signed in by it, and it need not be removed", f.row.kind, f.row.tokenSHA256)
}

// AuditSessions finds rows that pass for sessions in force and have no seal. The error is only
// about not being able to look.
func AuditSessions(ctx context.Context, q sqldb.Queryer, seals Seals, now time.Time) ([]Forged, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+sessionColumns+` FROM operator_session WHERE ended_at = '' AND expires_at > $1 ORDER BY token_sha256`, sqldb.FormatTime(now))
	if err != nil {
		return nil, fmt.Errorf("audit sessions: %w", err)
	}
	defer rows.Close()
	var found []Forged
	for rows.Next() {
		row, err := scanSession(rows)
		if err != nil {
			return nil, fmt.Errorf("audit sessions: %w", err)
		}
		if _, err := seals.open(row); err != nil {
			found = append(found, Forged{row.organisationID, row})
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("audit sessions: %w", err)
	}
	return found, nil
}
