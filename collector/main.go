// Command hozen-collector receives what agents acquire, keeps it with its custody
// ledger, and gives the orders of its operators. This package only wires: it is the
// one place that knows which implementation was chosen.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"hozen/internal/sched"
)

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	sched.Prepare()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}
