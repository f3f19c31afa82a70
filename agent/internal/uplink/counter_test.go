package uplink_test

import (
	"testing"
	"time"
)

// TestHelloTellsTheHighestCounter: a collector that was put back to an older state must
// learn what its orders have to be above.
func TestHelloTellsTheHighestCounter(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now()).start(t, nil)
	told := func() (n uint64) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.hello.GetCommandCounter()
	}
	c.connected(t)
	if n := told(); n != 0 {
		t.Errorf("%d is told before the first command", n)
	}
	c.order(command(7))
	await(t, "confirmation", func() bool {
		return p.journal.Counter() == 7 && len(p.journal.Unconfirmed())+len(p.journal.Unfinished()) == 0
	})
	c.cut()
	await(t, "hello with the counter", func() bool { return told() == 7 })
	p.stop()
	p.start(t, nil)
	await(t, "hello with the counter", func() bool { return c.count(func() int { return c.hellos }) >= 3 && told() == 7 })
}
