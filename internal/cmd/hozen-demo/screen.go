package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// screen prints what happens, one line a step, Japanese and English side by side.
// On a terminal the running step is redrawn in place; elsewhere a line is printed
// once, when its step has ended.
type screen struct {
	out   io.Writer
	live  bool // a terminal: colours, and lines that change
	label string
	began time.Time
}

func newScreen(f *os.File) *screen {
	return &screen{out: f, live: term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""}
}

// labelWidth is the room for a label, in columns.
const labelWidth = 26

func (s *screen) title(text string) { fmt.Fprintf(s.out, "\n  %s\n\n", s.paint("1", text)) }

// step begins a step: what it is in Japanese and in English.
func (s *screen) step(ja, en string) {
	s.label, s.began = pad(ja+"  "+en, labelWidth), time.Now()
	s.doing("")
}

// doing redraws the running step with what it is at.
func (s *screen) doing(text string) {
	if s.live {
		fmt.Fprintf(s.out, "\r\x1b[2K  %s %s %s", s.paint("33", "…"), s.label, text)
	}
}

// did ends the running step.
func (s *screen) did(text string) { s.end("32", "✓", text) }

// failed ends the running step badly.
func (s *screen) failed(text string) { s.end("31", "✗", text) }

func (s *screen) end(colour, mark, text string) {
	if s.live {
		fmt.Fprint(s.out, "\r\x1b[2K")
	}
	took := ""
	if d := time.Since(s.began); d >= 100*time.Millisecond {
		took = s.paint("2", fmt.Sprintf("  %.1f s", d.Seconds()))
	}
	fmt.Fprintf(s.out, "  %s %s %s%s\n", s.paint(colour, mark), s.label, text, took)
}

// row is one line of the summary.
func (s *screen) row(ja, en, value string) {
	fmt.Fprintf(s.out, "    %s %s %s\n", pad(ja, 20), s.paint("2", pad(en, 22)), value)
}

func (s *screen) line(text string) {
	if text != "" {
		text = "  " + text
	}
	fmt.Fprintln(s.out, text)
}

func (s *screen) paint(code, text string) string {
	if !s.live {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// pad fills text with spaces to a number of columns; Japanese takes two a character.
func pad(text string, columns int) string {
	for _, r := range text {
		columns--
		if wide(r) {
			columns--
		}
	}
	return text + strings.Repeat(" ", max(columns, 0))
}

// wide reports whether a terminal gives r two columns (Unicode TR 11, the blocks that
// occur here).
func wide(r rune) bool {
	return r >= 0x2E80 && r <= 0x9FFF || r >= 0xAC00 && r <= 0xD7A3 || r >= 0xF900 && r <= 0xFAFF || r >= 0xFF00 && r <= 0xFF60
}
