package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hozen/collector/internal/sqldb"
)

// Row is what a row that changes says now.
type Row struct {
	OrganisationID string
	Subject        string            // what a [Difference] names
	Says           map[string]string // by column
}

// Told is what one entry says of one row that changes.
type Told struct {
	Key string // of the row
	// Is is what columns are from then on. Some are columns that became what the entry does not
	// say: it is of an earlier version.
	Is   map[string]string
	Some []string
	// First is what columns are for ever by the oldest entry that says it, whatever Is says.
	First map[string]string
	// Made means that there is the row from then on, Gone that there is none.
	Made, Gone bool
}

// Later says of a column what a detail of the entry says, which entries of earlier versions lack.
func (t *Told) Later(e Recorded, column, detail string) {
	if v, ok := e.Details[detail]; ok {
		if v == noWord {
			v = ""
		}
		t.Is[column] = v
	} else {
		t.Some = append(t.Some, column)
	}
}

// noWord stands in entries for an empty detail, which would not be in them, where entries of
// earlier versions lack the detail.
const noWord = "-"

// OrNone is a value as an entry says it for [Told.Later]: one that is empty is said too. No
// other value may be a hyphen.
func OrNone(value string) string {
	if value == "" {
		return noWord
	}
	return value
}

// Short stands in entries for a value that must not be in them, a secret or an address: who has
// it sees whether the value is the one of then. Empty stands for empty. thing keeps equal values
// of different things apart.
func Short(thing, value string) string {
	if value == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("hozen row\x00" + thing + "\x00" + value))
	return hex.EncodeToString(sum[:16])
}

// standing is what the ledger says of one row.
type standing struct {
	made, gone int64 // indexes of the newest entries that say so; -1: none
	subject    string
	is, first  map[string]said
}

// said is what the newest entry that concerns a column says of it.
type said struct {
	at    int64 // index of the entry
	value string
	known bool
}

// Standing holds rows that change, by key, against what the entries with the acts say of them:
// of each column counts the newest entry that concerns it. q is one unchanging view. The error
// is only about not being able to look.
func Standing(ctx context.Context, q sqldb.Queryer, organisationID string, acts []string, rows map[string]Row, told func(Recorded) []Told) ([]Difference, error) {
	ledger := map[string]*standing{}
	if err := Walk(ctx, q, organisationID, acts, func(e Recorded) {
		for _, t := range told(e) {
			s := ledger[t.Key]
			if s == nil {
				s = &standing{made: -1, gone: -1, subject: e.Subject, is: map[string]said{}, first: map[string]said{}}
				ledger[t.Key] = s
			}
			s.hear(e, t)
		}
	}); err != nil {
		return nil, err
	}
	var found []Difference
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		r, s := rows[key], ledger[key]
		if s == nil || s.made < 0 || s.gone > s.made {
			found = append(found, Difference{Surplus, r.Subject, "no entry of the ledger says that there is such a row"})
			continue
		}
		found = append(found, s.differs(r)...)
	}
	for _, key := range slices.Sorted(maps.Keys(ledger)) {
		if s := ledger[key]; s.made > s.gone {
			if _, ok := rows[key]; !ok {
				found = append(found, Difference{Missing, s.subject, fmt.Sprintf("entry %d of the ledger made a row that is not there", s.made)})
			}
		}
	}
	return found, nil
}

func (s *standing) hear(e Recorded, t Told) {
	if t.Made {
		s.made = max(s.made, e.Index)
	}
	if t.Gone {
		s.gone = max(s.gone, e.Index)
	}
	put := func(column string, v said) {
		if was, ok := s.is[column]; !ok || was.at < e.Index {
			s.is[column] = v
		}
	}
	for column, v := range t.Is {
		put(column, said{e.Index, v, true})
	}
	for column, v := range t.First {
		if was, ok := s.first[column]; !ok || was.at > e.Index {
			s.first[column] = said{e.Index, v, true}
		}
	}
	for _, column := range t.Some {
		put(column, said{e.Index, "", false})
	}
}

// differs names the columns that differ, by the entry that says otherwise, not what they say.
func (s *standing) differs(r Row) []Difference {
	by := map[int64][]string{}
	for column, v := range r.Says {
		is, ok := s.first[column]
		if !ok {
			is, ok = s.is[column]
		}
		if ok && !is.known || ok && alike(is.value, v) {
			continue
		}
		if !ok {
			by[s.made] = append(by[s.made], column)
			continue
		}
		by[is.at] = append(by[is.at], column)
	}
	var found []Difference
	for _, idx := range slices.Sorted(maps.Keys(by)) {
		slices.Sort(by[idx])
		found = append(found, Difference{Edited, r.Subject, fmt.Sprintf("its row does not say what entry %d of the ledger says: %s", idx, strings.Join(by[idx], ", "))})
	}
	return found
}

// alike compares texts as a row and an entry have them: each writes in its way what is no text.
func alike(a, b string) bool {
	return a == b || strings.Join(strings.FieldsFunc(sqldb.CleanText(a), isOdd), "\uFFFD") == strings.Join(strings.FieldsFunc(sqldb.CleanText(b), isOdd), "\uFFFD")
}

func isOdd(r rune) bool { return r == '\uFFFD' }

// EachStanding is [Standing] of every organisation that has a ledger or rows.
func EachStanding(ctx context.Context, q sqldb.Queryer, acts []string, rows map[string]Row, told func(Recorded) []Told) (map[string][]Difference, error) {
	of, err := ByOrganisation(ctx, q, rows, func(r Row) string { return r.OrganisationID })
	all := map[string][]Difference{}
	for org, rows := range of {
		if err == nil {
			all[org], err = Standing(ctx, q, org, acts, rows, told)
		}
	}
	return all, err
}

// ByOrganisation parts rows by whose they are. An organisation that has a ledger is there
// without rows too. Where the heads of the ledger can't be read there are none.
func ByOrganisation[R any](ctx context.Context, q sqldb.Queryer, rows map[string]R, org func(R) string) (map[string]map[string]R, error) {
	heads, err := Heads(ctx, q)
	if errors.Is(err, ErrBroken) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	of := map[string]map[string]R{}
	for _, h := range heads {
		of[h.OrganisationID] = map[string]R{}
	}
	for key, r := range rows {
		if of[org(r)] == nil {
			of[org(r)] = map[string]R{}
		}
		of[org(r)][key] = r
	}
	return of, nil
}

// ReadRows reads rows as text, whatever somebody wrote into them: of a table the columns, the
// first of which is the organisation's. Key and subject are made of a row.
func ReadRows(ctx context.Context, q sqldb.Queryer, table string, columns []string, name func(r map[string]string) (key, subject string)) (map[string]Row, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+strings.Join(columns, ", ")+` FROM `+table)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", table, err)
	}
	defer rows.Close()
	all := map[string]Row{}
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read %s: %w", table, err)
		}
		r := Row{Says: map[string]string{}}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			r.Says[columns[i]] = fmt.Sprint(v)
		}
		var key string
		key, r.Subject = name(r.Says)
		r.OrganisationID = r.Says[columns[0]]
		delete(r.Says, columns[0])
		for _, twice := all[key]; twice; _, twice = all[key] { // of which no entry speaks
			key += " again"
		}
		all[key] = r
	}
	return all, rows.Err()
}
