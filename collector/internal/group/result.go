package group

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

// Result is what was measured when a member's order to isolate was carried out.
type Result struct {
	Observed  string        `json:"observed"`
	WayHome   bool          `json:"way_home,omitempty"`
	Took      time.Duration `json:"took_ns,omitempty"` // from the order to the cut, as far as the clocks allow; 0: not known
	AsOrdered int           `json:"as_ordered,omitempty"`
	Unknown   int           `json:"unknown,omitempty"`
	Leaks     []string      `json:"leaks,omitempty"` // names of trials in which something passed that must not
}

// SetResult stores the result of the member that got a command, if it did.
func SetResult(ctx context.Context, tx *sqldb.Tx, endpointID, commandID string, r Result) error {
	for i := range r.Leaks {
		r.Leaks[i] = sqldb.CleanText(r.Leaks[i])
	}
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode result of member: %w", err)
	}
	if err := tx.Gather(ctx, sqldb.Rows{Table: "group_member", Set: "result = v.column1", Where: "group_member.endpoint_id = v.column2 AND group_member.command_id = v.column3"},
		string(b), endpointID, commandID); err != nil {
		return fmt.Errorf("store result of member: %w", err)
	}
	return nil
}

// SetEnded stores how the isolation of a member ended without an order: the kind of the
// event that told it, and when. An event without a command is of no group.
func SetEnded(ctx context.Context, tx *sqldb.Tx, endpointID, commandID, how string, at time.Time) error {
	if commandID == "" {
		return nil // as members have that wait for theirs
	}
	if _, err := tx.ExecContext(ctx, `UPDATE group_member SET ended = $1, ended_at = $2 WHERE command_id = $3 AND endpoint_id = $4`, how, sqldb.FormatTime(at), commandID, endpointID); err != nil {
		return fmt.Errorf("store end of member: %w", err)
	}
	return nil
}

func parseResult(text string) (*Result, error) {
	if text == "" {
		return nil, nil
	}
	var r Result
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return nil, fmt.Errorf("read result of member: %w", err)
	}
	return &r, nil
}
