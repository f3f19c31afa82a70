package playbook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// ActOwn is the act of the ledger's entry of a version of the steps that an organisation has
// added at the console; its subject is the organisation. The whole text stands in it, see [OwnText].
const ActOwn = "playbook.own_steps"

// OwnText is the detail of that entry that says the steps.
const OwnText = "steps"

// Text writes the items as a file of them is written; empty if there are none.
func (o Own) Text() (string, error) {
	if len(o.Items) == 0 {
		return "", nil
	}
	o.Format = ownFormat
	b, err := toml.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("write own steps: %w", err)
	}
	return string(b), nil
}

// ReadOwn reads what [Own.Text] wrote.
func ReadOwn(text string) (Own, error) {
	if text == "" {
		return Own{}, nil
	}
	return readOwn([]byte(text))
}

// InUse are the items that are not retired.
func (o Own) InUse() Own {
	o.Items = slices.DeleteFunc(slices.Clone(o.Items), func(i OwnItem) bool { return i.Retired })
	return o
}

// FindOwn returns the steps that an organisation has added, as they are written; empty: none.
func FindOwn(ctx context.Context, q sqldb.Queryer, organisationID string) (string, error) {
	var text string
	err := q.QueryRowContext(ctx, `SELECT steps FROM playbook_own WHERE organisation_id = $1`, organisationID).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read own steps: %w", err)
	}
	return text, nil
}

// SetOwn stores them.
func SetOwn(ctx context.Context, tx *sqldb.Tx, organisationID, text string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO playbook_own (organisation_id, steps) VALUES ($1, $2) ON CONFLICT (organisation_id) DO UPDATE SET steps = excluded.steps`, organisationID, text)
	if err != nil {
		return fmt.Errorf("store own steps: %w", err)
	}
	return nil
}

// AuditOwn holds the steps that organisations have added against the ledger, by organisation.
// q is one unchanging view. The error is only about not being able to look.
func AuditOwn(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "playbook_own", []string{"organisation_id", OwnText}, func(r map[string]string) (string, string) { return r["organisation_id"], r["organisation_id"] })
	if err == nil {
		var found map[string][]ledger.Difference
		if found, err = ledger.EachStanding(ctx, q, []string{ActOwn}, rows, func(e ledger.Recorded) []ledger.Told {
			return []ledger.Told{{Key: e.Subject, Made: true, Is: map[string]string{"organisation_id": e.Subject, OwnText: e.Details[OwnText]}}}
		}); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("audit own steps: %w", err)
}
