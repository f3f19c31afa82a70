// Command hozen-check runs the checks behind `make test`, `make check`, `make fuzz`
// and `make soak`, each with its time, and ends with one line that counts them. It knows
// nothing of what the programs do.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

const usage = `usage: hozen-check [-only regexp] [-fuzztime duration] test|static|fuzz|soak

Exit code: 0 all passed, 1 something failed, 2 wrong usage.
`

func run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("hozen-check", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	only := flags.String("only", "", "run only the steps whose name matches `regexp`")
	fuzzTime := flags.Duration("fuzztime", 30*time.Second, "how long each fuzz target runs")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	match, err := regexp.Compile(*only)
	if err != nil || flags.NArg() != 1 {
		flags.Usage()
		return 2
	}
	c := &checker{out: os.Stdout, root: os.Geteuid() == 0, fuzzTime: *fuzzTime}
	steps, ok := c.plan(flags.Arg(0))
	if !ok {
		flags.Usage()
		return 2
	}
	var chosen []step
	for _, s := range steps {
		if match.MatchString(s.name) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		fmt.Fprintf(os.Stderr, "hozen-check: no step is named like %q\n", *only)
		return 2
	}
	return c.runAll(ctx, chosen, len(chosen) == len(steps))
}
