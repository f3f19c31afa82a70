package kit

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"hozen/internal/artifact/record"
)

// maxAnswer is the longest answer in bytes.
const maxAnswer = 400

// ErrNoAnswer means that something must be said and nobody says it; the text names the flag.
var ErrNoAnswer = errors.New("an answer is missing")

// ErrStopped means that the person does not want to begin.
var ErrStopped = errors.New("stopped before anything was done")

// Texts are the texts in the person's language.
type Texts interface {
	Text(key string, pairs ...string) string
}

// Answers are what the person says; what the command line says is not asked.
type Answers struct {
	Reference       string // time that a trusted clock showed; empty: not compared
	ReferenceSource string
	Place           string
	Reason          string
	By              string
	Witness         string
}

// Asking asks the person at the PC.
type Asking struct {
	In    io.Reader
	Out   io.Writer
	Texts Texts
	// Now reads the PC's clock: the wall, and nanoseconds since boot.
	Now func() (wall time.Time, bootNS int64)

	lines chan string
}

// question is one of the questions.
type question struct {
	key      string // of its texts
	flag     string
	to       *string
	optional bool
}

// Ask fills in what a has not, and returns the statement. With everything there that is
// needed and said set, nobody is asked.
func (q *Asking) Ask(ctx context.Context, k Kit, a Answers, said bool) (record.Kit, error) {
	line := record.Kit{KitID: k.KitID, KitSHA256: k.SHA256, Organisation: k.Organisation.Name, Incident: k.Incident, Asked: "flags", Free: -1}
	if a.Reference != "" { // compared with the moment at which the program was started
		wall, boot := q.Now()
		r, err := Reference(tidy(a.Reference), cmp.Or(tidy(a.ReferenceSource), "-"), wall, boot)
		if err != nil {
			return line, err
		}
		line.Reference = r
	}
	if said && a.Place != "" && a.Reason != "" && a.By != "" {
		return q.finish(line, a), nil
	}
	line.Asked = "dialogue"
	q.read(ctx)
	q.say("kit.hello", "organisation", k.Organisation.Name)
	if k.Incident != "" {
		q.say("kit.incident", "number", k.Incident)
	}
	q.say("kit.how")
	for given := a; ; a = given {
		if err := q.all(ctx, &line, &a); err != nil {
			return line, err
		}
		again, err := q.confirm(ctx, k, line, a)
		if err != nil {
			return line, err
		}
		if !again {
			return q.finish(line, a), nil
		}
		if given.Reference == "" {
			line.Reference = record.ReferenceTime{}
		}
	}
}

func (q *Asking) finish(line record.Kit, a Answers) record.Kit {
	line.Place, line.Reason, line.By, line.Witness = tidy(a.Place), tidy(a.Reason), tidy(a.By), tidy(a.Witness)
	line.At, _ = q.Now()
	return line
}

// all asks every question that has no answer yet.
func (q *Asking) all(ctx context.Context, line *record.Kit, a *Answers) error {
	if line.Reference.Typed == "" {
		if err := q.reference(ctx, line, a); err != nil {
			return err
		}
	}
	for _, x := range []question{
		{"place", "--place", &a.Place, false}, {"reason", "--reason", &a.Reason, false},
		{"by", "--by", &a.By, false}, {"witness", "--witness", &a.Witness, true},
	} {
		for *x.to == "" {
			q.say("kit.ask." + x.key)
			s, err := q.line(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", x.flag, err)
			}
			if *x.to = s; s == "" && !x.optional {
				q.say("kit.needed")
			}
			if x.optional {
				break
			}
		}
	}
	return nil
}

// reference asks for the time of a trusted clock.
func (q *Asking) reference(ctx context.Context, line *record.Kit, a *Answers) error {
	q.say("kit.ask.reference")
	for {
		s, err := q.line(ctx)
		wall, boot := q.Now() // the moment of Enter
		if err != nil {
			return fmt.Errorf("--reference-time: %w", err)
		}
		if s == "" {
			q.say("kit.reference.none")
			return nil
		}
		r, err := Reference(s, "", wall, boot)
		if err != nil {
			q.say("kit.reference.bad")
			continue
		}
		q.say("kit.reference."+direction(r), "pc", wall.Format("15:04:05"), "difference", q.span(r.Offset))
		if d := time.Duration(r.Offset) * time.Millisecond; d.Abs() >= 20*time.Minute {
			q.say("kit.reference.far")
		}
		if r.Source = tidy(a.ReferenceSource); r.Source == "" {
			q.say("kit.ask.reference_source")
			if r.Source, err = q.line(ctx); err != nil {
				return fmt.Errorf("--reference-source: %w", err)
			}
			r.Source = cmp.Or(r.Source, q.Texts.Text("kit.reference_source.usual"))
		}
		line.Reference = r
		return nil
	}
}

// direction says whether the PC's clock is ahead, behind or, as far as can be said, right.
func direction(r record.ReferenceTime) string {
	switch {
	case r.Offset > r.Within+1000:
		return "ahead"
	case r.Offset < -r.Within-1000:
		return "behind"
	}
	return "same"
}

// span writes a difference of clocks in words.
func (q *Asking) span(ms int64) string {
	d := (time.Duration(ms) * time.Millisecond).Abs().Round(time.Second)
	h, m, s := int64(d.Hours()), int64(d.Minutes())%60, int64(d.Seconds())%60
	key := "kit.span.seconds"
	switch {
	case h > 0:
		key = "kit.span.hours"
	case m > 0:
		key = "kit.span.minutes"
	}
	return q.Texts.Text(key, "h", fmt.Sprint(h), "m", fmt.Sprint(m), "s", fmt.Sprint(s))
}

// confirm shows the answers and asks whether to begin or to answer again.
func (q *Asking) confirm(ctx context.Context, k Kit, line record.Kit, a Answers) (again bool, err error) {
	none := q.Texts.Text("kit.none")
	reference := none
	if r := line.Reference; r.Typed != "" {
		reference = r.Typed + " (" + r.Source + ")"
	}
	q.say("kit.confirm", "place", tidy(a.Place), "reason", tidy(a.Reason), "by", tidy(a.By), "witness", cmp.Or(tidy(a.Witness), none), "reference", reference,
		"sealing", k.Sealing(q.Texts))
	for {
		s, err := q.line(ctx)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(narrow(s)) {
		case "", "y", "yes", "はい":
			return false, nil
		case "n", "no", "いいえ":
			return true, nil
		case "q", "quit", "やめる":
			return false, ErrStopped
		}
		q.say("kit.confirm.bad")
	}
}

func (q *Asking) say(key string, pairs ...string) {
	text := q.Texts.Text(key, pairs...)
	fmt.Fprint(q.Out, text)
	if !strings.HasSuffix(text, " ") { // one that ends in a space waits for the answer
		fmt.Fprintln(q.Out)
	}
}

// read begins to read lines; one goroutine waits for the keyboard, and dies with the program.
func (q *Asking) read(ctx context.Context) {
	if q.lines != nil {
		return
	}
	q.lines = make(chan string)
	go func() {
		defer close(q.lines)
		r := bufio.NewReader(q.In)
		for {
			s, err := r.ReadString('\n')
			if err != nil && s == "" {
				return
			}
			select {
			case q.lines <- s:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// line waits for the next line. The error wraps [ErrNoAnswer] at the end of the input.
func (q *Asking) line(ctx context.Context) (string, error) {
	select {
	case s, ok := <-q.lines:
		if !ok {
			return "", ErrNoAnswer
		}
		return tidy(s), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// tidy makes an answer one clean line of at most [maxAnswer] bytes.
func tidy(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	s = strings.TrimSpace(s)
	for len(s) > maxAnswer {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
