package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hozen/collector/internal/sqldb"
)

// States are the rows of one table as the entries of a ledger say that they must be: by their
// keys, whose first word is what a person is told of. Columns that are not in a state are not
// compared.
type States map[string]map[string]string

// Set says what columns of a row hold from an entry on: names and values in turn. It makes the
// row if there is none.
func (s States) Set(key string, columns ...string) {
	if s[key] == nil {
		s[key] = map[string]string{}
	}
	for i := 0; i < len(columns); i += 2 {
		s[key][columns[i]] = columns[i+1]
	}
}

// Change is [States.Set] of a row that must be there by then; of another it says nothing.
func (s States) Change(key string, columns ...string) {
	if s[key] != nil {
		s.Set(key, columns...)
	}
}

// RowSum is the SHA-256 of the columns of a row, each as a netstring
// (https://cr.yp.to/proto/netstrings.txt), in hexadecimal.
func RowSum(columns ...string) string {
	var b []byte
	for _, s := range columns {
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(b, ':')
		b = append(b, s...)
		b = append(b, ',')
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// AuditStates holds the rows of a table, which change, against what the entries with one of the
// acts make of them when they are gone through in their order, by organisation. query reads
// all rows: organisation, key, and columns by their names. derive adds to a row what follows
// from it. The error is only about not being able to look.
func AuditStates(ctx context.Context, q sqldb.Queryer, query string, acts []string, replay func(States, Recorded), derive ...func(key string, columns map[string]string)) (map[string][]Difference, error) {
	heads, err := Heads(ctx, q)
	if errors.Is(err, ErrBroken) {
		return nil, nil // [Verify] names it
	}
	if err != nil {
		return nil, err
	}
	rows, err := readStates(ctx, q, query)
	if err != nil {
		return nil, err
	}
	for _, list := range rows {
		for key, columns := range list {
			for _, d := range derive {
				d(key, columns)
			}
		}
	}
	found := map[string][]Difference{}
	for _, h := range heads {
		want := States{}
		if err := Walk(ctx, q, h.OrganisationID, acts, func(e Recorded) { replay(want, e) }); err != nil {
			return nil, err
		}
		if list := want.differ(rows[h.OrganisationID]); len(list) > 0 {
			found[h.OrganisationID] = list
		}
		delete(rows, h.OrganisationID)
	}
	for org, list := range rows { // of organisations that have no ledger
		found[org] = States{}.differ(list)
	}
	return found, nil
}

func (s States) differ(rows States) []Difference {
	var found []Difference
	for _, key := range slices.Sorted(maps.Keys(s)) {
		subject, _, _ := strings.Cut(key, " ")
		row, ok := rows[key]
		if !ok {
			found = append(found, Difference{Missing, subject, fmt.Sprintf("the ledger speaks of a row that is not there (%s)", key)})
			continue
		}
		var what []string
		for _, name := range slices.Sorted(maps.Keys(s[key])) {
			if sqldb.CleanText(s[key][name]) != row[name] {
				what = append(what, name)
			}
		}
		if len(what) > 0 {
			found = append(found, Difference{Edited, subject, fmt.Sprintf("its row does not say what the ledger says (%s): %s", key, strings.Join(what, ", "))})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		if s[key] == nil {
			subject, _, _ := strings.Cut(key, " ")
			found = append(found, Difference{Surplus, subject, fmt.Sprintf("the ledger does not speak of its row (%s)", key)})
		}
	}
	return found
}

// ReadStates returns rows of one organisation as [AuditStates] reads them with the same query.
func ReadStates(ctx context.Context, q sqldb.Queryer, query, organisationID string) (States, error) {
	all, err := readStates(ctx, q, query)
	return all[organisationID], err
}

func readStates(ctx context.Context, q sqldb.Queryer, query string) (map[string]States, error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	all := map[string]States{}
	values, into := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		org, key := values[0].String, values[1].String
		if all[org] == nil {
			all[org] = States{}
		}
		all[org].Set(key)
		for i := 2; i < len(names); i++ {
			all[org].Set(key, names[i], values[i].String)
		}
	}
	return all, rows.Err()
}
