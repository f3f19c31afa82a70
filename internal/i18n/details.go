package i18n

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Details says in Japanese what programs say in English for experts: the details of findings and errors.
// Those stay English where they are made, kept and written for machines. The zero
// Details says everything as it is.
type Details struct{ forms []form }

// form is one sentence: the format that makes it in English, and its words in Japanese.
type form struct {
	english *regexp.Regexp
	verbs   []string
	said    text
}

// LoadDetails reads a file of one JSON object: each name is a format of package fmt as it stands in
// the source, each value the same in Japanese, with {1}, {2} … for what its verbs stand for.
func LoadDetails(fsys fs.FS, name string) (Details, error) {
	d, err := loadDetails(fsys, name)
	if err != nil {
		return Details{}, fmt.Errorf("load details %s: %w", name, err)
	}
	return d, nil
}

var verb = regexp.MustCompile(`%[#+]?[0-9]*(?:\.[0-9]+)?[a-zA-Z]`)

func loadDetails(fsys fs.FS, name string) (Details, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return Details{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return Details{}, err
	}
	texts, err := parse(raw)
	if err != nil {
		return Details{}, err
	}
	var d Details
	literal := map[*regexp.Regexp]int{}
	for format, said := range texts {
		var re strings.Builder
		verbs, at, letters := verb.FindAllStringIndex(format, -1), 0, 0
		one := form{said: said}
		for _, v := range verbs {
			re.WriteString(regexp.QuoteMeta(format[at:v[0]]))
			letters += v[0] - at
			at = v[1]
			kind := format[v[1]-1 : v[1]]
			one.verbs = append(one.verbs, kind)
			switch kind {
			case "d":
				re.WriteString(`(-?[0-9]+)`)
			case "q":
				re.WriteString(`("(?:[^"\\]|\\.)*")`)
			default:
				re.WriteString(`(.*?)`)
			}
		}
		re.WriteString(regexp.QuoteMeta(format[at:]))
		letters += len(format) - at
		for n := 1; n < len(said); n += 2 {
			if k, err := strconv.Atoi(said[n]); err != nil || k < 1 || k > len(verbs) {
				return Details{}, fmt.Errorf("%q: there is no {%s}", format, said[n])
			}
		}
		if one.english, err = regexp.Compile(`(?s)\A` + re.String() + `\z`); err != nil {
			return Details{}, fmt.Errorf("%q: %w", format, err)
		}
		literal[one.english] = letters
		d.forms = append(d.forms, one)
	}
	// The sentence with the most words of its own is the one that was said.
	slices.SortFunc(d.forms, func(a, b form) int {
		return cmp.Or(literal[b.english]-literal[a.english], strings.Compare(a.english.String(), b.english.String()))
	})
	return d, nil
}

// WithDetails returns a catalogue whose Japanese printers say details too.
func (c Catalogue) WithDetails(d Details) Catalogue {
	c.details = d
	return c
}

// Detail says what a program says in English for experts, see [Details].
func (p Printer) Detail(english string) string { return p.details.Text(english) }

// Text says a detail. What is not known, such as what the operating system said, stays as it is.
func (d Details) Text(detail string) string {
	s, _ := d.say(detail, 4)
	return s
}

func (d Details) say(detail string, depth int) (string, bool) {
	if depth == 0 || detail == "" {
		return detail, false
	}
	for _, f := range d.forms {
		m := f.english.FindStringSubmatch(detail)
		if m == nil {
			continue
		}
		var b strings.Builder
		for n, part := range f.said {
			if n%2 == 0 {
				b.WriteString(part)
				continue
			}
			k, _ := strconv.Atoi(part) // checked when it was loaded
			arg := m[k]
			if v := f.verbs[k-1]; v == "v" || v == "w" || v == "s" {
				arg, _ = d.say(arg, depth-1)
			}
			b.WriteString(arg)
		}
		return b.String(), true
	}
	// An error that wraps another: what it was doing, and why that failed.
	for at := 0; ; {
		n := strings.Index(detail[at:], ": ")
		if n < 0 {
			return detail, false
		}
		left, lok := d.say(detail[:at+n], 1)
		right, rok := d.say(detail[at+n+2:], depth-1)
		if lok || rok {
			return left + ": " + right, true
		}
		at += n + 2
	}
}
