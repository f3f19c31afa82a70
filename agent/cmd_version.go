package main

import (
	"context"
	"fmt"

	"hozen/internal/buildinfo"
	"hozen/internal/capability"
)

// runVersion is "hozen-agent version".
func runVersion(_ context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("version", getenv, std)
	if _, code, done := c.parse(args, 0); done {
		return code
	}
	b := buildinfo.Get()
	fmt.Fprintf(std.out, "hozen-agent %s (%s, %s, %s/%s, protocol %d)\n", b.Version, b.Commit, b.Go, b.OS, b.Arch, capability.Current)
	return exitOK
}
