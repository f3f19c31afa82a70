// Command hozen-agent is the endpoint's part of Hozen.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
)

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Getenv, stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run dispatches to the subcommands.
func run(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	if len(args) > 0 && args[0] == "acquire" {
		return runAcquire(ctx, args[1:], getenv, std)
	}
	fmt.Fprintln(std.err, "usage: hozen-agent acquire --help")
	return acquireUsage
}
