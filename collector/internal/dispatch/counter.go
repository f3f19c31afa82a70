package dispatch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"hozen/collector/internal/sqldb"
)

const (
	// maxCounter is far above any count of orders; an endpoint that tells more is not
	// believed, and the counter never overflows.
	maxCounter = 1 << 53
	// keptByAgents is how many settled commands an agent still knows by identifier.
	keptByAgents = 256
)

// Renumbered is a command that got another counter.
type Renumbered struct {
	ID       string
	From, To uint64
}

// countAtOnce is how many endpoints one statement counts for; 1 for the rest.
const countAtOnce = 64

// Count gives each of several endpoints the counter of its next command.
func Count(ctx context.Context, tx *sqldb.Tx, organisationID string, endpointIDs []string) (map[string]uint64, error) {
	next := make(map[string]uint64, len(endpointIDs))
	for len(endpointIDs) > 0 {
		n := 1
		if len(endpointIDs) >= countAtOnce {
			n = countAtOnce
		}
		if err := count(ctx, tx, organisationID, endpointIDs[:n], next); err != nil {
			return nil, fmt.Errorf("count commands: %w", err)
		}
		endpointIDs = endpointIDs[n:]
	}
	return next, nil
}

func count(ctx context.Context, tx *sqldb.Tx, organisationID string, endpointIDs []string, next map[string]uint64) error {
	args := []any{organisationID}
	var values strings.Builder
	for i, id := range endpointIDs {
		if i > 0 {
			values.WriteString(", ")
		}
		args = append(args, id)
		values.WriteString("($" + strconv.Itoa(len(args)) + ", $1, 1)")
	}
	rows, err := tx.QueryContext(ctx, `INSERT INTO dispatch_counter (endpoint_id, organisation_id, counter) VALUES `+values.String()+`
		ON CONFLICT (endpoint_id) DO UPDATE SET counter = dispatch_counter.counter + 1 RETURNING endpoint_id, counter`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var counter int64
		if err := rows.Scan(&id, &counter); err != nil {
			return err
		}
		next[id] = uint64(counter)
	}
	return rows.Err()
}

// CountOn makes the next commands of an endpoint count from above reached, the highest
// counter that its agent has accepted. The collector's own is lower only when it was put
// back to an older state: the agent would refuse all that it is ordered.
//
// Queued commands get counters above reached too, in their order. What the agent was
// sent in the life that is forgotten here it knows by its identifier; when more were sent
// since than an agent remembers, queued ones keep their counters, so that nothing is
// done twice, and the agent refuses what it has passed.
//
// It returns the counter before, which is reached or higher when nothing had to be done.
func CountOn(ctx context.Context, tx *sqldb.Tx, organisationID, endpointID string, reached uint64) (from uint64, moved []Renumbered, err error) {
	err = tx.QueryRowContext(ctx, `SELECT counter FROM dispatch_counter WHERE endpoint_id = $1`, endpointID).Scan(&from)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, nil, fmt.Errorf("read counter of commands: %w", err)
	}
	if reached <= from || reached > maxCounter {
		return max(from, reached), nil, nil
	}
	to := reached
	if reached-from <= keptByAgents {
		waiting, err := list(ctx, tx, `WHERE endpoint_id = $1 AND status = $2 ORDER BY counter`, endpointID, string(Queued))
		if err != nil {
			return 0, nil, err
		}
		for _, c := range waiting {
			to++
			if _, err := tx.ExecContext(ctx, `UPDATE dispatch_command SET counter = $1 WHERE id = $2`, int64(to), c.ID); err != nil {
				return 0, nil, fmt.Errorf("count command anew: %w", err)
			}
			moved = append(moved, Renumbered{ID: c.ID, From: c.Counter, To: to})
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO dispatch_counter (endpoint_id, organisation_id, counter) VALUES ($1, $2, $3)
		ON CONFLICT (endpoint_id) DO UPDATE SET counter = $3`, endpointID, organisationID, int64(to))
	if err != nil {
		return 0, nil, fmt.Errorf("count on: %w", err)
	}
	return from, moved, nil
}
