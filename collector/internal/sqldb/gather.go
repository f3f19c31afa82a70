package sqldb

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Rows are the rows of a table into which is only ever inserted, see [Tx.Gather].
type Rows struct {
	Table   string
	Columns string // separated by commas
}

// gathered are rows that are not inserted yet.
type gathered struct {
	Rows
	width int   // columns
	args  []any // row by row
}

// gatherMost bounds the rows of one table that wait.
const gatherMost = 1024

// gatherSizes are how many rows one statement inserts: few sizes, so that few statements
// are kept. The last is 1.
var gatherSizes = [...]int{64, 8, 1}

// last is work that waits for the end of a transaction.
type last struct {
	table string
	key   any
	fn    func(ctx context.Context) error
}

// Gather inserts a row together with others, for a statement costs more than its rows:
// at the latest before the commit, and before any statement of this transaction that
// names the table, so that nobody can tell. A row that cannot be inserted may fail the
// transaction later than here.
func (t *Tx) Gather(ctx context.Context, r Rows, row ...any) error {
	for i := range t.gathered {
		if g := &t.gathered[i]; g.Rows == r {
			if g.args = append(g.args, row...); len(g.args) >= gatherMost*g.width {
				return t.Flush(ctx)
			}
			return nil
		}
	}
	t.gathered = append(t.gathered, gathered{r, len(row), append(make([]any, 0, 16*len(row)), row...)})
	return nil
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
	if t.failed != nil {
		return t.failed
	}
	rows, lasts := t.gathered, t.lasts
	t.gathered, t.lasts = nil, nil
	for _, g := range rows {
		if err := t.insert(ctx, g); err != nil {
			t.failed = fmt.Errorf("insert into %s: %w", g.Table, err)
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
	t.gathered, t.lasts, t.failed = nil, nil, nil
	clear(t.notes)
}

// settle writes what waits if a statement may see it; an error is kept for the commit.
func (t *Tx) settle(ctx context.Context, query string) {
	for i := range t.gathered {
		if strings.Contains(query, t.gathered[i].Table) {
			_ = t.Flush(ctx)
			return
		}
	}
	for i := range t.lasts {
		if strings.Contains(query, t.lasts[i].table) {
			_ = t.Flush(ctx)
			return
		}
	}
}

func (t *Tx) insert(ctx context.Context, g gathered) error {
	for _, size := range gatherSizes {
		for n := size * g.width; len(g.args) >= n; g.args = g.args[n:] {
			if _, err := t.ExecContext(ctx, t.texts.of(g, size), g.args[:n]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// texts are the statements that insert gathered rows. Only who holds the writer's token
// uses them.
type texts map[textKey]string

type textKey struct {
	Rows
	size int
}

func (t texts) of(g gathered, size int) string {
	key := textKey{g.Rows, size}
	if s, ok := t[key]; ok {
		return s
	}
	var b strings.Builder
	b.WriteString("INSERT INTO " + g.Table + " (" + g.Columns + ") VALUES ")
	for i := range size * g.width {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%g.width == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(i+1))
	}
	b.WriteString(")")
	t[key] = b.String()
	return t[key]
}
