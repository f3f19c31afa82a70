package pdf

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// pagesOf are the texts of a document's pages, without white space.
func pagesOf(t *testing.T, s Sheet) []string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, p := range strings.Split(strings.TrimSuffix(copied(t, b.Bytes()), "\f"), "\f") {
		pages = append(pages, squeeze(p))
	}
	return pages
}

// lines are n short paragraphs.
func lines(n int) (out [][]Run) {
	for i := range n {
		out = append(out, []Run{{Text: fmt.Sprintf("第%03d行", i)}})
	}
	return out
}

// TestAHeadingStaysWithWhatItHeads: wherever on a page a table begins, its heading, its head and
// its first row stand on one page, and a heading of text stands above some of it.
func TestAHeadingStaysWithWhatItHeads(t *testing.T) {
	second := false
	for n := 30; n < 56; n += 2 { // a page has 48 to 53 of them
		for _, tall := range []int{1, 40} {
			row := []string{"最初の行" + strings.Repeat("\nなお", tall), "値"}
			pages := pagesOf(t, Sheet{Title: "題", Foot: "脚", Blocks: []SheetBlock{{Paragraphs: lines(n)},
				{Title: "期限の見出し", Table: &SheetTable{Head: []string{"表の頭", "右"}, Widths: []float64{1, 1}, Rows: [][]string{row, {"次の行", "値"}}}},
				{Title: "文の見出し", Paragraphs: [][]Run{{{Text: "文の初め"}}}}}})
			for i, p := range pages {
				head, first := strings.Contains(p, "期限の見出し"), strings.Contains(p, "最初の行")
				if head != first || head && !strings.Contains(p, "表の頭") {
					t.Errorf("%d lines above, %d in the row: page %d of %d has the heading %t and the first row %t", n, tall, i+1, len(pages), head, first)
				}
				if head, first := strings.Contains(p, "文の見出し"), strings.Contains(p, "文の初め"); head != first {
					t.Errorf("%d lines above, %d in the row: a heading stands alone", n, tall)
				}
				second = second || head && i > 0
			}
		}
	}
	if !second {
		t.Error("no heading went over to the next page")
	}
}

// TestNoPageForAFewLines: what has a little more than a page's worth gets smaller letters instead
// of a second page; what has much more does not.
func TestNoPageForAFewLines(t *testing.T) {
	most := func(s Sheet) int { // lines on the first page in letters of the usual size
		s.Blocks = []SheetBlock{{Paragraphs: lines(200)}}
		return strings.Count(pagesOf(t, s)[0], "行")
	}(Sheet{Title: "題", Foot: "脚"})
	for more, want := range map[int]int{0: 1, 1: 1, 3: 1, most / 3: 2} {
		pages := pagesOf(t, Sheet{Title: "題", Foot: "脚", Blocks: []SheetBlock{{Paragraphs: lines(most + more)}}})
		if len(pages) != want {
			t.Errorf("%d lines more than a page has take %d pages, want %d", more, len(pages), want)
		}
		if want == 2 && strings.Count(pages[0], "行") != most {
			t.Errorf("the letters of a document of two pages are smaller: %d lines on the first, want %d", strings.Count(pages[0], "行"), most)
		}
		if got := strings.Count(strings.Join(pages, ""), "行"); got != most+more {
			t.Errorf("%d of %d lines", got, most+more)
		}
	}
}
