package fsck

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// OrganisationUnknown means that a table has rows of an organisation that has no ledger: nothing
// that the collector does writes such rows, and no audit that goes by ledgers reads them.
const OrganisationUnknown Code = "organisation_unknown"

// Strangers names the rows of organisations that have no ledger, by table. q is one unchanging
// view. The error is only about not being able to look.
func Strangers(ctx context.Context, q sqldb.Queryer, d sqldb.Dialect) ([]Problem, error) {
	known := map[string]bool{}
	heads, err := ledger.Heads(ctx, q)
	if errors.Is(err, ledger.ErrBroken) {
		return nil, nil // which is named already
	}
	for _, h := range heads {
		known[h.OrganisationID] = true
	}
	var tables []string
	if err == nil {
		tables, err = owned(ctx, q, d)
	}
	if err != nil {
		return nil, fmt.Errorf("look for rows of nobody: %w", err)
	}
	var found []Problem
	for _, table := range tables {
		nobody := ""
		if table == "operator_session" {
			nobody = ` WHERE operator_id <> ''` // a session before the sign-in belongs to nobody yet
		}
		rows, err := q.QueryContext(ctx, `SELECT COALESCE(CAST(organisation_id AS TEXT), ''), COUNT(*) FROM `+quoted(table)+nobody+` GROUP BY 1 ORDER BY 1`)
		if err != nil {
			return nil, fmt.Errorf("look for rows of nobody in %s: %w", table, err)
		}
		for rows.Next() {
			var org string
			var n int64
			if err := rows.Scan(&org, &n); err != nil {
				_ = rows.Close() // the scan says what is wrong
				return nil, fmt.Errorf("look for rows of nobody in %s: %w", table, err)
			}
			if known[org] {
				continue
			}
			found = append(found, Problem{OrganisationUnknown, org, table, fmt.Sprintf("%d rows are of the organisation %.40q, which has no ledger", n, org)})
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("look for rows of nobody in %s: %w", table, err)
		}
	}
	return found, nil
}

// quoted is the name of a table in a statement. Whoever reaches the database can make one of any
// name, which must not keep the others from being read.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// owned are the tables whose rows belong to organisations.
func owned(ctx context.Context, q sqldb.Queryer, d sqldb.Dialect) (list []string, err error) {
	of := `SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'organisation_id' WHERE m.type = 'table' ORDER BY m.name`
	if d == sqldb.Postgres {
		of = `SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
			WHERE c.column_name = 'organisation_id' AND c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' ORDER BY c.table_name`
	}
	rows, err := q.QueryContext(ctx, of)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, rows.Err()
}
