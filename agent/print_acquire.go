package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"

	"hozen/internal/artifact"
	"hozen/internal/i18n"
)

// print prints the summary for people: what came of it, each probe, and what to keep.
func (s summary) print(out io.Writer, p i18n.Printer) error {
	m := s.Manifest
	w := bufio.NewWriter(out)
	line := func(key string, pairs ...string) { fmt.Fprintln(w, p.Text(key, pairs...)) }
	line("acquire.done."+string(m.Outcome), "host", printable(m.Host.Hostname), "seconds", strconv.FormatFloat(s.Seconds, 'f', 2, 64))
	fmt.Fprintln(w)
	kinds, outcomes := 0, 0
	for _, x := range m.Probes {
		kinds = max(kinds, columns(p.Text("kind."+string(x.Kind))))
		outcomes = max(outcomes, columns(p.Text("outcome."+string(x.Outcome))))
	}
	for _, x := range m.Probes {
		fmt.Fprintf(w, "  %s  %s  %s", pad(p.Text("kind."+string(x.Kind)), kinds), pad(p.Text("outcome."+string(x.Outcome)), outcomes),
			p.Text("acquire.probe", "records", fmt.Sprintf("%6d", x.Records), "seconds", seconds(x.DurationNS)))
		fmt.Fprintln(w)
		if x.Skipped > 0 {
			fmt.Fprintln(w, "    "+p.Text("acquire.skipped", "n", strconv.FormatInt(x.Skipped, 10)))
		}
		if x.Detail != "" {
			fmt.Fprintf(w, "    (%s)\n", printable(x.Detail))
		}
	}
	fmt.Fprintln(w)
	if unread(m) && os.Geteuid() != 0 { // -1 on Windows, where this cannot tell
		line("acquire.unread")
		fmt.Fprintln(w)
	}
	line("acquire.folder", "folder", printable(s.Folder), "bytes", size(s.StoredBytes))
	line("acquire.id", "id", m.AcquisitionID)
	line("acquire.digest", "sha256", s.ManifestSHA256)
	line("acquire.code", "code", s.ReceiptCode)
	line("acquire.keep_code")
	fmt.Fprintln(w)
	line("acquire.next")
	fmt.Fprintln(w, "  "+s.Next)
	return w.Flush()
}

// unread reports whether something was refused for want of rights.
func unread(m artifact.Manifest) bool {
	for _, x := range m.Probes {
		if x.Outcome == artifact.Denied || strings.Contains(x.Detail, "permission denied") {
			return true
		}
	}
	return false
}

func seconds(ns int64) string {
	return strconv.FormatFloat(time.Duration(ns).Seconds(), 'f', 2, 64)
}

// size writes bytes in MB = 10⁶ and kB.
func size(n int64) string {
	if n >= 1e6 {
		return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB"
	}
	return strconv.FormatFloat(float64(n)/1e3, 'f', 1, 64) + " kB"
}

// columns counts the columns of a text on a terminal, where wide characters take two.
func columns(s string) (n int) {
	for _, r := range s {
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

func pad(s string, to int) string { return s + strings.Repeat(" ", max(0, to-columns(s))) }

// printable makes a text of the endpoint inert on a terminal: no escape sequences, no
// change of writing direction.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

// shellWord quotes a folder for copying into a shell, if it needs that.
func shellWord(s string) string {
	s = printable(s)
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:\\") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
