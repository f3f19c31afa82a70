package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/kit"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
	"hozen/internal/envelope"
	"hozen/internal/i18n"
	"hozen/internal/id"
	"hozen/internal/usbkit"
)

// kitAnswers are the flags that stand for what a person would be asked.
func kitAnswers() []string {
	return []string{"place", "reason", "by", "witness", "reference-time", "reference-source", "yes"}
}

func kitFlags(set *flag.FlagSet, o *acquireOptions) {
	set.BoolVar(&o.kit, "kit", false, "")
	set.BoolVar(&o.yes, "yes", false, "")
	set.StringVar(&o.answers.Place, "place", "", "")
	set.StringVar(&o.answers.Reason, "reason", "", "")
	set.StringVar(&o.answers.By, "by", "", "")
	set.StringVar(&o.answers.Witness, "witness", "", "")
	set.StringVar(&o.answers.Reference, "reference-time", "", "")
	set.StringVar(&o.answers.ReferenceSource, "reference-source", "", "")
}

// checkKitFlags refuses what the kit decides by itself.
func checkKitFlags(set *flag.FlagSet, p i18n.Printer) (err error) {
	set.Visit(func(f *flag.Flag) {
		if f.Name == "out" || f.Name == "profile" {
			err = errors.New(p.Text("acquire.kit_decides", "flag", "--"+f.Name))
		}
	})
	return err
}

func usesKitFlags(set *flag.FlagSet) (used bool) {
	set.Visit(func(f *flag.Flag) { used = used || slices.Contains(kitAnswers(), f.Name) })
	return used
}

// runKit is "hozen-agent acquire --kit": an acquisition onto the stick that this program
// lies on. Nothing is written anywhere else, and nothing is sent.
func runKit(ctx context.Context, p i18n.Printer, o acquireOptions, std stdio) int {
	k, err := openKit()
	if err == nil && o.lang == "" { // the organisation knows what its people read
		if texts, terr := catalogue(); terr == nil {
			if l, ok := i18n.Parse(k.Language); ok {
				p = texts.Printer(l)
			}
		}
	}
	if errors.Is(err, kit.ErrNoKit) {
		fmt.Fprintln(std.err, p.Text("kit.not_here"))
		return acquireUsage
	}
	if err != nil {
		return kitFailed(std.err, p, err)
	}
	free, err := k.Try()
	if err != nil {
		return kitFailed(std.err, p, err)
	}
	ask := kit.Asking{In: std.in, Out: std.err, Texts: p, Now: func() (time.Time, int64) {
		at := acquire.SystemClock()
		return time.Now(), at.BootNS
	}}
	line, err := ask.Ask(ctx, k, o.answers, o.yes)
	switch {
	case errors.Is(err, kit.ErrStopped), ctx.Err() != nil:
		fmt.Fprintln(std.err, p.Text("kit.stopped"))
		return acquireInterrupted
	case errors.Is(err, kit.ErrNoAnswer), errors.Is(err, kit.ErrTime):
		fmt.Fprintln(std.err, "hozen-agent acquire:", err)
		fmt.Fprintln(std.err, p.Text("kit.say_by_flag"))
		return acquireUsage
	case err != nil:
		return kitFailed(std.err, p, err)
	}
	line.Free = free
	return acquireKit(ctx, p, o, std, k, acquire.Planned{Budget: time.Second, First: true, New: func() probe.Probe { return kit.NewStatement(line) }})
}

// acquireKit acquires once the person has said everything.
func acquireKit(ctx context.Context, p i18n.Printer, o acquireOptions, std stdio, k kit.Kit, statement acquire.Planned) int {
	signer, err := identity.NewOneTime()
	if err != nil {
		return kitFailed(std.err, p, err)
	}
	acquisition := id.New(id.Acquisition)
	dir := k.Result(acquisition)
	results, err := k.Results()
	if err != nil {
		return kitFailed(std.err, p, err)
	}
	defer results.Close()
	folder := &spool.Folder{Dir: dir, In: results}
	if folder.Wrap, err = sealFor(k.Recipients); err != nil {
		return kitFailed(std.err, p, err)
	}
	if folder.Wrap != nil {
		folder.Suffix = usbkit.Sealed
	}
	runner := acquire.NewRunner(acquire.Config{
		Sink:     folder,
		Plan:     newProfiles().plan,
		Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil },
		Log:      slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	begun := time.Now()
	if !o.quiet {
		fmt.Fprintln(std.err, p.Text("kit.begin"))
	}
	progress, ended := showProgress(p, o, std)
	res, err := runner.Run(ctx, acquire.Order{AcquisitionID: acquisition, IncidentID: k.IncidentID, Trigger: artifact.TriggerManual, Profile: k.Profile,
		Extra: []acquire.Planned{statement}, Progress: progress})
	ended()
	if err != nil {
		return kitFailed(std.err, p, err)
	}
	s, err := sumUp(dir, res, time.Since(begun))
	if err == nil {
		s.KitReceiptCode = usbkit.ReceiptCode(res.ManifestSHA256)
		s.Next = "hozen-collector import " + shellWord(k.Dir) + " --receipt-code " + s.KitReceiptCode
		if o.json {
			err = s.writeJSON(std.out)
		} else {
			err = s.printKit(std.out, p, k.Sealing(p), folder.Failed())
		}
	}
	if err != nil {
		return kitFailed(std.err, p, err)
	}
	return s.Exit
}

// sealFor returns what encrypts to the organisation of a kit, or nil where its results are
// to lie on the stick in the clear.
func sealFor(recipients []string) (func(io.Writer) (io.WriteCloser, error), error) {
	var to []envelope.Recipient
	for _, s := range recipients {
		r, err := envelope.ParseRecipient(s)
		if err != nil {
			return nil, fmt.Errorf("read the kit's public key: %w", err)
		}
		to = append(to, r)
	}
	if len(to) == 0 {
		return nil, nil
	}
	return func(w io.Writer) (io.WriteCloser, error) { return envelope.Seal(w, to...) }, nil
}

// openKit opens the kit beside this program.
func openKit() (kit.Kit, error) {
	exe, err := os.Executable()
	if err != nil {
		return kit.Kit{}, fmt.Errorf("find own program: %w", err)
	}
	return kit.Open(filepath.Dir(exe))
}

// kitFailed says what is wrong with the stick and what a person can do about it.
func kitFailed(w io.Writer, p i18n.Printer, err error) int {
	x := kit.Explain(err)
	fmt.Fprintln(w, "hozen-agent acquire:", err)
	fmt.Fprintln(w, p.Text("kit.problem."+x.Code, "free", size(max(0, x.Free)), "need", size(x.Need)))
	return acquireFailed
}

// printKit prints for the person at the PC what came of it and what to do now: how it is
// kept, and what went wrong in writing to the stick, if anything did.
func (s summary) printKit(out io.Writer, p i18n.Printer, sealing string, failed error) error {
	m := s.Manifest
	w := bufio.NewWriter(out)
	line := func(key string, pairs ...string) { fmt.Fprintln(w, p.Text(key, pairs...)) }
	fmt.Fprintln(w)
	line("acquire.done."+string(m.Outcome), "host", printable(m.Host.Hostname), "seconds", fmt.Sprintf("%.1f", s.Seconds))
	var less []string
	for _, x := range m.Probes {
		switch x.Outcome {
		case artifact.Complete, artifact.Empty, artifact.Unsupported:
		default:
			less = append(less, p.Text("kind."+string(x.Kind)))
		}
	}
	if len(less) > 0 {
		line("kit.less", "n", fmt.Sprint(len(less)), "kinds", strings.Join(less, p.Text("kit.and")))
		if unread(m) && os.Geteuid() != 0 {
			line("acquire.unread")
		}
		if x := kit.Explain(failed); x != nil && (x.Code == "full" || errors.Is(failed, spool.ErrNoRoom)) {
			line("kit.problem.full", "free", "0 kB", "need", size(s.StoredBytes))
		}
	}
	line("kit.saved", "folder", printable(filepath.Join(usbkit.ResultsDir, filepath.Base(s.Folder))), "bytes", size(s.StoredBytes), "sealing", sealing)
	line("kit.code", "code", s.KitReceiptCode)
	line("kit.next")
	return w.Flush()
}
