//go:build linux

package nft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
	"hozen/internal/releasecode"
)

// Fifty random lives of an endpoint on the real kernel: orders with and without
// confirmation and in every mode, codes, ends, a collector that moves, crashes, restarts
// of the machine, tampering. What is said is what another program reads from the kernel, and each ends with a
// release that lets everything through again.
func TestNobodyIsLockedOutOnTheKernel(t *testing.T) {
	l := newLab(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	can, err := l.stranger(t).learn(t.Context())
	check(t, err)
	for i := range 50 {
		feat := plain
		feat.hold = can.hold && i%2 == 0
		if steps, err := l.life(t, rand.New(rand.NewPCG(seed, uint64(i))), feat); err != nil {
			t.Fatalf("life %d, %q: %v", i, steps, err)
		}
	}
}

var lifeSteps = [...]string{"isolate", "isolate or roll back", "isolate or stay", "selective", "full with a code", "an hour until",
	"an hour", "code", "collector moves", "release", "reconcile", "crash", "reboot", "tamper"}

func (l *lab) life(t *testing.T, r *rand.Rand, feat features) (steps []string, err error) {
	ctx, dir := t.Context(), t.TempDir()
	places := []netip.AddrPort{l.collector.AddrPort(4, collectorPort), l.collector.AddrPort(6, collectorPort)}
	at := places[0]
	fw := New(Config{NetNS: l.PC.FD()})
	defer func() { err = errors.Join(err, fw.Close()) }()
	var m *isolate.Manager
	clock := &isolatetest.Clock{}
	number := "123456789012"
	code := releasecode.New(releasecode.Key{1}, number)
	salt := make([]byte, releasecode.SaltLen)
	hash, err := releasecode.Hash(code, salt, 1)
	if err != nil {
		return nil, err
	}
	start := func() error {
		if err := fw.Close(); err != nil {
			return err
		}
		fw.remember(feat)
		store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: dir, Key: bytes.Repeat([]byte{'k'}, 32)})
		if err != nil {
			return err
		}
		m, err = isolate.NewManager(isolate.Config{Firewall: fw, Store: store, Clock: clock, WayHome: func(ctx context.Context) error {
			// What the rules let through, without the wait for a packet that is dropped.
			o, err := l.fw.Observe(ctx, &isolate.Policy{Collectors: []netip.AddrPort{at}})
			if err == nil && o.Present && !o.Complete {
				err = errors.New("cut")
			}
			return err
		}})
		return err
	}
	truth := func(st isolate.Status, err error) error {
		want := &st.Policy
		if st.Observed != isolate.Isolated {
			want = nil
		}
		o, oerr := l.fw.Observe(ctx, want)
		switch {
		case oerr != nil:
			return oerr
		case err != nil:
			return fmt.Errorf("desired %s, observed %s: %w", st.Desired, st.Observed, err)
		case st.Observed != st.Desired || !o.Complete || o.Present != (st.Observed == isolate.Isolated):
			return fmt.Errorf("desired %s, observed %s (%s), in force %+v", st.Desired, st.Observed, st.Detail, o)
		}
		return nil
	}
	order := func(q isolate.Request) error {
		q.CommandID = fmt.Sprint("cmd_", len(steps))
		q.Policy.Collectors = []netip.AddrPort{places[r.IntN(2)]}
		return truth(m.Isolate(ctx, q))
	}
	if err := start(); err != nil {
		return nil, err
	}
	for range 3 + r.IntN(10) {
		step := lifeSteps[r.IntN(len(lifeSteps))]
		steps = append(steps, step)
		switch step {
		case "isolate":
			err = order(isolate.Request{})
		case "isolate or roll back":
			err = order(isolate.Request{Within: time.Millisecond, Else: isolate.RollBack})
		case "isolate or stay":
			err = order(isolate.Request{Within: time.Millisecond, Else: isolate.StayClosed})
		case "selective":
			p := l.permits(isolate.Permit{Network: netip.PrefixFrom(l.B.V6, 128), Protocol: isolate.UDP, First: 1, Last: uint16(1 + r.IntN(3))})
			p.Permits[0].ExpiresAt = clock.Now().Add(time.Hour)
			err = order(isolate.Request{Policy: p})
		case "full with a code":
			err = order(isolate.Request{Policy: isolate.Policy{Mode: isolate.Full},
				Code: &isolate.ReleaseCode{Number: number, Hash: hash, Salt: salt, Iterations: 1}})
		case "an hour until":
			err = order(isolate.Request{Until: clock.Now().Add(time.Hour)})
		case "an hour":
			clock.Pass(time.Hour)
			err = truth(m.Reconcile(ctx))
		case "code":
			if m.Status(ctx).CodeNumber != "" {
				err = truth(m.ReleaseByCode(ctx, code.String(), "1000", "life"))
			}
		case "collector moves":
			at = places[(slices.Index(places, at)+1)%2]
		case "release":
			err = truth(m.Release(ctx, isolate.Request{CommandID: "cmd_r"}))
		case "reconcile":
			err = truth(m.Reconcile(ctx))
		case "crash", "reboot":
			err = fw.Close()
			if step == "reboot" && err == nil {
				clock.Reboot()
				err = flushRuleset(t, l.stranger(t))
			}
			if err == nil {
				err = start()
			}
			if err == nil {
				err = truth(m.Resume(ctx))
			}
		case "tamper":
			before := m.Status(ctx)
			err = flushRuleset(t, l.stranger(t))
			// What is held stays; what is not is put right.
			if after := m.Status(ctx); err == nil && feat.hold && before.Observed == isolate.Isolated && after.Observed != isolate.Isolated {
				err = errors.New("held rules were flushed")
			}
			if err == nil {
				err = truth(m.Reconcile(ctx))
			}
		}
		if err != nil {
			return steps, err
		}
	}
	if err := truth(m.Release(ctx, isolate.Request{CommandID: "cmd_end"})); err != nil {
		return steps, err
	}
	return steps, eventually(func() error { return tcp(l.PC, l.Peer, l.B.At(4, 8080)) })
}
