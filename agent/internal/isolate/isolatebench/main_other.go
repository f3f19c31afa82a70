//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "isolatebench: only Linux has what it measures")
	os.Exit(1)
}
