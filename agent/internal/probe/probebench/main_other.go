//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "probebench: only Linux has the probes that it measures")
	os.Exit(1)
}
