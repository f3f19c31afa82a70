package uplink_test

import (
	"testing"
	"time"

	agentv1 "hozen/proto/hozen/agent/v1"
)

// TestOtherBytesUnderAKnownNameAreSent: the collector has a receipt for other bytes of
// the same name. It must see these, or nobody ever hears of them.
func TestOtherBytesUnderAKnownNameAreSent(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	e := p.begin(t)
	e.part(t, "artifacts/a", 10)
	e.seal(t)
	c.mu.Lock()
	_, err := c.receipt(e.ID(), &agentv1.Seal{Manifest: []byte(`{"of":"something else"}`)})
	c.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	p.start(t, nil)
	await(t, "upload", func() bool { return c.count(func() int { return c.uploads }) > 0 })
}
