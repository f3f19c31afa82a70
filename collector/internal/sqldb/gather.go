package sqldb

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Rows are what [Tx.Gather] writes together: rows to insert, or what to change of rows.
type Rows struct {
	Table string
	// Columns, separated by commas, are of rows to insert.
	Columns string
	// Set and Where, in SQL, are of rows to change, whose values are v.column1, v.column2
	// and so on, all of them texts (PostgreSQL cannot tell what else they might be). The
	// last value names the row.
	Set, Where string
}

// gathered are rows that are not written yet.
type gathered struct {
	Rows
	width int   // columns
	args  []any // row by row
	keys  map[any]bool
}

// gatherMost bounds the rows of one table that wait.
const gatherMost = 1024

// gatherSizes are how many rows one statement writes: few sizes, so that few statements
// are kept. The last is 1.
var gatherSizes = [...]int{64, 8, 1}

// first is work that waits for the end of a transaction and makes rows.
type first struct {
	tables []string
	key    any
	fn     func(ctx context.Context) error
}

// last is work that waits for the end of a transaction.
type last struct {
	table string
	key   any
	fn    func(ctx context.Context) error
}

// Gather writes a row together with others, for a statement costs more than its rows:
// at the latest before the commit, and before any statement of this transaction that
// names the table, so that nobody can tell. A row that cannot be written may fail the
// transaction later than here; one to change that is not there does not.
func (t *Tx) Gather(ctx context.Context, r Rows, row ...any) error {
	g, err := t.gathering(ctx, r, len(row), row[len(row)-1])
	if err != nil {
		return err
	}
	if g.args = append(g.args, row...); len(g.args) >= gatherMost*g.width {
		return t.flush(ctx)
	}
	return nil
}

// gathering finds where a row is put. What is written to one table in two ways, or twice
// to the same row, is written in its order.
func (t *Tx) gathering(ctx context.Context, r Rows, width int, key any) (*gathered, error) {
	for i := range t.gathered {
		g := &t.gathered[i]
		if g.Rows == r && !g.keys[key] {
			if r.Set != "" {
				g.keys[key] = true
			}
			return g, nil
		}
		if g.Table == r.Table {
			if err := t.flush(ctx); err != nil {
				return nil, err
			}
			break
		}
	}
	t.gathered = append(t.gathered, gathered{Rows: r, width: width, args: make([]any, 0, 16*width)})
	g := &t.gathered[len(t.gathered)-1]
	if r.Set != "" {
		g.keys = map[any]bool{key: true}
	}
	return g, nil
}

// First runs fn, which gathers rows that nobody needs before, as late as [Tx.Gather] writes:
// before the commit, and before any statement of this transaction that names one of the
// tables. That others write their rows does not run it. Of calls with the same key the first
// counts until then.
func (t *Tx) First(tables []string, key any, fn func(ctx context.Context) error) {
	for _, f := range t.firsts {
		if f.key == key {
			return
		}
	}
	t.firsts = append(t.firsts, first{tables, key, fn})
}

// Last runs fn, which writes a table, when [Tx.Gather] inserts, after the rows. Of calls
// with the same key the first counts until then.
func (t *Tx) Last(table string, key any, fn func(ctx context.Context) error) {
	for _, l := range t.lasts {
		if l.key == key {
			return
		}
	}
	t.lasts = append(t.lasts, last{table, key, fn})
}

// Flush writes what waits. After an error the transaction cannot be committed.
func (t *Tx) Flush(ctx context.Context) error {
	for t.failed == nil && len(t.firsts) > 0 {
		fn := t.firsts[0].fn
		t.firsts = t.firsts[1:]
		t.failed = fn(ctx)
	}
	return t.flush(ctx)
}

// flush is [Tx.Flush] of rows that wait and what comes after them.
func (t *Tx) flush(ctx context.Context) error {
	if t.failed != nil {
		return t.failed
	}
	defer func(before bool) { t.writing = before }(t.writing)
	t.writing = true
	rows, lasts := t.gathered, t.lasts
	t.gathered, t.lasts = nil, nil
	for _, g := range rows {
		if err := t.write(ctx, g); err != nil {
			t.failed = fmt.Errorf("write to %s: %w", g.Table, err)
			return t.failed
		}
	}
	for _, l := range lasts {
		if t.failed = l.fn(ctx); t.failed != nil {
			return t.failed
		}
	}
	return nil
}

// forget drops what waits.
func (t *Tx) forget() {
	t.firsts, t.gathered, t.lasts, t.failed = nil, nil, nil, nil
	clear(t.notes)
}

// settle writes what waits if a statement may see it; an error is kept for the commit.
func (t *Tx) settle(ctx context.Context, query string) {
	for i := range t.firsts {
		if t.writing {
			break // their own rows are, of which those that wait know
		}
		if slices.ContainsFunc(t.firsts[i].tables, func(table string) bool { return strings.Contains(query, table) }) {
			_ = t.Flush(ctx)
			return
		}
	}
	for i := range t.gathered {
		if strings.Contains(query, t.gathered[i].Table) {
			_ = t.flush(ctx)
			return
		}
	}
	for i := range t.lasts {
		if strings.Contains(query, t.lasts[i].table) {
			_ = t.flush(ctx)
			return
		}
	}
}

func (t *Tx) write(ctx context.Context, g gathered) error {
	for _, size := range gatherSizes {
		for n := size * g.width; len(g.args) >= n; g.args = g.args[n:] {
			if _, err := t.ExecContext(ctx, t.texts.of(g, size, t.dialect), g.args[:n]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// texts are the statements that write gathered rows. Only who holds the writer's token
// uses them.
type texts map[textKey]string

type textKey struct {
	Rows
	size int
}

func (t texts) of(g gathered, size int, d Dialect) string {
	key := textKey{g.Rows, size}
	if s, ok := t[key]; ok {
		return s
	}
	var b strings.Builder
	if g.Set != "" {
		b.WriteString("UPDATE " + g.Table + " SET " + g.Set + " FROM (VALUES ")
	} else {
		b.WriteString("INSERT INTO " + g.Table + " (" + g.Columns + ") VALUES ")
	}
	for i := range size * g.width {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%g.width == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		if d == SQLite {
			b.WriteString("?") // it looks each name up among all before it
		} else {
			b.WriteString("$" + strconv.Itoa(i+1))
		}
	}
	b.WriteString(")")
	if g.Set != "" {
		b.WriteString(") AS v WHERE " + g.Where)
	}
	t[key] = b.String()
	return t[key]
}
