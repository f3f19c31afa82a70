package organisation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"hozen/collector/internal/sqldb"
)

// People is what an organisation asks of its people, and how they find its console.
type People struct {
	// FactorRoles are the roles that need a second factor; nothing else is open to their
	// people before they have one.
	FactorRoles []string `json:"factor_roles,omitempty"`
	// ConsoleURL is the address of the console as people type it, "https://host:port", for
	// the links in notices. Empty: notices have no link.
	ConsoleURL string `json:"console_url,omitempty"`
}

// NeedsFactor reports whether people of a role need a second factor.
func (p People) NeedsFactor(role string) bool { return slices.Contains(p.FactorRoles, role) }

// FindPeople returns what an organisation asks of its people.
func FindPeople(ctx context.Context, q sqldb.Queryer, id string) (People, error) {
	var text string
	if err := q.QueryRowContext(ctx, `SELECT people FROM organisation_profile WHERE id = $1`, id).Scan(&text); err != nil {
		return People{}, fmt.Errorf("find what an organisation asks of its people: %w", err)
	}
	var p People
	if text == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return People{}, fmt.Errorf("read what an organisation asks of its people: %w", err)
	}
	return p, nil
}

// SetPeople stores what an organisation asks of its people.
func SetPeople(ctx context.Context, tx *sqldb.Tx, id string, p People) error {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode what an organisation asks of its people: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE organisation_profile SET people = $1 WHERE id = $2`, string(b), id); err != nil {
		return fmt.Errorf("store what an organisation asks of its people: %w", err)
	}
	return nil
}
