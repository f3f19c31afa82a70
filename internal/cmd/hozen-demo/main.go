// Command hozen-demo shows Hozen at work on this very machine: it sets up a
// collector in a folder, enrols an agent, reports trouble, and shows and verifies the
// evidence that arrives. It knows the programs by their command lines and files.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"hozen/internal/e2e/rig"
)

const usage = `usage: hozen-demo [-bin folder] [-dir folder] [-once]

Exit code: 0 the evidence arrived and was verified, 1 something failed, 2 wrong usage.
`

func main() {
	rig.PracticeMain() // the practice PC's programs are copies of this one
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("hozen-demo", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	bin := flags.String("bin", ".build/bin", "`folder` of the programs")
	dir := flags.String("dir", ".run", "`folder` for all data, kept between runs")
	once := flags.Bool("once", false, "stop after the summary")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		flags.Usage()
		return 2
	}
	d := &demo{screen: newScreen(os.Stdout), nursery: rig.NewNursery()}
	err := d.paths(*bin, *dir)
	if err == nil {
		err = d.show(ctx)
	}
	if err == nil && !*once {
		d.linger(ctx)
	}
	err = errors.Join(err, d.end())
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		d.line("中断しました。 / Interrupted.")
	default:
		d.line("")
		d.line(d.paint("31", "うまくいきませんでした。 / It did not work:"))
		fmt.Fprintln(os.Stderr, err)
		d.line("記録 / logs: " + d.logs)
		d.line("最初からやり直すには / to start afresh: make clean && make run")
	}
	return 1
}

// paths makes everything absolute and the folders that are needed.
func (d *demo) paths(bin, dir string) error {
	for _, p := range []*string{&bin, &dir} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return fmt.Errorf("find folder: %w", err)
		}
		*p = abs
	}
	d.programs, d.dir, d.logs = rig.In(bin), dir, filepath.Join(dir, "log")
	if err := os.MkdirAll(d.logs, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	// A socket's path has at most 107 bytes (unix(7)); in a deep folder it goes elsewhere.
	d.sockets = dir
	if len(dir) > 80 {
		tmp, err := os.MkdirTemp("", "hozen-")
		if err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		d.sockets, d.remove = tmp, tmp
	}
	return nil
}

// end stops what runs, in order.
func (d *demo) end() error {
	var errs []error
	// A PC that was isolated by hand is given back: the next run makes a new one.
	if d.endpoint != "" && d.pc != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		errs = append(errs, d.releaseIfIsolated(ctx))
	}
	errs = append(errs, d.nursery.Close())
	if d.pc != nil {
		errs = append(errs, d.pc.Close())
	}
	if d.remove != "" {
		errs = append(errs, os.RemoveAll(d.remove))
	}
	return errors.Join(errs...)
}
