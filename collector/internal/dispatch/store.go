package dispatch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/sqldb"
)

const columns = `id, organisation_id, endpoint_id, counter, verb, profile, isolate_first, incident_id, issuer, issued_by, reason,
	issued_at, expires_at, status, accepted_at, finished_at, received_at, detail, acquisition_id, after_seal, isolation`

func scan(s interface{ Scan(dest ...any) error }) (Command, error) {
	var c Command
	err := s.Scan(&c.ID, &c.OrganisationID, &c.EndpointID, &c.Counter, &c.Verb, &c.Profile, sqldb.ScanBool(&c.IsolateFirst), &c.IncidentID,
		&c.Issuer, &c.IssuedBy, &c.Reason, sqldb.ScanTime(&c.IssuedAt), sqldb.ScanTime(&c.ExpiresAt), &c.Status, sqldb.ScanTime(&c.AcceptedAt),
		sqldb.ScanTime(&c.FinishedAt), sqldb.ScanTime(&c.ReceivedAt), &c.Detail, &c.AcquisitionID, &c.Then, scanIsolation{&c.Isolation})
	if errors.Is(err, sql.ErrNoRows) {
		return Command{}, ErrNotFound
	}
	if err != nil {
		return Command{}, fmt.Errorf("read command: %w", err)
	}
	return c, nil
}

// Insert stores a command as [Queued] and gives it the next counter of its endpoint,
// unless it has one of [Count].
func Insert(ctx context.Context, tx *sqldb.Tx, c Command) (Command, error) {
	if c.Counter == 0 {
		next, err := Count(ctx, tx, c.OrganisationID, []string{c.EndpointID})
		if err != nil {
			return Command{}, err
		}
		c.Counter = next[c.EndpointID]
	}
	isolation, err := c.Isolation.text()
	if err != nil {
		return Command{}, err
	}
	c.Status, c.Issuer, c.Reason = Queued, sqldb.CleanText(c.Issuer), sqldb.CleanText(c.Reason)
	err = tx.Gather(ctx, sqldb.Rows{Table: "dispatch_command", Columns: columns},
		c.ID, c.OrganisationID, c.EndpointID, int64(c.Counter), string(c.Verb), c.Profile, sqldb.FormatBool(c.IsolateFirst), c.IncidentID,
		c.Issuer, c.IssuedBy, c.Reason, sqldb.FormatTime(c.IssuedAt), sqldb.FormatTime(c.ExpiresAt), string(c.Status),
		"", "", "", "", "", string(c.Then), isolation)
	if err != nil {
		return Command{}, fmt.Errorf("store command: %w", err)
	}
	return c, nil
}

// ByID finds a command.
func ByID(ctx context.Context, q sqldb.Queryer, id string) (Command, error) {
	return scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM dispatch_command WHERE id = $1`, id))
}

// ByIDs finds many commands; those that are not there are not in it.
func ByIDs(ctx context.Context, q sqldb.Queryer, commandIDs []string) (map[string]Command, error) {
	found := make(map[string]Command, len(commandIDs))
	for ids, in := range sqldb.In(commandIDs, 1) {
		some, err := list(ctx, q, `WHERE id IN `+in, ids...)
		if err != nil {
			return nil, err
		}
		for _, c := range some {
			found[c.ID] = c
		}
	}
	return found, nil
}

// Filter narrows [List].
type Filter struct {
	OrganisationID string
	EndpointID     string // empty: any
	IncidentID     string // empty: any
	Limit          int
}

// List returns commands, newest first.
func List(ctx context.Context, q sqldb.Queryer, f Filter) ([]Command, error) {
	where, args := []string{"organisation_id = $1"}, []any{f.OrganisationID}
	for _, w := range []struct{ column, value string }{{"endpoint_id", f.EndpointID}, {"incident_id", f.IncidentID}} {
		if w.value != "" {
			args = append(args, w.value)
			where = append(where, w.column+" = $"+strconv.Itoa(len(args)))
		}
	}
	args = append(args, f.Limit)
	return list(ctx, q, `WHERE `+strings.Join(where, " AND ")+` ORDER BY issued_at DESC, id DESC LIMIT $`+strconv.Itoa(len(args)), args...)
}

// Outstanding returns the commands of an endpoint that have no result yet, in the
// order of their counters, expired ones too.
func Outstanding(ctx context.Context, q sqldb.Queryer, endpointID string) ([]Command, error) {
	return list(ctx, q, `WHERE endpoint_id = $1 AND status IN ($2, $3) ORDER BY counter`, endpointID, string(Queued), string(Accepted))
}

// Waiting returns which of many endpoints have a command without a result.
func Waiting(ctx context.Context, q sqldb.Queryer, endpointIDs []string) (map[string]bool, error) {
	waiting := map[string]bool{}
	for ids, in := range sqldb.In(endpointIDs, 3) {
		args := append([]any{string(Queued), string(Accepted)}, ids...)
		if err := waitingOf(ctx, q, waiting, `WHERE status IN ($1, $2) AND endpoint_id IN `+in, args); err != nil {
			return nil, fmt.Errorf("list endpoints with commands: %w", err)
		}
	}
	return waiting, nil
}

func waitingOf(ctx context.Context, q sqldb.Queryer, waiting map[string]bool, where string, args []any) error {
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT endpoint_id FROM dispatch_command `+where, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		waiting[id] = true
	}
	return rows.Err()
}

// OutstandingOf is [Outstanding] of many endpoints. One that is named twice has its commands
// once, in whatever pieces the list is cut.
func OutstandingOf(ctx context.Context, q sqldb.Queryer, endpointIDs []string) (map[string][]Command, error) {
	of := make(map[string][]Command, len(endpointIDs))
	for ids, in := range sqldb.In(slices.Compact(slices.Sorted(slices.Values(endpointIDs))), 3) {
		args := append([]any{string(Queued), string(Accepted)}, ids...)
		some, err := list(ctx, q, `WHERE status IN ($1, $2) AND endpoint_id IN `+in+` ORDER BY endpoint_id, counter`, args...)
		if err != nil {
			return nil, err
		}
		for _, c := range some {
			of[c.EndpointID] = append(of[c.EndpointID], c)
		}
	}
	return of, nil
}

// Isolating returns the endpoints of an organisation that have an order to isolate in
// earnest which they have not answered.
func Isolating(ctx context.Context, q sqldb.Queryer, organisationID string) (map[string]bool, error) {
	open, err := list(ctx, q, `WHERE organisation_id = $1 AND verb = $2 AND status IN ($3, $4)`, organisationID, string(Isolate), string(Queued), string(Accepted))
	if err != nil {
		return nil, err
	}
	ids := make(map[string]bool, len(open))
	for _, c := range open {
		if !c.Isolation.Drill {
			ids[c.EndpointID] = true
		}
	}
	return ids, nil
}

// Due returns the queued commands that expired before a moment.
func Due(ctx context.Context, q sqldb.Queryer, endpointID string, now time.Time) ([]Command, error) {
	all, err := Outstanding(ctx, q, endpointID)
	return slices.DeleteFunc(all, func(c Command) bool { return !c.Due(now) }), err
}

func list(ctx context.Context, q sqldb.Queryer, where string, args ...any) ([]Command, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM dispatch_command `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list commands: %w", err)
	}
	defer rows.Close()
	var list []Command
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// Accept records that the endpoint has stored a command that is [Queued]. One that was
// ended here meanwhile, see [Command.EndedHere], comes to life again.
func Accept(ctx context.Context, tx *sqldb.Tx, c Command, at time.Time) error {
	if err := progress(ctx, tx, Result{CommandID: c.ID, Status: Accepted}, at, time.Time{}); err != nil {
		return fmt.Errorf("record acknowledgement: %w", err)
	}
	return nil
}

// Finish records what came of a command, which was accepted at a moment or not at all.
func Finish(ctx context.Context, tx *sqldb.Tx, r Result, acceptedAt, receivedAt time.Time) error {
	if err := progress(ctx, tx, r, acceptedAt, receivedAt); err != nil {
		return fmt.Errorf("record result: %w", err)
	}
	return nil
}

func progress(ctx context.Context, tx *sqldb.Tx, r Result, acceptedAt, receivedAt time.Time) error {
	return tx.Gather(ctx, sqldb.Rows{
		Table: "dispatch_command", Where: "dispatch_command.id = v.column7",
		Set: "status = v.column1, detail = v.column2, finished_at = v.column3, received_at = v.column4, acquisition_id = v.column5, accepted_at = v.column6",
	}, string(r.Status), sqldb.CleanText(r.Detail), sqldb.FormatTime(r.FinishedAt), sqldb.FormatTime(receivedAt), r.AcquisitionID, sqldb.FormatTime(acceptedAt), r.CommandID)
}
