package playbook

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"hozen/collector/internal/dataset"
)

// OwnFile is the name of the file with the items that an organisation adds.
const OwnFile = "own-steps.toml"

// Limits of that file.
const (
	MaxOwn      = 32 << 10 // bytes; every version of it stands in the ledger
	maxOwnItems = 100
	MaxOwnText  = 600 // bytes
)

const ownFormat = "hozen-playbook-own/1"

// Own are the items that an organisation adds to playbooks.
type Own struct {
	Format string    `toml:"format"`
	Items  []OwnItem `toml:"item"`
}

// OwnItem is one of them. The product measures nothing of it and offers no act for it.
type OwnItem struct {
	Playbook string   `toml:"playbook"` // key of the playbook, or [Common] for all
	ID       string   `toml:"id"`       // a word of the organisation's; stable, it stands in the ledger
	Substep  string   `toml:"substep"`
	Mode     Mode     `toml:"mode"` // record, decide or remind. Optional; default remind
	Who      []string `toml:"who"`
	// When and Text may lack English; Japanese is shown then.
	When Text `toml:"when"`
	Text Text `toml:"text"`
	// Retired means that it is in no playbook any more. Of those that are added at the console alone.
	Retired bool `toml:"retired,omitempty"`
}

// OwnModes returns how an own item can be done.
func OwnModes() []Mode { return []Mode{Remind, Record, Decide} }

// Substeps returns the headings under which items stand.
func (b *Book) Substeps() []Named { return slices.Clone(b.frame.Substeps) }

var ownID = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

// With returns a book with an organisation's own items behind those of the guide, from the
// bytes of its file. The error names the line of everything that is wrong.
func (b *Book) With(text []byte) (*Book, int, error) {
	own, err := readOwn(text)
	if err != nil {
		return nil, 0, err
	}
	w := &ownCheck{lines: bytes.Split(text, []byte("\n"))}
	w.find(len(own.Items))
	if own.Format != ownFormat {
		w.fault(-1, "format", "format is %q, want %q", own.Format, ownFormat)
	}
	if len(own.Items) > maxOwnItems {
		w.fault(-1, "item", "%d items, at most %d are taken", len(own.Items), maxOwnItems)
		return nil, 0, w.err()
	}
	more := &Book{frame: b.frame, edition: b.edition, books: slices.Clone(b.books)}
	for n := range more.books {
		more.books[n].Items = slices.Clone(more.books[n].Items)
	}
	var seen []string
	for n, o := range own.Items {
		if o.Retired {
			w.fault(n, "retired", "retired is for steps of the console; leave the item out")
		}
		i := w.item(b, n, o)
		if slices.Contains(seen, i.ID) {
			w.fault(n, "id", "the id %q stands twice in the playbook %s", o.ID, o.Playbook)
		}
		seen = append(seen, i.ID)
		if at := slices.IndexFunc(more.books, func(p Playbook) bool { return p.Key == o.Playbook }); at >= 0 {
			more.books[at].Items = append(more.books[at].Items, i)
		}
	}
	if err := w.err(); err != nil {
		return nil, 0, err
	}
	if err := more.check(); err != nil { // what holds for the guide's items holds for these
		return nil, 0, fmt.Errorf("%s: %w", OwnFile, err)
	}
	return more, len(own.Items), nil
}

// readOwn decodes the file, strictly. The error names the line.
func readOwn(text []byte) (Own, error) {
	var own Own
	if len(text) > MaxOwn {
		return own, fmt.Errorf("%s has more than %d bytes", OwnFile, MaxOwn)
	}
	if !utf8.Valid(text) {
		return own, fmt.Errorf("%s is not UTF-8: save it so", OwnFile)
	}
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&own)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var wrong []error
		for _, e := range strict.Errors {
			row, _ := e.Position()
			wrong = append(wrong, fmt.Errorf("%s:%d: unknown key %q", OwnFile, row, strings.Join(e.Key(), ".")))
		}
		return own, errors.Join(wrong...)
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, _ := bad.Position()
		return own, fmt.Errorf("%s:%d: %w", OwnFile, row, err)
	}
	if err != nil {
		return own, fmt.Errorf("%s: %w", OwnFile, err)
	}
	return own, nil
}

// ownCheck gathers what is wrong with the file.
type ownCheck struct {
	lines [][]byte
	items []int // line at which each item begins, from 0; empty: not known
	wrong []error
}

var ownHead = regexp.MustCompile(`^\s*\[\[\s*item\s*\]\]`)

// find finds the lines at which the items begin, where they stand as such.
func (w *ownCheck) find(n int) {
	for row, line := range w.lines {
		if ownHead.Match(line) {
			w.items = append(w.items, row)
		}
	}
	if len(w.items) != n {
		w.items = nil // written in another way, or a text looks like one
	}
}

// line is that of a key of an item, or of the file for -1; of the item where it has no such
// key, and 0 where it is not known.
func (w *ownCheck) line(item int, key string) int {
	from, to := 0, len(w.lines)
	if item >= 0 {
		if item >= len(w.items) {
			return 0
		}
		from = w.items[item]
		if item+1 < len(w.items) {
			to = w.items[item+1]
		}
	}
	for row := from; row < to; row++ {
		rest, ok := bytes.CutPrefix(bytes.TrimSpace(w.lines[row]), []byte(key))
		if rest = bytes.TrimSpace(rest); ok && bytes.HasPrefix(rest, []byte("=")) {
			return row + 1
		}
	}
	return from + 1
}

func (w *ownCheck) fault(item int, key, format string, args ...any) {
	where := OwnFile
	if row := w.line(item, key); row > 0 {
		where = fmt.Sprintf("%s:%d", OwnFile, row)
	} else if item >= 0 {
		where = fmt.Sprintf("%s: item %d", OwnFile, item+1)
	}
	w.wrong = append(w.wrong, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
}

func (w *ownCheck) err() error { return errors.Join(w.wrong...) }

// item makes an item of a playbook of what the organisation wrote.
func (w *ownCheck) item(b *Book, n int, o OwnItem) Item {
	if o.Mode == "" {
		o.Mode = Remind
	}
	one := func(key, value string, all []string) {
		if !slices.Contains(all, value) {
			w.fault(n, key, "%s is %q, want one of %s", key, value, strings.Join(all, ", "))
		}
	}
	one("playbook", o.Playbook, b.Keys())
	one("substep", o.Substep, dataset.Keys(b.frame.Substeps, func(s Named) string { return s.Key }))
	one("mode", string(o.Mode), dataset.Strings(OwnModes()))
	if !ownID.MatchString(o.ID) {
		w.fault(n, "id", "id is %q, want 1 to 32 of a-z, 0-9 and _", o.ID)
	}
	if len(o.Who) == 0 {
		w.fault(n, "who", "who is empty, want some of %s", strings.Join(Whos(), ", "))
	}
	for _, who := range o.Who {
		one("who", who, Whos())
	}
	o.Text, o.When = w.text(n, "text", o.Text, true), w.text(n, "when", o.When, false)
	return Item{ID: o.Playbook + ".own." + o.ID, Substep: o.Substep, Mode: o.Mode, Who: o.Who, Ours: true, Own: true, When: o.When, Text: o.Text}
}

func (w *ownCheck) text(n int, key string, t Text, need bool) Text {
	t.JA, t.EN = strings.TrimSpace(t.JA), strings.TrimSpace(t.EN)
	if t.EN == "" {
		t.EN = t.JA
	}
	if t.JA == "" && (need || t.EN != "") {
		w.fault(n, key, "%s has no text in ja", key)
	}
	for _, s := range []string{t.JA, t.EN} {
		if len(s) > MaxOwnText {
			w.fault(n, key, "%s has %d bytes, at most %d are taken", key, len(s), MaxOwnText)
		}
		if strings.ContainsFunc(s, unicode.IsControl) {
			w.fault(n, key, "%s has a line break or another control character", key)
		}
	}
	return t
}
