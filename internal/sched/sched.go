// Package sched keeps the network from waiting for work in a program that does both
// on few processors. It knows nothing of what is done.
package sched

import (
	"os"
	"runtime"
)

// least is the fewest goroutines that may run at a time.
const least = 4

// Prepare lets more goroutines run at a time than a small machine has processors,
// unless the environment variable GOMAXPROCS says how many. Call it first in main.
//
// While all are busy hashing or sending evidence, Go's scheduler looks at the network
// every 10 ms only, and an order waits as long; with some to spare, one of them waits
// at the network, and the kernel runs it at once.
func Prepare() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < least {
		runtime.GOMAXPROCS(least)
	}
}
