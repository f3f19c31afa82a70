//go:build !linux

package main

import "runtime/debug"

// releaseMemory gives back what is not needed until something happens again.
func releaseMemory() { debug.FreeOSMemory() }
