package console

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"hozen/collector/internal/console/records"
)

type recordTableView struct {
	Frame   evidenceFrame
	Query   query
	Columns []string
	Table   paged[[]records.Field]
	Single  bool // one record: shown as a list of facts
	Row     int  // of the page, that somebody looks for; -1: none
	Unseen  bool // it is looked for and cannot be shown
}

// maxColumns is how many members become columns; the rest stand in the last one.
const maxColumns = 10

// recordTable shows records of any kind with the names that the schema gives.
func (s *server) recordTable(v *visit, f evidenceFrame) error {
	rows, fields := linesOf(f.File)
	q := readQuery(v.r.URL.Query(), []string{"order"}, []string{"all"})
	view := recordTableView{Frame: f, Query: q, Single: len(rows) == 1, Row: -1}
	if words := q.words(); len(words) > 0 && !v.r.URL.Query().Has("row") {
		rows = slices.DeleteFunc(rows, func(i int) bool {
			return !matches(words, func() string {
				var b strings.Builder
				for _, field := range fields(i) {
					b.WriteString(field.Value + " ")
				}
				return strings.ToLower(b.String())
			})
		})
	}
	if line, err := strconv.Atoi(v.r.URL.Query().Get("row")); err == nil {
		at, ok := f.File.Row(line)
		if ok && at < len(rows) {
			q.Page, view.Row = at/rowsPerPage+1, at%rowsPerPage
		}
		view.Unseen = !ok
	}
	// Only the rows of the page are written out: of all, they would take more memory
	// than the decoded evidence.
	page := turn(rows, q.Page)
	view.Table = paged[[]records.Field]{Total: page.Total, First: page.First, Last: page.Last, Page: page.Page, Pages: page.Pages}
	for _, i := range page.Rows {
		view.Table.Rows = append(view.Table.Rows, fields(i))
	}
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

// linesOf returns the numbers of the records of any kind, and their members.
func linesOf(f *records.File) (rows []int, fields func(i int) []records.Field) {
	switch {
	case f.Lines != nil:
		fields = func(i int) []records.Field { return f.Lines[i] }
	case f.OpenFiles != nil:
		fields = flatten(f.OpenFiles)
	case f.Hashes != nil:
		fields = flatten(f.Hashes)
	case f.Flights != nil:
		fields = flatten(f.Flights)
	case f.Processes != nil:
		fields = flatten(f.Processes)
	default:
		fields = flatten(f.Sockets)
	}
	rows = make([]int, f.Rows())
	for i := range rows {
		rows[i] = i
	}
	return rows, fields
}

// flatten turns decoded records back into the members of their lines.
func flatten[T any](all []T) func(i int) []records.Field {
	return func(i int) []records.Field {
		line, err := json.Marshal(all[i])
		if err != nil {
			return nil // it was decoded from JSON, so it can be written as JSON
		}
		fields, err := records.Fields(line)
		if err != nil {
			return nil
		}
		return fields
	}
}
