//go:build crashpoint

package crashpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

// Enabled reports whether this build has crash points.
const Enabled = true

// counter counts the hits of the one point that is asked for. Only test builds have it.
var counter struct {
	sync.Mutex
	n int
}

// Hit kills the process if the environment asks for it at this point.
func Hit(name string) {
	want, count, counted := strings.Cut(os.Getenv("HOZEN_CRASH_AT"), ":")
	if want != name {
		return
	}
	at := 1
	if counted {
		n, err := strconv.Atoi(count)
		if err != nil {
			panic("HOZEN_CRASH_AT: " + err.Error())
		}
		at = n
	}
	counter.Lock()
	defer counter.Unlock()
	if counter.n++; counter.n != at {
		return
	}
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		panic("crash point: " + err.Error())
	}
	select {} // until the signal arrives
}
