// Command hozen-verify checks evidence without any other part of Hozen: it shares no
// code with what made or kept the evidence, only the published formats.
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"

	"hozen/internal/buildinfo"
	"hozen/internal/i18n"
	"hozen/internal/verify"
)

//go:embed translations
var translations embed.FS

//go:embed details
var details embed.FS

// The exit codes, as --help explains them.
const (
	exitVerified    = 0
	exitNotVerified = 1
	exitUsage       = 2
	exitConsistent  = 4
	exitBroken      = 5
)

func main() { os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr)) }

// options is the command line.
type options struct {
	json, version bool
	lang          string
	anchor        verify.PackageAnchor
}

// run is the program without its process.
func run(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	texts, err := catalogue()
	if err != nil {
		fmt.Fprintln(stderr, "hozen-verify:", err)
		return exitBroken
	}
	p := texts.Printer(i18n.FromLocale(getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG")))
	var o options
	set := flag.NewFlagSet("hozen-verify", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.BoolVar(&o.json, "json", false, "")
	set.BoolVar(&o.version, "version", false, "")
	set.StringVar(&o.lang, "lang", "", "")
	set.StringVar(&o.anchor.CASHA256, "ca-fingerprint", "", "")
	set.StringVar(&o.anchor.KeySHA256, "key-fingerprint", "", "")
	set.StringVar(&o.anchor.ReceiptCode, "receipt-code", "", "")
	set.StringVar(&o.anchor.PackageSHA256, "package-sha256", "", "")
	set.StringVar(&o.anchor.CheckpointKey, "checkpoint-key", "", "")
	paths, err := parse(set, args)
	if l, ok := i18n.Parse(o.lang); ok {
		p = texts.Printer(l)
	} else if o.lang != "" && err == nil {
		err = fmt.Errorf("lang %q: want ja or en", o.lang)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, p.Text("verify.help"))
		return exitVerified
	case err == nil && o.version:
		b := buildinfo.Get()
		fmt.Fprintf(stdout, "hozen-verify %s (%s, %s, %s/%s)\n", b.Version, b.Commit, b.Go, b.OS, b.Arch)
		return exitVerified
	case err == nil && len(paths) != 1:
		err = errors.New(p.Text("verify.want_folder"))
	}
	if err != nil {
		return usage(p, stderr, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if key := unfit(paths[0]); key != "" {
		return usage(p, stderr, errors.New(p.Text(key, "file", paths[0])))
	}
	verdict, show, err := check(ctx, paths[0], o)
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "hozen-verify:", p.Text("verify.broken_off"))
		return exitBroken
	}
	if err != nil {
		return usage(p, stderr, err)
	}
	if err := show(stdout, p); err != nil {
		fmt.Fprintln(stderr, "hozen-verify:", err)
		return exitBroken
	}
	return exitOf(verdict)
}

// unfit says why a path is no evidence that could be checked, as the key of a text; empty when it
// may be some. What only looks damaged is checked, and gets a verdict.
func unfit(path string) string {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "verify.not_there"
	case errors.Is(err, fs.ErrPermission):
		return "verify.not_allowed"
	case err != nil:
		return "" // whoever reads it says why
	}
	defer f.Close()
	const age = "age-encryption.org/v1\n" // C2SP age.md
	b := make([]byte, len(age))
	if n, _ := io.ReadFull(f, b); string(b[:n]) == age {
		return "verify.encrypted"
	}
	return ""
}

// check checks a package or the folder of an acquisition, and returns how to tell of it.
func check(ctx context.Context, path string, o options) (verify.Verdict, func(io.Writer, i18n.Printer) error, error) {
	if verify.IsPackage(path) {
		r, err := verify.Package(ctx, path, o.anchor)
		return r.Verdict, func(w io.Writer, p i18n.Printer) error {
			if o.json {
				return writeJSON(w, packageOutput{"hozen-package-verification/1", exitOf(r.Verdict), r})
			}
			return printPackage(w, p, path, r)
		}, err
	}
	if o.anchor.PackageSHA256 != "" || o.anchor.CheckpointKey != "" {
		return "", nil, errors.New("--package-sha256 and --checkpoint-key are for packages")
	}
	r, err := verify.Folder(ctx, path, o.anchor.Anchor)
	return r.Verdict, func(w io.Writer, p i18n.Printer) error {
		if o.json {
			return writeJSON(w, folderOutput{"hozen-verification/1", exitOf(r.Verdict), r})
		}
		return printReport(w, p, path, r)
	}, err
}

func catalogue() (i18n.Catalogue, error) {
	sub, err := fs.Sub(translations, "translations")
	if err != nil {
		return i18n.Catalogue{}, err
	}
	c, err := i18n.Load(sub)
	if err != nil {
		return i18n.Catalogue{}, err
	}
	d, err := i18n.LoadDetails(details, "details/ja.json")
	return c.WithDetails(d), err
}

// parse accepts flags before and after the folder.
func parse(set *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		if set.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, set.Arg(0)), set.Args()[1:]
	}
}

func usage(p i18n.Printer, stderr io.Writer, err error) int {
	fmt.Fprintln(stderr, "hozen-verify:", printable(p.Detail(err.Error())))
	fmt.Fprintln(stderr, p.Text("verify.see_help"))
	return exitUsage
}

func exitOf(v verify.Verdict) int {
	switch v {
	case verify.Verified:
		return exitVerified
	case verify.Consistent:
		return exitConsistent
	}
	return exitNotVerified
}

// folderOutput and packageOutput are what --json prints.
type folderOutput struct {
	Format string `json:"format"`
	Exit   int    `json:"exit_code"`
	verify.Report
}

type packageOutput struct {
	Format string `json:"format"`
	Exit   int    `json:"exit_code"`
	verify.PackageReport
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
