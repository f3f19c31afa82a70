// Command hozen-agent is the endpoint's part of Hozen: it takes volatile evidence,
// keeps it until the collector has it, and cuts the PC's network on command.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"

	"hozen/internal/sched"
)

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	forget()
	sched.Prepare()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Getenv, stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// forget clears what the environment could change behind our back: gopsutil reads
// evidence from wherever HOST_PROC and its like point, and gRPC has switches of its own.
func forget() {
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "HOST_") || strings.HasPrefix(name, "GRPC_") {
			_ = os.Unsetenv(name) // it exists, so this cannot fail
		}
	}
}
