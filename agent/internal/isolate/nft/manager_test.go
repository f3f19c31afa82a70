//go:build linux

package nft

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"testing"

	"hozen/agent/internal/isolate"
)

// The state machine, the files and the kernel together: order, tampering, restart of
// the agent, restart of the machine, loss of the files, release.
func TestManagerOnTheKernel(t *testing.T) {
	for name, feat := range map[string]features{"rules held": everything, "rules open to all": plain} {
		t.Run(name, func(t *testing.T) { managerOnTheKernel(t, feat) })
	}
}

func managerOnTheKernel(t *testing.T, feat features) {
	l := newLab(t)
	if feat.hold {
		l.needHold(t)
	}
	dir := t.TempDir()
	fw := l.fw
	start := func(key byte) *isolate.Manager {
		t.Helper()
		check(t, fw.Close()) // a process that ends
		fw = l.stranger(t)   // and a new one that knows nothing of it
		fw.remember(feat)
		store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: dir, Key: bytes.Repeat([]byte{key}, 32)})
		check(t, err)
		m, err := isolate.NewManager(isolate.Config{
			Firewall: fw,
			Store:    store,
			WayHome: func(context.Context) error {
				return tcp(l.PC, l.Peer, l.collector.At(4, collectorPort))
			},
			Collectors: func() []netip.AddrPort { return l.policy.Collectors[:1] },
		})
		check(t, err)
		return m
	}
	is := func(st isolate.Status, err error) func(isolate.State) isolate.Status {
		return func(want isolate.State) isolate.Status {
			t.Helper()
			if err != nil || st.Observed != want || st.Desired != want {
				t.Fatalf("desired %s, observed %s (%s), %v; want %s", st.Desired, st.Observed, st.Detail, err, want)
			}
			return st
		}
	}
	flush := func() {
		t.Helper()
		check(t, flushRuleset(t, l.stranger(t)))
		if o := l.observe(t, nil); o.Present {
			t.Fatalf("flush did not flush: %+v", o)
		}
	}
	ctx := t.Context()
	m := start('k')
	is(m.Resume(ctx))(isolate.Released)
	st := is(m.Isolate(ctx, isolate.Request{CommandID: "cmd_1", Policy: l.policy}))(isolate.Isolated)
	if st.WayHome == nil || !st.WayHome.OK || !st.Persisted || st.Observation.Digest == "" {
		t.Errorf("%+v", st)
	}
	if tcp(l.PC, l.Peer, l.B.At(4, 8080)) == nil {
		t.Error("TCP passes")
	}
	if feat.hold {
		check(t, flushRuleset(t, l.stranger(t))) // passes our tables by
		if st := is(m.Reconcile(ctx))(isolate.Isolated); len(st.Drift) != 0 || st.Observation.Held != isolate.HeldHere {
			t.Errorf("drift %q, held %q", st.Drift, st.Observation.Held)
		}
	} else {
		flush()
		if st := is(m.Reconcile(ctx))(isolate.Isolated); len(st.Drift) == 0 {
			t.Error("nobody noticed the flush")
		}
	}
	m = start('k') // the agent is started again
	if st := is(m.Resume(ctx))(isolate.Isolated); len(st.Drift) != 0 || st.CommandID != "cmd_1" ||
		feat.hold && st.Observation.Held != isolate.HeldHere {
		t.Errorf("%+v", st)
	}
	check(t, fw.Close())
	flush() // the machine is started again
	m = start('k')
	is(m.Resume(ctx))(isolate.Isolated)
	m = start('x') // the key is lost, and with it the files
	st = is(m.Resume(ctx))(isolate.Isolated)
	if !st.RecordLost || len(st.Policy.Collectors) != 1 {
		t.Errorf("%+v", st)
	}
	is(m.Release(ctx, isolate.Request{CommandID: "cmd_2"}))(isolate.Released)
	if err := eventually(func() error { return tcp(l.PC, l.Peer, l.B.At(4, 8080)) }); err != nil {
		t.Errorf("after release: %v", err)
	}
	m = start('x')
	is(m.Resume(ctx))(isolate.Released)
	if _, err := m.Isolate(ctx, isolate.Request{CommandID: "cmd_3"}); !errors.Is(err, isolate.ErrNoCollector) {
		t.Errorf("got %v", err)
	}
}
