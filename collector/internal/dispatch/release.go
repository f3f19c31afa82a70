package dispatch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

// ReleaseAsked is a release that waits for a second person.
type ReleaseAsked struct {
	ID             string
	OrganisationID string
	EndpointID     string
	IncidentID     string // may be empty
	Reason         string
	AskedBy        string // operator ID
	AskedName      string
	AskedAt        time.Time
	DecidedBy      string
	DecidedName    string
	DecidedAt      time.Time
	Decision       ReleaseDecision // empty while it waits
	CommandID      string          // of the order that came of it
}

// ReleaseDecision is what the second person said.
type ReleaseDecision string

// The decisions.
const (
	ReleaseAgreed  ReleaseDecision = "agreed"
	ReleaseRefused ReleaseDecision = "refused"
)

// ReleaseWaits is how long a release waits for its second person.
const ReleaseWaits = 24 * time.Hour

const releaseColumns = `id, organisation_id, endpoint_id, incident_id, reason, asked_by, asked_name, asked_at, decided_by, decided_name, decided_at, decision, command_id`

// InsertRelease stores that somebody asks for a release.
func InsertRelease(ctx context.Context, tx *sqldb.Tx, r ReleaseAsked) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO dispatch_release (`+releaseColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', '', '', '', '')`,
		r.ID, r.OrganisationID, r.EndpointID, r.IncidentID, sqldb.CleanText(r.Reason), r.AskedBy, sqldb.CleanText(r.AskedName), sqldb.FormatTime(r.AskedAt))
	if err != nil {
		return fmt.Errorf("ask for release: %w", err)
	}
	return nil
}

// WaitingRelease finds the release of an endpoint that waits for a second person since
// less than [ReleaseWaits]. The error is [ErrNotFound] if there is none.
func WaitingRelease(ctx context.Context, q sqldb.Queryer, endpointID string, now time.Time) (ReleaseAsked, error) {
	var r ReleaseAsked
	err := q.QueryRowContext(ctx, `SELECT `+releaseColumns+` FROM dispatch_release
		WHERE endpoint_id = $1 AND decision = '' AND asked_at > $2 ORDER BY asked_at DESC, id DESC LIMIT 1`,
		endpointID, sqldb.FormatTime(now.Add(-ReleaseWaits))).
		Scan(&r.ID, &r.OrganisationID, &r.EndpointID, &r.IncidentID, &r.Reason, &r.AskedBy, &r.AskedName, sqldb.ScanTime(&r.AskedAt),
			&r.DecidedBy, &r.DecidedName, sqldb.ScanTime(&r.DecidedAt), &r.Decision, &r.CommandID)
	if errors.Is(err, sql.ErrNoRows) {
		return ReleaseAsked{}, ErrNotFound
	}
	if err != nil {
		return ReleaseAsked{}, fmt.Errorf("find release that waits: %w", err)
	}
	return r, nil
}

// DecideRelease stores what the second person said, or the first who took it back.
func DecideRelease(ctx context.Context, tx *sqldb.Tx, r ReleaseAsked) error {
	_, err := tx.ExecContext(ctx, `UPDATE dispatch_release SET decided_by = $1, decided_name = $2, decided_at = $3, decision = $4, command_id = $5
		WHERE id = $6 AND decision = ''`, r.DecidedBy, sqldb.CleanText(r.DecidedName), sqldb.FormatTime(r.DecidedAt), string(r.Decision), r.CommandID, r.ID)
	if err != nil {
		return fmt.Errorf("decide release: %w", err)
	}
	return nil
}
