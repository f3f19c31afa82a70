package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"time"

	"golang.org/x/term"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/kit"
	"hozen/agent/internal/probe/memory"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/i18n"
	"hozen/internal/profile"
)

// The exit codes of acquire, as its --help explains them.
const (
	acquireComplete    = 0
	acquireFailed      = 1
	acquireUsage       = 2
	acquirePartial     = 3
	acquireInterrupted = 4
)

// acquireOptions is the command line.
type acquireOptions struct {
	profile, out, lang string
	json, quiet        bool
	kit, yes           bool
	process            chosenProcess
	answers            kit.Answers
}

// runAcquire is "hozen-agent acquire": one acquisition into a folder, on any PC,
// without installation, enrolment or network.
func runAcquire(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	p, o, err := parseAcquire(args, getenv)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(std.out, p.Text("acquire.help"), p.Text("acquire.help.kit"))
		if runtime.GOOS == onWindows {
			fmt.Fprint(std.out, p.Text("acquire.help.process"))
		}
		return acquireComplete
	}
	if err != nil {
		fmt.Fprintln(std.err, "hozen-agent acquire:", err)
		fmt.Fprintln(std.err, p.Text("acquire.see_help"))
		return acquireUsage
	}
	if o.kit {
		return runKit(ctx, p, o, std)
	}
	signer, err := identity.NewOneTime()
	if err != nil {
		fmt.Fprintln(std.err, "hozen-agent acquire:", err)
		return acquireFailed
	}
	runner := acquire.NewRunner(acquire.Config{
		Sink:     &spool.Folder{Dir: o.out},
		Plan:     newProfiles().plan,
		Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil },
		Log:      slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	begun := time.Now()
	if n, about := memory.Estimate(); o.profile == profile.Memory && n > 0 && !o.quiet {
		fmt.Fprintln(std.err, p.Text("acquire.memory", "bytes", size(n), "minutes", fmt.Sprint(int(about.Minutes()))))
	}
	progress, ended := showProgress(p, o, std)
	res, err := runner.Run(ctx, acquire.Order{Trigger: artifact.TriggerManual, Profile: o.profile, Progress: progress})
	ended()
	if err != nil {
		fmt.Fprintln(std.err, "hozen-agent acquire:", err)
		if errors.Is(err, spool.ErrNotEmpty) {
			fmt.Fprintln(std.err, p.Text("acquire.not_empty"))
			return acquireUsage
		}
		return acquireFailed
	}
	s, err := sumUp(o.out, res, time.Since(begun))
	if err == nil && o.json {
		err = s.writeJSON(std.out)
	} else if err == nil && !o.quiet {
		err = s.print(std.out, p)
	}
	if err != nil {
		fmt.Fprintln(std.err, "hozen-agent acquire:", err)
		return acquireFailed
	}
	return s.Exit
}

func parseAcquire(args []string, getenv func(string) string) (i18n.Printer, acquireOptions, error) {
	texts, err := catalogue()
	p := texts.Printer(i18n.FromLocale(getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG")))
	if err != nil {
		return p, acquireOptions{}, err
	}
	var o acquireOptions
	set := flag.NewFlagSet("acquire", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.profile, "profile", profileFlash, "")
	set.StringVar(&o.out, "out", "", "")
	set.StringVar(&o.lang, "lang", "", "")
	set.BoolVar(&o.json, "json", false, "")
	set.BoolVar(&o.quiet, "quiet", false, "")
	kitFlags(set, &o)
	if runtime.GOOS == onWindows {
		o.process.flags(set)
	}
	err = set.Parse(args)
	if l, ok := i18n.Parse(o.lang); ok {
		p = texts.Printer(l)
	} else if o.lang != "" && err == nil {
		err = fmt.Errorf("lang %q: want ja or en", o.lang)
	}
	switch {
	case err != nil:
	case set.NArg() > 0:
		err = fmt.Errorf("%q is too much", set.Arg(0))
	case o.kit:
		err = checkKitFlags(set, p)
	case usesKitFlags(set):
		err = errors.New(p.Text("acquire.kit_only"))
	case o.out == "":
		err = errors.New(p.Text("acquire.want_out"))
	default:
		if runtime.GOOS == onWindows {
			o.profile, err = o.process.of(o.profile, p)
		}
		if err == nil {
			err = checkProfile(o.profile)
		}
	}
	return p, o, err
}

// showProgress returns the callback that redraws one line on a terminal, and the
// function that clears it away. Elsewhere both do nothing.
func showProgress(p i18n.Printer, o acquireOptions, std stdio) (show func(acquire.Progress), ended func()) {
	f, ok := std.err.(*os.File)
	if o.quiet || !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, func() {}
	}
	const clear = "\r\x1b[K"
	show = func(x acquire.Progress) {
		if x.Expected > 0 {
			fmt.Fprint(f, clear, p.Text("acquire.progress_bytes", "done", fmt.Sprint(x.Done), "total", fmt.Sprint(x.Total),
				"kind", p.Text("kind."+string(x.Kind)), "bytes", size(x.Bytes), "expected", size(x.Expected), "rate", size(x.Rate)))
			return
		}
		fmt.Fprint(f, clear, p.Text("acquire.progress", "done", fmt.Sprint(x.Done), "total", fmt.Sprint(x.Total),
			"kind", p.Text("kind."+string(x.Kind)), "records", fmt.Sprint(x.Records)))
	}
	return show, func() { fmt.Fprint(f, clear) }
}

// summary is what acquire prints. Its JSON form is stable.
type summary struct {
	Format         string            `json:"format"`
	Exit           int               `json:"exit_code"`
	Folder         string            `json:"folder"`
	Seconds        float64           `json:"seconds"`
	StoredBytes    int64             `json:"stored_bytes"`
	ManifestSHA256 string            `json:"manifest_sha256"`
	ReceiptCode    string            `json:"receipt_code"`
	KitReceiptCode string            `json:"kit_receipt_code,omitempty"` // of an acquisition with a kit: what is written on paper
	Next           string            `json:"next"`                       // command that verifies it
	Manifest       artifact.Manifest `json:"manifest"`
}

func sumUp(dir string, res acquire.Result, took time.Duration) (summary, error) {
	key, err := digest.Parse(res.Manifest.Signer.KeySHA256)
	if err != nil {
		return summary{}, err
	}
	s := summary{
		Format:         "hozen-acquire-result/1",
		Folder:         dir,
		Seconds:        took.Round(time.Millisecond).Seconds(),
		ManifestSHA256: res.ManifestSHA256.String(),
		ReceiptCode:    identity.ReceiptCode(key),
		Manifest:       res.Manifest,
	}
	s.Next = "hozen-verify --receipt-code " + s.ReceiptCode + " " + shellWord(dir)
	for _, a := range res.Manifest.Artifacts {
		s.StoredBytes += a.Stored.Size
	}
	switch res.Manifest.Outcome {
	case artifact.Complete:
		s.Exit = acquireComplete
	case artifact.Interrupted:
		s.Exit = acquireInterrupted
	case artifact.Failed:
		s.Exit = acquireFailed
	default:
		s.Exit = acquirePartial
	}
	return s, nil
}

func (s summary) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(s)
}
