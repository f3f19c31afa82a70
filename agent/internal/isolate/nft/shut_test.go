//go:build linux

package nft

import "testing"

// Shut closes what Apply could not, and the next Apply or Restore takes it away.
func TestShut(t *testing.T) {
	l := newLab(t)
	home := l.collector.AddrPort(4, collectorPort).String()
	reached := func() bool { return tcp(l.PC, l.Peer, home) == nil || tcp(l.PC, l.Peer, l.B.At(6, 8080)) == nil }
	if !reached() {
		t.Fatal("there is no network to cut")
	}
	check(t, l.fw.Shut(t.Context()))
	if reached() || tcp(l.Peer, l.PC, l.A.At(4, 8080)) == nil {
		t.Error("open after everything was to be dropped")
	}
	if err := tcp(l.PC, l.PC, "127.0.0.1:8080"); err != nil {
		t.Errorf("programs of the PC do not reach each other: %v", err)
	}
	if o := l.observe(t, &l.policy); !o.Present || o.Complete {
		t.Errorf("taken for the ordered policy: %+v", o)
	}
	check(t, l.fw.Close()) // the process of the start ends, and the agent comes
	agent := l.stranger(t)
	check(t, agent.Apply(t.Context(), l.policy))
	l.isolated(t)
	if err := tcp(l.PC, l.Peer, home); err != nil {
		t.Errorf("the way home stays closed: %v", err)
	}
	check(t, agent.Close())

	// Over an isolation it closes the way home too, and keeps the chains of devices.
	check(t, l.fw.Shut(t.Context()))
	if reached() {
		t.Error("the way home is open after everything was to be dropped")
	}
	if tables, err := l.fw.read(t.Context()); err != nil || len(tables) != 2 {
		t.Errorf("%d tables, %v", len(tables), err)
	}
	check(t, l.fw.Restore(t.Context()))
	if o := l.observe(t, nil); o.Present || !reached() {
		t.Errorf("left over: %+v", o)
	}
}
