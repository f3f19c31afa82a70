package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strconv"

	"hozen/internal/i18n"
	"hozen/internal/verify"
)

// maxShown is how many lines of one kind are printed for people; --json has them all.
const maxShown = 50

// printPackage prints for people: the verdict, each part of the check, what is wrong, what
// could not be checked, and how to check the same with stock tools.
func printPackage(out io.Writer, p i18n.Printer, path string, r verify.PackageReport) error {
	w := bufio.NewWriter(out)
	line := func(key string, pairs ...string) { fmt.Fprintln(w, p.Text(key, pairs...)) }
	line(verdictKey(r))
	fmt.Fprintln(w)
	for _, x := range r.Parts {
		fmt.Fprintf(w, "  %s  %s", p.Text("part.outcome."+string(x.Outcome)), p.Text("part."+x.Name, "n", strconv.Itoa(x.Count)))
		if x.Detail != "" {
			fmt.Fprintf(w, " (%s)", printable(p.Detail(x.Detail)))
		}
		fmt.Fprintln(w)
	}
	if len(r.Problems) > 0 {
		fmt.Fprintln(w)
		line("verify.problems", "n", strconv.Itoa(len(r.Problems)))
		for i, x := range r.Problems {
			if i == maxShown {
				line("package.more", "n", strconv.Itoa(len(r.Problems)-i))
				break
			}
			fmt.Fprintf(w, "  - %s", p.Text("problem."+x.Code, "file", or(printable(x.File), printable(path))))
			if x.Detail != "" {
				fmt.Fprintf(w, "\n    (%s)", printable(p.Detail(x.Detail)))
			}
			fmt.Fprintln(w)
		}
	}
	if r.Number != "" {
		printPackageFacts(w, p, r)
	}
	printUnchecked(w, p, r)
	fmt.Fprintln(w)
	switch r.Verdict {
	case verify.Consistent:
		line("package.next_anchor")
	case verify.NotVerified:
		if slices.ContainsFunc(r.Problems, func(x verify.Problem) bool { return changedName.MatchString(x.File) }) {
			line("verify.names_changed")
		}
		line("package.next_not_verified")
	}
	line("verify.stock")
	for _, s := range stockPackage(runtime.GOOS) {
		fmt.Fprintln(w, "  "+s)
	}
	line("package.stock_readme")
	return w.Flush()
}

// verdictKey names the words of the verdict. A CA or key alone says nothing of the package
// around the evidence, and the first line says so.
func verdictKey(r verify.PackageReport) string {
	if r.Verdict == verify.Verified && r.Anchor != "package" && r.Anchor != "checkpoint" {
		return "package.verdict.verified_evidence"
	}
	return "package.verdict." + string(r.Verdict)
}

func printPackageFacts(w io.Writer, p i18n.Printer, r verify.PackageReport) {
	line := func(key string, pairs ...string) { fmt.Fprintln(w, p.Text(key, pairs...)) }
	fmt.Fprintln(w)
	if r.Verdict == verify.NotVerified {
		line("fact.unproven")
	}
	line("package.fact.number", "number", printable(r.Number), "incident", printable(r.Incident))
	line("package.fact.order", "at", when(r.OrderedAt), "recipient", printable(r.Recipient), "purpose", printable(r.Purpose))
	line("package.fact.ledger", "size", strconv.FormatInt(r.LedgerSize, 10), "root", or(r.LedgerRoot, "-"))
	line("package.fact.files", "files", strconv.Itoa(r.Files), "bytes", strconv.FormatInt(r.Bytes, 10))
	line("fact.anchor", "anchor", p.Text("anchor."+or(r.Anchor, "none")))
	fmt.Fprintln(w)
	line("package.acquisitions", "n", strconv.Itoa(len(r.Acquisitions)))
	for i, a := range r.Acquisitions {
		if i == maxShown {
			line("package.more", "n", strconv.Itoa(len(r.Acquisitions)-i))
			break
		}
		mark := "artifact.ok"
		if a.Verdict == verify.NotVerified {
			mark = "artifact.bad"
		}
		fmt.Fprintf(w, "  %s  %s\n", p.Text(mark), p.Text("package.acquisition", "host", printable(a.Hostname), "id", or(printable(a.AcquisitionID), printable(a.Folder)),
			"outcome", p.Text("outcome."+or(a.Outcome, "failed")), "at", when(a.StartedAt), "n", strconv.Itoa(len(a.Artifacts))))
	}
}

func printUnchecked(w io.Writer, p i18n.Printer, r verify.PackageReport) {
	if len(r.Unchecked) == 0 {
		return
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, p.Text("package.unchecked"))
	for i, x := range r.Unchecked {
		if i == maxShown {
			fmt.Fprintln(w, p.Text("package.more", "n", strconv.Itoa(len(r.Unchecked)-i)))
			return
		}
		fmt.Fprintf(w, "  %s: %s\n", printable(x.File), p.Text("unchecked."+x.Why, "n", strconv.Itoa(x.Count)))
	}
}

// changedName is a name that unzip wrote where the locale has no Japanese: #U and the character's
// number.
var changedName = regexp.MustCompile(`#U[0-9a-f]{4}`)

// stockPackage lists commands that check a package's lists without this program.
func stockPackage(goos string) []string {
	if goos == "windows" { // PowerShell, in the unpacked folder
		return []string{`Get-Content manifest-sha256.txt -Encoding utf8 | ForEach-Object { $h,$f = $_ -split '  ',2; if ((Get-FileHash -LiteralPath $f).Hash -ne $h) { "FAILED $f" } }`}
	}
	return []string{"sha256sum -c manifest-sha256.txt", "sha256sum -c tagmanifest-sha256.txt"}
}
