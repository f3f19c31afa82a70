package organisation

import (
	"context"
	"encoding/json"
	"fmt"

	"hozen/collector/internal/sqldb"
)

// Triage is what of people's own an organisation lets be read when files are acquired. An
// endpoint's own file may allow less and never more.
type Triage struct {
	// Private are the names of files in homes, the histories of browsers, records of mail and
	// password hashes.
	Private bool `json:"private"`
	// Histories are those of shells and tools.
	Histories bool `json:"histories"`
}

// DefaultTriage is what counts where an organisation has said nothing.
func DefaultTriage() Triage { return Triage{Histories: true} }

// FindTriage returns what an organisation lets be read; nil: it has said nothing.
func FindTriage(ctx context.Context, q sqldb.Queryer, id string) (*Triage, error) {
	var text string
	if err := q.QueryRowContext(ctx, `SELECT triage FROM organisation_profile WHERE id = $1`, id).Scan(&text); err != nil {
		return nil, fmt.Errorf("find what an organisation lets be read: %w", err)
	}
	if text == "" {
		return nil, nil
	}
	t := DefaultTriage()
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return nil, fmt.Errorf("read what an organisation lets be read: %w", err)
	}
	return &t, nil
}

// SetTriage stores what an organisation lets be read.
func SetTriage(ctx context.Context, tx *sqldb.Tx, id string, t Triage) error {
	b, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode what an organisation lets be read: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE organisation_profile SET triage = $1 WHERE id = $2`, string(b), id); err != nil {
		return fmt.Errorf("store what an organisation lets be read: %w", err)
	}
	return nil
}
