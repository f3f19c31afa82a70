package search

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"hozen/collector/internal/sqldb"
)

// Source says where things of one kind stand. Its texts are SQL, written by the owner of the
// table; nothing that anybody typed gets into them.
type Source struct {
	From string // the table, or what it is joined with
	// Organisation, ID, Name, Text, Incident, Endpoint and At are expressions: whose it is, by
	// what it is found again, what it is called, what is shown of it, what it belongs to, when
	// it came. Only ID is required; Organisation is organisation_id where it is empty.
	Organisation, ID, Name, Text, Incident, Endpoint, At string
	In                                                   []string // expressions that are searched
	// Keys are identifiers and digests, which are found by how they begin, from [minKey] letters on: a
	// short word stands by chance in half of them. Optional.
	Keys []string
	// Decomposed means that names of files stand there: macOS writes kana and their marks
	// apart. Optional.
	Decomposed bool
	Where      string // a further condition. Optional
	Order      string // newest or nearest first. Required
}

// Found is one thing that was found.
type Found struct {
	ID         string
	Name, Text string
	IncidentID string
	EndpointID string
	At         time.Time
}

// Within holds a search to what belongs to some things.
type Within struct {
	Endpoints bool // the values are endpoints, else incidents
	Values    []string
}

// Find returns what fits a query in one organisation, at most limit things. within holds it
// to some of them; nil: all.
func (s Source) Find(ctx context.Context, q sqldb.Queryer, query Query, organisationID string, within *Within, limit int) ([]Found, error) {
	if query.Empty() || within != nil && len(within.Values) == 0 {
		return nil, nil
	}
	args := []any{organisationID}
	hold := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	conditions := []string{or(s.Organisation, "organisation_id") + " = $1"}
	if s.Where != "" {
		conditions = append(conditions, "("+s.Where+")")
	}
	searched := strings.Join(s.In, " || ' ' || ")
	for _, word := range query.Words {
		var any []string
		if apart := norm.NFD.String(word[0]); s.Decomposed && apart != word[0] {
			word = append(slices.Clone(word), apart)
		}
		for _, spelling := range word {
			in := "(" + searched + ")"
			if plain(spelling) {
				in = "LOWER" + in // once for each row where there is one such spelling
			}
			any = append(any, in+" LIKE "+hold(pattern(spelling))+` ESCAPE '\'`)
		}
		if isKey(word[0]) {
			for _, key := range s.Keys {
				any = append(any, key+" LIKE "+hold(pattern(word[0])[1:])+` ESCAPE '\'`)
			}
		}
		conditions = append(conditions, "("+strings.Join(any, " OR ")+")")
	}
	if within != nil {
		of := s.Incident
		if within.Endpoints {
			of = s.Endpoint
		}
		if of == "" {
			return nil, nil // it belongs to nothing that could have been granted
		}
		var list []string
		for _, v := range within.Values {
			list = append(list, hold(v))
		}
		conditions = append(conditions, of+" IN ("+strings.Join(list, ", ")+")")
	}
	// With names of their own: PostgreSQL would take ORDER BY to mean one of these.
	rows, err := q.QueryContext(ctx, fmt.Sprintf("SELECT %s AS f1, %s AS f2, %s AS f3, %s AS f4, %s AS f5, %s AS f6", s.ID, or(s.Name, "''"), or(s.Text, "''"), or(s.Incident, "''"), or(s.Endpoint, "''"), or(s.At, "''"))+
		" FROM "+s.From+" WHERE "+strings.Join(conditions, " AND ")+" ORDER BY "+s.Order+" LIMIT "+hold(limit), args...)
	if err != nil {
		return nil, fmt.Errorf("search %s: %w", s.From, err)
	}
	defer rows.Close()
	var list []Found
	for rows.Next() {
		var f Found
		if err := rows.Scan(&f.ID, &f.Name, &f.Text, &f.IncidentID, &f.EndpointID, sqldb.ScanTime(&f.At)); err != nil {
			return nil, fmt.Errorf("search %s: %w", s.From, err)
		}
		list = append(list, f)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("search %s: %w", s.From, err)
	}
	return list, nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
