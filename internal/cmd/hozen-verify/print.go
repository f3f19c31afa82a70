package main

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hozen/internal/i18n"
	"hozen/internal/verify"
)

// printReport prints for people: the verdict first, then why, then how to check the
// same with stock tools. Whatever comes from the evidence goes through printable.
func printReport(out io.Writer, p i18n.Printer, dir string, r verify.Report) error {
	w := bufio.NewWriter(out)
	line := func(key string, pairs ...string) { fmt.Fprintln(w, p.Text(key, pairs...)) }
	line("verdict." + string(r.Verdict))
	if len(r.Problems) > 0 {
		fmt.Fprintln(w)
		line("verify.problems", "n", strconv.Itoa(len(r.Problems)))
		for _, x := range r.Problems {
			fmt.Fprintf(w, "  - %s", p.Text("problem."+x.Code, "file", printable(x.File)))
			if x.Detail != "" {
				fmt.Fprintf(w, "\n    (%s)", printable(p.Detail(x.Detail)))
			}
			fmt.Fprintln(w)
		}
	}
	if r.AcquisitionID != "" {
		printFacts(w, p, r)
	}
	fmt.Fprintln(w)
	switch {
	case r.Verdict == verify.Consistent && r.OneTimeKey:
		line("verify.next_code")
	case r.Verdict == verify.Consistent:
		line("verify.next_ca")
	case r.Verdict == verify.NotVerified:
		if r.AcquisitionID == "" && slices.ContainsFunc(r.Problems, func(x verify.Problem) bool { return x.Code == "missing" && x.File == "manifest.json" }) {
			line("verify.wrong_folder")
		}
		line("verify.next_not_verified")
	}
	line("verify.stock")
	fmt.Fprintf(w, "  cd %s\n", shellWord(dir))
	for _, s := range stock(runtime.GOOS) {
		fmt.Fprintln(w, "  "+s)
	}
	if runtime.GOOS == "windows" {
		line("verify.stock_compare_windows")
	} else {
		line("verify.stock_compare")
	}
	return w.Flush()
}

// stock lists commands that check the same without this program.
func stock(goos string) []string {
	const signature = "openssl dgst -sha256 -verify signer.pem -signature manifest.json.sig manifest.json"
	if goos == "windows" { // PowerShell
		return []string{signature, `Get-FileHash artifacts\* | Format-List Path, Hash`}
	}
	return []string{
		signature,
		"openssl pkey -pubin -in signer.pem -outform DER | sha256sum",
		"sha256sum artifacts/*",
		`for f in artifacts/*.zst; do zstd -dc "$f" | sha256sum; done`,
	}
}

func printFacts(w io.Writer, p i18n.Printer, r verify.Report) {
	line := func(key string, pairs ...string) { fmt.Fprintln(w, p.Text(key, pairs...)) }
	fmt.Fprintln(w)
	if r.Verdict == verify.NotVerified {
		line("fact.unproven")
	}
	line("fact.acquisition", "id", printable(r.AcquisitionID), "outcome", p.Text("outcome."+r.Outcome))
	line("fact.host", "host", printable(r.Hostname), "endpoint", or(printable(r.EndpointID), p.Text("fact.not_enrolled")))
	line("fact.time", "from", when(r.StartedAt), "to", when(r.FinishedAt))
	line("fact.tool", "tool", printable(r.Tool))
	line("fact.manifest", "sha256", r.ManifestSHA256)
	line("fact.key", "sha256", r.KeySHA256, "code", r.ReceiptCode)
	if r.CASHA256 != "" {
		line("fact.ca", "sha256", r.CASHA256)
	}
	if r.Anchor != "" || r.Verdict != verify.NotVerified {
		line("fact.anchor", "anchor", p.Text("anchor."+or(r.Anchor, "none")))
	}
	if x := r.Receipt; x != nil {
		line("fact.receipt", "incident", or(printable(x.IncidentNumber), "-"), "at", when(x.ReceivedAt), "index", strconv.FormatInt(x.LedgerIndex, 10))
	}
	fmt.Fprintln(w)
	line("verify.artifacts", "n", strconv.Itoa(len(r.Artifacts)))
	for _, a := range r.Artifacts {
		mark := "artifact.ok"
		if !a.OK {
			mark = "artifact.bad"
		}
		fmt.Fprintf(w, "  %s  %s\n", p.Text(mark), p.Text("artifact.line", "name", printable(a.Name), "records", strconv.FormatInt(a.Records, 10), "sha256", a.Stored))
	}
	for _, x := range r.Probes {
		if x.Outcome == "complete" {
			continue
		}
		fmt.Fprintf(w, "  %s  %s", p.Text("outcome."+x.Outcome), printable(x.Kind))
		if x.Detail != "" {
			fmt.Fprintf(w, " (%s)", printable(x.Detail))
		}
		fmt.Fprintln(w)
	}
}

// when shows a time in UTC, as the manifest has it.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// printable makes a text from the evidence inert on a terminal: no escape sequences,
// no change of writing direction.
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
