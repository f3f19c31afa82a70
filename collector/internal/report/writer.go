package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hozen/internal/i18n"
)

// writer writes one document.
type writer struct {
	p   i18n.Printer
	f   Facts
	o   Options
	doc Document
}

func (w *writer) t(key string, pairs ...string) string { return w.p.Text(key, pairs...) }

// block begins a block; people may add words to an open one.
func (w *writer) block(key string, open bool) {
	w.doc.Blocks = append(w.doc.Blocks, Block{Key: key, Title: w.t("block." + string(w.doc.Kind) + "." + key), Open: open})
}

func (w *writer) hint(key string) { w.last().Hint = w.t("hint." + key) }

func (w *writer) last() *Block { return &w.doc.Blocks[len(w.doc.Blocks)-1] }

// source returns the number of a source.
func (w *writer) source(s Source) int {
	if i := slices.Index(w.doc.Sources, s); i >= 0 {
		return i + 1
	}
	w.doc.Sources = append(w.doc.Sources, s)
	return len(w.doc.Sources)
}

// say adds a sentence. One that stands on evidence alone of which nothing is left says 不明.
func (w *writer) say(text string, sources ...Source) { w.add(text, false, false, sources) }

// line is say in a paragraph of its own.
func (w *writer) line(text string, sources ...Source) { w.add(text, true, false, sources) }

// unknown adds a sentence that says 不明.
func (w *writer) unknown(text string, sources ...Source) { w.add(text, true, true, sources) }

func (w *writer) add(text string, paragraph, unknown bool, sources []Source) {
	if gone := goneOf(sources); len(gone) > 0 {
		text, unknown = w.t("gone", "numbers", strings.Join(gone, ", ")), true
	}
	s := Sentence{Text: text, Unknown: unknown, Break: paragraph}
	for _, from := range sources {
		if n := w.source(from); !slices.Contains(s.Sources, n) {
			s.Sources = append(s.Sources, n)
		}
	}
	w.last().Sentences = append(w.last().Sentences, s)
}

// goneOf names the evidence that a sentence stands on, if all of it is gone and no person
// vouches for it.
func goneOf(sources []Source) []string {
	var gone []string
	for _, s := range sources {
		switch {
		case s.Kind == FromPerson, s.Kind == FromEvidence && !s.Gone:
			return nil
		case s.Kind == FromEvidence:
			gone = append(gone, s.Ref)
		}
	}
	return gone
}

func (w *writer) ledger(idx int64) Source {
	if idx < 0 {
		return w.gap("ledger")
	}
	n := strconv.FormatInt(idx, 10)
	return Source{Kind: FromLedger, Ref: n, Text: w.t("source.ledger", "n", n)}
}

func (w *writer) gap(what string) Source {
	if key := "item." + what; w.p.Has(key) {
		return Source{Kind: FromGap, Ref: what, Text: w.t("source.gap.item", "item", w.t(key))}
	}
	return Source{Kind: FromGap, Text: w.t("source.gap")}
}

func (w *writer) wording() Source { return Source{Kind: FromWording, Text: w.t("source.wording")} }

func (w *writer) evidence(number string, gone bool) Source {
	s := Source{Kind: FromEvidence, Ref: number, Gone: gone, Text: w.t("source.evidence", "number", number)}
	if gone {
		s.Text = w.t("source.evidence.gone", "number", number)
	}
	return s
}

// sourcesOf are what an answer stands on.
func (w *writer) sourcesOf(k Key, a Answer) []Source {
	if a.Version == 0 && a.LedgerIdx <= 0 && len(a.Basis) == 0 {
		return []Source{w.gap(string(k))}
	}
	name := w.t("item." + string(k))
	text := w.t("source.record", "item", name, "version", strconv.Itoa(a.Version), "by", w.orUnknown(a.By), "at", w.moment(a.At))
	if a.LedgerIdx > 0 {
		text += w.t("source.record.ledger", "n", strconv.FormatInt(a.LedgerIdx, 10))
	}
	out := []Source{{Kind: FromRecord, Ref: string(k) + " v" + strconv.Itoa(a.Version), Text: text}}
	for _, b := range a.Basis {
		if b.Number != "" {
			out = append(out, w.evidence(b.Number, b.Gone))
		} else if b.Alert {
			out = append(out, Source{Kind: FromPerson, Ref: "alert", Text: w.t("source.alert")})
		} else if b.Person != "" {
			out = append(out, Source{Kind: FromPerson, Ref: b.Person, Text: w.t("source.person", "name", b.Person)})
		}
	}
	return out
}

// value is what an answer says, without how sure it is; empty when it says nothing.
func (w *writer) value(k Key, a Answer) string {
	moment := w.period(a)
	switch {
	case a.State == Unknown:
		return ""
	case a.Value != "":
		return a.Value
	case k == KnownAt || k == DiscoveredAt || k == OccurredAt && moment != "":
		return moment // how it is known stands in the record
	}
	return w.parts(a.Parts)
}

// parts writes the parts of an answer, each with its name but the one that needs none.
func (w *writer) parts(list []Part) string {
	var out, types []string
	for _, p := range list {
		text := p.Text
		switch {
		case p.Name == "types":
			types = append(types, w.word("type", p.Text))
			continue
		case p.Name == "category":
			text = w.word("cause", p.Text)
		case strings.HasPrefix(p.Name, "fact."):
			if p.State != "" {
				text += w.t("fact.state", "state", w.word("tool", p.State))
			}
			text += w.t("fact.at", "at", w.moment(p.At))
		case !slices.Contains([]string{"what", "text", "name", "devices"}, p.Name):
			text = w.t("part", "name", w.word("field", p.Name), "text", p.Text)
		}
		out = append(out, text)
	}
	if len(types) > 0 {
		out = append([]string{strings.Join(types, w.t("list.and"))}, out...)
	}
	return strings.Join(out, "\n")
}

// period writes the moment or the interval of an answer; empty when it has none.
func (w *writer) period(a Answer) string {
	switch {
	case !a.From.IsZero() && !a.To.IsZero() && !a.From.Equal(a.To):
		return w.t("between", "from", w.moment(a.From), "to", w.moment(a.To))
	case !a.From.IsZero():
		return w.moment(a.From)
	case !a.To.IsZero():
		return w.t("until", "to", w.moment(a.To))
	}
	return ""
}

// answer adds what is known of one thing, or that it is not known; it reports whether it is.
func (w *writer) answer(k Key) bool {
	a := w.f.Answers[k]
	from := w.sourcesOf(k, a)
	text := w.value(k, a)
	if text == "" {
		w.unknown(w.t("unknown"), from...)
		return false
	}
	w.line(w.sure(text, a.State), from...)
	return true
}

func (w *writer) sure(text string, s State) string {
	if s == Estimated {
		return w.t("estimated", "text", text)
	}
	return text
}

func (w *writer) orUnknown(s string) string {
	if strings.TrimSpace(s) == "" {
		return w.t("unknown")
	}
	return s
}

// finish puts in what people added.
func (w *writer) finish() {
	for i := range w.doc.Blocks {
		b := &w.doc.Blocks[i]
		text := strings.TrimSpace(w.o.Added[b.Key])
		if !b.Open || text == "" {
			continue
		}
		w.doc.Added[b.Key] = text
		n := w.source(Source{Kind: FromPerson, Ref: w.o.By, Text: w.t("source.added", "name", w.orUnknown(w.o.By))})
		// What is answered now is not said to be unknown.
		b.Sentences = slices.DeleteFunc(b.Sentences, func(s Sentence) bool { return s.Unknown && onlyGaps(w.doc, s) })
		if w.doc.Kind == Owner {
			text = strings.Join(strings.Fields(text), " ") // lines take room that one page has not
		}
		for p := range strings.SplitSeq(text, "\n") {
			if p = strings.TrimSpace(p); p != "" {
				b.Sentences = append(b.Sentences, Sentence{Text: p, Break: true, Sources: []int{n}})
			}
		}
	}
	if w.doc.Kind == Owner {
		for i := range w.doc.Blocks {
			w.shorten(&w.doc.Blocks[i])
		}
	}
	w.doc.dropUnused()
}

func onlyGaps(d Document, s Sentence) bool {
	for _, n := range s.Sources {
		if d.Sources[n-1].Kind != FromGap {
			return false
		}
	}
	return true
}

// dropUnused numbers the sources anew in the order in which the text names them.
func (d *Document) dropUnused() {
	var used []Source
	place := map[int]int{}
	for i := range d.Blocks {
		for j := range d.Blocks[i].Sentences {
			s := &d.Blocks[i].Sentences[j]
			for k, n := range s.Sources {
				if place[n] == 0 {
					used = append(used, d.Sources[n-1])
					place[n] = len(used)
				}
				s.Sources[k] = place[n]
			}
		}
	}
	d.Sources = used
}

// maxParagraphs is how many a block of the owner's page has at most.
const maxParagraphs = 6

// shorten cuts a block to what the owner's page has room for, whole sentences where it can.
func (w *writer) shorten(b *Block) {
	rest := w.t("more")
	room := MaxOnPage - utf8.RuneCountInString(rest)
	total, paragraphs := 0, 0
	for i := range b.Sentences {
		s := &b.Sentences[i]
		s.Text = strings.Join(strings.Fields(s.Text), " ")
		total += printedLength(s.Text)
		if s.Break {
			paragraphs++
		}
	}
	if total <= MaxOnPage && paragraphs <= maxParagraphs {
		return
	}
	used := 0
	paragraphs = 0
	for i, s := range b.Sentences {
		n := printedLength(s.Text)
		if s.Break {
			paragraphs++
		}
		if used+n <= room && paragraphs < maxParagraphs {
			used += n
			continue
		}
		if i == 0 {
			s.Text = cut(s.Text, room)
			b.Sentences[0] = s
			i = 1
		}
		b.Sentences = append(b.Sentences[:i:i], Sentence{Text: rest, Break: true, Sources: []int{w.source(w.wording())}})
		return
	}
}

// printedLength counts characters as they are printed: one that no font has takes the room
// of its mark.
func printedLength(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xffff {
			n += 5 // [U+20BB7] in narrow letters
		}
	}
	return n
}

func cut(s string, most int) string {
	n := 0
	for i, r := range s {
		if n += printedLength(string(r)); n > most {
			return s[:i]
		}
	}
	return s
}

// day writes a day, by the Japanese era if that is asked for.
func (w *writer) day(t time.Time) string {
	if t.IsZero() {
		return w.t("unknown")
	}
	t = t.In(Zone())
	if w.o.Language != i18n.Japanese {
		return t.Format("2 January 2006")
	}
	if w.o.Era {
		return Era(t)
	}
	return fmt.Sprintf("%d年%d月%d日", t.Year(), int(t.Month()), t.Day())
}

// moment writes a time of Japan to the minute.
func (w *writer) moment(t time.Time) string {
	if t.IsZero() {
		return w.t("unknown")
	}
	return w.day(t) + " " + t.In(Zone()).Format("15:04")
}

// Era writes a day by the Japanese era, such as 令和8年11月23日. Days before 1989-01-08 are
// written by the common era.
func Era(t time.Time) string {
	t = t.In(Zone())
	name, first := "", 0
	switch day := t.Year()*10000 + int(t.Month())*100 + t.Day(); {
	case day >= 20190501:
		name, first = "令和", 2019
	case day >= 19890108:
		name, first = "平成", 1989
	default:
		return fmt.Sprintf("%d年%d月%d日", t.Year(), int(t.Month()), t.Day())
	}
	year := "元"
	if n := t.Year() - first + 1; n > 1 {
		year = strconv.Itoa(n)
	}
	return fmt.Sprintf("%s%s年%d月%d日", name, year, int(t.Month()), t.Day())
}

// word writes a code of ours, such as the kind of an exhibit, in words; one that is not known
// as it is.
func (w *writer) word(prefix, code string) string {
	if code == "" {
		return w.t("unknown")
	}
	if key := "word." + prefix + "." + code; w.p.Has(key) {
		return w.t(key)
	}
	return code
}
