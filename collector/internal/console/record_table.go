package console

import (
	"encoding/json"
	"slices"
	"strings"

	"hozen/collector/internal/console/records"
)

type recordTableView struct {
	Frame   evidenceFrame
	Query   query
	Columns []string
	Table   paged[[]records.Field]
	Single  bool // one record: shown as a list of facts
}

// maxColumns is how many members become columns; the rest stand in the last one.
const maxColumns = 10

// recordTable shows records of any kind with the names that the schema gives.
func (s *server) recordTable(v *visit, f evidenceFrame) error {
	rows := linesOf(f.File)
	q := readQuery(v.r.URL.Query(), []string{"order"}, []string{"all"})
	view := recordTableView{Frame: f, Query: q, Single: len(rows) == 1}
	if words := q.words(); len(words) > 0 {
		rows = slices.DeleteFunc(slices.Clone(rows), func(r []records.Field) bool {
			var b strings.Builder
			for _, field := range r {
				b.WriteString(field.Value + " ")
			}
			return !matches(words, strings.ToLower(b.String()))
		})
	}
	view.Table = turn(rows, q.Page)
	for _, r := range view.Table.Rows {
		for _, field := range r {
			if !slices.Contains(view.Columns, field.Name) && len(view.Columns) < maxColumns {
				view.Columns = append(view.Columns, field.Name)
			}
		}
	}
	return s.showEvidence(v, "record_table", f, view)
}

// Cell is the value of a member of a record; empty when it has none.
func (recordTableView) Cell(r []records.Field, name string) string {
	for _, field := range r {
		if field.Name == name {
			return field.Value
		}
	}
	return ""
}

// Rest lists the members that have no column.
func (view recordTableView) Rest(r []records.Field) string {
	var b strings.Builder
	for _, field := range r {
		if !slices.Contains(view.Columns, field.Name) {
			b.WriteString(field.Name + "=" + field.Value + " ")
		}
	}
	return b.String()
}

// linesOf returns the records of any kind as named values.
func linesOf(f *records.File) [][]records.Field {
	switch {
	case f.Lines != nil:
		return f.Lines
	case f.OpenFiles != nil:
		return flatten(f.OpenFiles)
	case f.Hashes != nil:
		return flatten(f.Hashes)
	case f.Flights != nil:
		return flatten(f.Flights)
	case f.Processes != nil:
		return flatten(f.Processes)
	}
	return flatten(f.Sockets)
}

// flatten turns decoded records back into the members of their lines.
func flatten[T any](all []T) [][]records.Field {
	rows := make([][]records.Field, 0, len(all))
	for i := range all {
		line, err := json.Marshal(all[i])
		if err != nil {
			continue // it was decoded from JSON, so it can be written as JSON
		}
		if fields, err := records.Fields(line); err == nil {
			rows = append(rows, fields)
		}
	}
	return rows
}
