// Command hozen-bench measures every figure that is promised and holds it against
// its bar. Times are ratios to the bare operation in the same run; milliseconds stand
// beside them without a bar. It knows the programs by their command lines and files.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"hozen/internal/bench"
	"hozen/internal/bench/bare"
	"hozen/internal/bench/capture"
	"hozen/internal/bench/isolation"
	"hozen/internal/bench/shutdown"
)

const usage = `usage: hozen-bench [-bin folder] [-only regexp] [-quick]

Prints one line a figure, tab-separated: name, value, unit, bar, ok or SHORT.
Exit code: 0 every bar is met, 1 one is not or a figure is absent, 2 wrong usage.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// env is what every group of figures gets.
type env struct {
	bin   string // folder of the programs
	dir   string // empty folder of this group
	quick bool   // fewer repetitions
	note  io.Writer
	print func(bench.Figure)
}

// group measures figures that need the same preparation. Names are those that must
// be printed; more may be.
type group struct {
	names []string
	run   func(ctx context.Context, e env) error
	// beside: in the short mode it is measured at the same time as the group before, for
	// neither wants what the other one uses.
	beside bool
}

func groups() []group {
	return []group{
		{names: capture.Names(), run: func(ctx context.Context, e env) error {
			return capture.Run(ctx, e.quick, filepath.Join(e.bin, "hozen-agent"), e.note, e.print)
		}},
		{names: []string{"command.stall", "command.stall.max.ms"}, run: commandStall},
		{names: []string{"agent.size.linux-amd64"}, run: agentSize, beside: true},
		{names: []string{"windows.agent.size", "windows.msi.size"}, run: windowsSize},
		{names: leakNames(), run: windowsLeaks},
		{names: []string{"command.ack", "command.ack.ms", "command.ack.bare.ms", "command.ack.act.ms"}, run: commandAck},
		{names: []string{"custody.ledger.append"}, run: ledgerAppend},
		{names: []string{"evidence.export", "evidence.verify", "evidence.export.text", "evidence.verify.text"}, run: evidencePackage},
		{names: []string{"console.page.p95"}, run: consolePages},
		{names: []string{"report.document.max"}, run: documents},
		{names: []string{"upload.verified", "upload.verified.mb", "upload.bare.mb"}, run: uploadVerified},
		{names: []string{"agent.cpu.idle"}, run: idleAgent},
		{names: []string{"agent.rss", "shutdown.recorder.idle", "shutdown.recorder.active"}, run: idleRecorder, beside: true},
		{names: shutdown.TurnNames(), run: goingDown(shutdown.Turns)},
		{names: shutdown.DelayNames(), run: goingDown(shutdown.Delay)},
		{names: shutdown.StormNames(), run: goingDown(shutdown.Storm)},
		{names: isolation.CutNames(), run: isolating(isolation.Cut)},
		{names: isolation.ReplaceNames(), run: isolating(isolation.Replace)},
		{names: isolation.ClickNames(), run: isolating(isolation.Click)},
		{names: isolation.GroupNames(), run: isolating(isolation.Group)},
	}
}

func isolating(measure func(context.Context, isolation.Config) error) func(context.Context, env) error {
	return func(ctx context.Context, e env) error {
		return measure(ctx, isolation.Config{Bin: e.bin, Dir: e.dir, Quick: e.quick, Note: e.note, Print: e.print})
	}
}

func goingDown(measure func(context.Context, shutdown.Config) error) func(context.Context, env) error {
	return func(ctx context.Context, e env) error {
		return measure(ctx, shutdown.Config{Bin: e.bin, Dir: e.dir, Quick: e.quick, Note: e.note, Print: e.print})
	}
}

func run(ctx context.Context, args []string, out, note io.Writer) int {
	if len(args) == 2 && args[0] == "bare-client" { // a copy of this program, started by a group
		files, _ := filepath.Glob(filepath.Join(args[1], "*.upload"))
		if err := bare.Client(ctx, args[1], files); err != nil {
			fmt.Fprintln(note, "hozen-bench:", err)
			return 1
		}
		return 0
	}
	if len(args) == 3 && args[0] == isolation.BareCrowd { // likewise
		size, err := strconv.Atoi(args[2])
		if err == nil {
			err = bare.Clients(ctx, args[1], size)
		}
		if err != nil {
			fmt.Fprintln(note, "hozen-bench:", err)
			return 1
		}
		return 0
	}
	flags := flag.NewFlagSet("hozen-bench", flag.ContinueOnError)
	flags.SetOutput(note)
	flags.Usage = func() { fmt.Fprint(note, usage) }
	bin := flags.String("bin", ".build/bin", "`folder` of the programs")
	only := flags.String("only", "", "measure only figures whose name matches `regexp`")
	quick := flags.Bool("quick", false, "fewer repetitions, under 2 minutes in all")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	match, err := regexp.Compile(*only)
	if err != nil || flags.NArg() > 0 {
		flags.Usage()
		return 2
	}
	b := bencher{match: match, out: out, note: note, env: env{bin: *bin, quick: *quick, note: note}}
	return b.runAll(ctx, groups())
}

type bencher struct {
	env
	match   *regexp.Regexp
	out     io.Writer
	note    io.Writer
	mu      sync.Mutex // guards what follows, and out
	figures []bench.Figure
}

func (b *bencher) runAll(ctx context.Context, all []group) int {
	var must, took []string
	var wrong []error
	begin := time.Now()
	var running sync.WaitGroup
	var mu sync.Mutex // guards took and wrong
	for _, g := range all {
		must = append(must, g.names...)
		if !slices.ContainsFunc(g.names, b.match.MatchString) {
			continue
		}
		if !b.quick || !g.beside {
			running.Wait()
		}
		running.Go(func() {
			start := time.Now()
			err := b.runGroup(ctx, g)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				fmt.Fprintf(b.note, "hozen-bench: %s: %v\n", strings.Join(g.names, ", "), err)
				wrong = append(wrong, err)
			}
			took = append(took, fmt.Sprintf("%s %.0f", g.names[0], time.Since(start).Seconds()))
		})
	}
	running.Wait()
	fmt.Fprintf(b.note, "hozen-bench: %.0f s: %s\n", time.Since(begin).Seconds(), strings.Join(took, ", "))
	bad := len(wrong) > 0
	for _, f := range b.figures {
		bad = bad || !f.Met()
	}
	for _, name := range bench.Absent(must, b.figures, b.match) {
		fmt.Fprintf(b.note, "hozen-bench: %s is absent\n", name)
		bad = true
	}
	if bad {
		return 1
	}
	return 0
}

func (b *bencher) runGroup(ctx context.Context, g group) (err error) {
	dir, err := os.MkdirTemp("", "hozen-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	e := b.env
	e.dir = dir
	e.print = func(f bench.Figure) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.figures = append(b.figures, f)
		if err := f.Write(b.out); err != nil {
			fmt.Fprintln(b.note, "hozen-bench:", err)
		}
	}
	return g.run(ctx, e)
}
