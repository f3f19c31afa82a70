package console

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// rowsPerPage keeps a page quick on a phone; the search runs over all rows.
const rowsPerPage = 100

// maxQuery is how much of a search is looked at, in bytes.
const maxQuery = 200

// query is how somebody wants to see a table: it stands in the address, so that the
// view can be bookmarked and sent to a colleague.
type query struct {
	Q    string
	Sort string
	Desc bool
	Show string
	Page int // from 1
}

func readQuery(values url.Values, sorts, shows []string) query {
	q := query{Q: strings.ToValidUTF8(strings.TrimSpace(values.Get("q")), ""), Sort: values.Get("sort"), Show: values.Get("show"), Desc: values.Get("dir") == "desc"}
	if len(q.Q) > maxQuery {
		q.Q = strings.ToValidUTF8(q.Q[:maxQuery], "")
	}
	if !slices.Contains(sorts, q.Sort) {
		q.Sort, q.Desc = sorts[0], false
	}
	if !slices.Contains(shows, q.Show) {
		q.Show = shows[0]
	}
	q.Page, _ = strconv.Atoi(values.Get("page"))
	q.Page = max(q.Page, 1)
	return q
}

// url is this page's address with some of the query changed, from pairs of name and value.
func (q query) url(pairs ...string) string {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		} else {
			v.Del(name)
		}
	}
	set("q", q.Q)
	set("sort", q.Sort)
	set("show", q.Show)
	if q.Desc {
		v.Set("dir", "desc")
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		set(pairs[i], pairs[i+1])
	}
	return "?" + v.Encode()
}

// SortURL sorts by a column, and the other way round the second time.
func (q query) SortURL(column string) string {
	dir := ""
	if q.Sort == column && !q.Desc {
		dir = "desc"
	}
	return q.url("sort", column, "dir", dir)
}

// Sorted is the value of aria-sort for a column.
func (q query) Sorted(column string) string {
	switch {
	case q.Sort != column:
		return "none"
	case q.Desc:
		return "descending"
	}
	return "ascending"
}

// ShowURL chooses a selection.
func (q query) ShowURL(show string) string { return q.url("show", show) }

// PageURL turns to a page.
func (q query) PageURL(page int) string { return q.url("page", strconv.Itoa(page)) }

// words are the parts of the search in lower case; all of them have to be found.
func (q query) words() []string { return strings.Fields(strings.ToLower(q.Q)) }

// matches reports whether every word stands in the text, which is in lower case and is
// made only when there is something to look for.
func matches(words []string, make func() string) bool {
	if len(words) == 0 {
		return true
	}
	text := make()
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// paged is one page of rows.
type paged[T any] struct {
	Rows               []T
	Total, First, Last int
	Page, Pages        int
}

func turn[T any](rows []T, page int) paged[T] {
	p := paged[T]{Total: len(rows), Pages: max((len(rows)+rowsPerPage-1)/rowsPerPage, 1)}
	p.Page = min(page, p.Pages)
	from := (p.Page - 1) * rowsPerPage
	to := min(from+rowsPerPage, len(rows))
	p.Rows, p.First, p.Last = rows[from:to], min(from+1, len(rows)), to
	return p
}

// sortBy sorts rows with the comparison of a column; equal rows keep their order.
func sortBy[T any](rows []T, desc bool, compare func(a, b T) int) {
	slices.SortStableFunc(rows, func(a, b T) int {
		if desc {
			return compare(b, a)
		}
		return compare(a, b)
	})
}

// pager is what the part under a table needs.
type pager struct {
	Query              query
	Total, First, Last int
	Page, Pages        int
}

// Pager returns it for the rows of a table.
func (p paged[T]) Pager(q query) pager {
	return pager{q, p.Total, p.First, p.Last, p.Page, p.Pages}
}

// Previous and Next are the pages beside; 0 when there is none.
func (p pager) Previous() int { return p.Page - 1 }

// Next is the page after; 0 when there is none.
func (p pager) Next() int {
	if p.Page >= p.Pages {
		return 0
	}
	return p.Page + 1
}

// compareText compares without regard to case, then exactly.
func compareText(a, b string) int {
	return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
}
