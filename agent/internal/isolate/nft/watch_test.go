//go:build linux

package nft

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	link "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// next waits for the next event that tells of rules.
func next(t *testing.T, events <-chan isolate.Event) isolate.Event {
	t.Helper()
	for {
		if e := event(t, events); e.Rules || e.Lost || len(e.What)+len(e.Others) > 0 {
			return e
		}
	}
}

// event is the next one of all, with what it tells of rules alone.
func event(t *testing.T, events <-chan isolate.Event) isolate.Event {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("watching has ended")
		}
		e.What = ofRules(e.What)
		return e
	case <-time.After(time.Minute):
		t.Fatal("nothing was seen")
	}
	return isolate.Event{}
}

// ofRules leaves out what the kernel tells of routes and devices, when it likes.
func ofRules(what []string) []string {
	return slices.DeleteFunc(what, func(w string) bool { return strings.HasPrefix(w, "route ") || strings.HasPrefix(w, "network device ") })
}

func (l *lab) watch(t *testing.T) <-chan isolate.Event {
	t.Helper()
	l.fw.actorWait = time.Minute // whoever waits for the kernel's last word gets it
	events, err := l.fw.Watch(t.Context())
	check(t, err)
	if e := event(t, events); len(e.What) != 0 || e.Rules || e.Lost {
		t.Fatalf("first event %+v", e)
	}
	return events
}

// Whatever is done to our tables is told, with the program that did it; what we do
// ourselves and what is done to others' tables is not.
func TestTamperingIsTold(t *testing.T) {
	l := newLab(t)
	l.fw.remember(plain)
	check(t, l.fw.Apply(t.Context(), l.policy))
	events := l.watch(t)
	self := "by " + fmt.Sprintf("%q", strings.TrimSpace(readFile(t, "/proc/self/comm")))
	other := l.stranger(t)
	for name, msgs := range l.tampering() {
		if strings.HasPrefix(name, "adopt") || strings.HasPrefix(name, "append") {
			continue // a plain table cannot be; told like an insertion
		}
		check(t, other.commit(t.Context(), replace("others", []table{{family: unix.NFPROTO_INET, name: "others"}})))
		check(t, l.fw.Apply(t.Context(), l.policy))
		check(t, other.commit(t.Context(), msgs))
		e := next(t, events)
		all := strings.Join(e.What, "; ")
		if !e.Rules || !strings.Contains(all, "hozen") || strings.Contains(all, "others") {
			t.Errorf("%s: %+v", name, e)
		}
		if !strings.Contains(all, self) {
			t.Errorf("%s: does not say who: %q, not %q", name, all, self)
		}
		select {
		case e := <-events:
			if e.What = ofRules(e.What); len(e.What) > 0 {
				t.Errorf("%s: told twice: %+v", name, e)
			}
		default:
		}
	}
}

// A table of others that accepts everything changes nothing of the cut, and is told with
// the program that made it; one without a hook, or that drops, is nobody's attempt.
func TestOthersRulesAreTold(t *testing.T) {
	l := newLab(t)
	l.fw.remember(plain)
	check(t, l.fw.Apply(t.Context(), l.policy))
	events := l.watch(t)
	other := l.stranger(t)
	for _, family := range []uint8{unix.NFPROTO_INET, unix.NFPROTO_IPV4, unix.NFPROTO_IPV6} {
		accepts := chain{name: "out", hook: &hook{num: unix.NF_INET_LOCAL_OUT, priority: -500, policy: policyAccept, kind: "filter"}}
		drops := chain{name: "in", hook: &hook{num: unix.NF_INET_LOCAL_IN, priority: -500, kind: "filter"}}
		check(t, other.commit(t.Context(), replace("others", []table{{family: family, name: "others", chains: []chain{accepts, drops, {name: "loose"}}}})))
		e := next(t, events)
		want := fmt.Sprintf(`table %s "others": chain "out" with policy accept at the hook output by %q, process `,
			familyNames[family], strings.TrimSpace(readFile(t, "/proc/self/comm")))
		if e.Rules || len(e.What) != 0 || len(e.Others) != 1 || !strings.HasPrefix(e.Others[0], want) {
			t.Errorf("%+v, want %s", e, want)
		}
	}
	if o, err := l.fw.Observe(t.Context(), &l.policy); err != nil || len(o.Gaps) != 0 || !o.Present {
		t.Errorf("beside others' rules: %+v, %v", o, err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	return string(b)
}

// managed starts an agent's loop: it reconciles when told, and never else.
func (l *lab) managed(t *testing.T) (m *isolate.Manager, put <-chan isolate.Status) {
	t.Helper()
	store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: t.TempDir(), Key: bytes.Repeat([]byte{'k'}, 32)})
	check(t, err)
	m, err = isolate.NewManager(isolate.Config{Firewall: l.fw, Store: store})
	check(t, err)
	ctx, stop := context.WithCancel(t.Context())
	out, done := make(chan isolate.Status, 4096), make(chan struct{})
	first := make(chan struct{})
	go func() {
		defer close(done)
		n := 0
		for range m.Watch(ctx) {
			st, _ := m.Reconcile(ctx)
			out <- st
			if n++; n == 1 {
				close(first)
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	if _, err := m.Isolate(t.Context(), isolate.Request{CommandID: "cmd_1", Policy: l.policy}); err != nil {
		t.Fatal(err)
	}
	<-first // watching has begun
	for len(out) > 0 {
		<-out
	}
	return m, out
}

// await returns the first status that says what.
func awaitStatus(t *testing.T, put <-chan isolate.Status, is func(isolate.Status) bool) isolate.Status {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case st := <-put:
			if is(st) {
				return st
			}
		case <-limit:
			t.Fatal("never came to that")
		}
	}
}

// Where rules cannot be locked they are in force again before a person could notice.
// The gap is that between the flush and the last datagram that got out.
func TestGapAfterFlush(t *testing.T) {
	l := newLab(t)
	l.fw.remember(plain)
	_, put := l.managed(t)
	other := l.stranger(t)
	f := newFlood(t, l.PC, l.Peer, l.A.At(4, 0), l.B.At(4, 6000))
	quiet := time.NewTimer(200 * time.Millisecond)
	<-quiet.C
	if n := f.got.Load(); n != 0 {
		t.Fatalf("%d datagrams passed before", n)
	}
	late := lateness(t)
	var gaps, undone []time.Duration
	for range 20 {
		start := time.Now()
		check(t, flushRuleset(t, other))
		st := awaitStatus(t, put, func(st isolate.Status) bool { return len(st.Drift) > 0 })
		undone = append(undone, time.Since(start))
		if st.Observed != isolate.Isolated || len(st.Seen) == 0 || !strings.Contains(strings.Join(st.Seen, ""), "table inet hozen: table deleted") {
			t.Errorf("observed %s, seen %q", st.Observed, st.Seen)
		}
		if last := time.Unix(0, f.last.Load()); last.After(start) {
			gaps = append(gaps, last.Sub(start))
		}
		quiet.Reset(20 * time.Millisecond)
		<-quiet.C
	}
	if len(gaps) == 0 {
		t.Error("no datagram ever passed; the test shows nothing")
		return
	}
	slices.Sort(gaps)
	slices.Sort(undone)
	t.Logf("last datagram after the flush: p50 %v, max %v; put right and read back: p50 %v, max %v; %d of %d datagrams passed",
		gaps[len(gaps)/2], gaps[len(gaps)-1], undone[len(undone)/2], undone[len(undone)-1], f.got.Load(), f.sent.Load())
	if worst, slow := gaps[len(gaps)-1], late(); worst > time.Second+2*slow {
		t.Errorf("open for %v, while this program was at most %v late", worst, slow)
	}
}

// lateness watches how late this program is at most when it wants a processor, until it
// is asked: on a machine that others keep busy the agent is as late.
func lateness(t *testing.T) (most func() time.Duration) {
	t.Helper()
	const every = 5 * time.Millisecond
	ask, answer := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		var worst time.Duration
		for last := time.Now(); ; {
			select {
			case <-tick.C:
				now := time.Now()
				worst, last = max(worst, now.Sub(last)-every), now
			case <-ask:
				answer <- worst
				return
			}
		}
	}()
	return func() time.Duration { close(ask); return <-answer }
}

// Devices are covered as they appear, locked or not.
func TestNewDevicesAreCovered(t *testing.T) {
	for name, feat := range map[string]features{"held": everything, "plain": plain} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			if feat.hold {
				l.needHold(t)
			}
			l.fw.remember(feat)
			_, put := l.managed(t)
			h, err := link.NewHandleAt(netns.NsHandle(l.PC.FD()), unix.NETLINK_ROUTE)
			check(t, err)
			defer h.Close()
			below, err := h.LinkByName(l.NameA)
			check(t, err)
			for _, d := range []link.Link{
				&link.Veth{LinkAttrs: link.LinkAttrs{Name: "usb0"}, PeerName: "usb1"},
				&link.Macvlan{LinkAttrs: link.LinkAttrs{Name: "mac0", ParentIndex: below.Attrs().Index}, Mode: link.MACVLAN_MODE_BRIDGE},
				&link.Tuntap{LinkAttrs: link.LinkAttrs{Name: "tun0"}, Mode: link.TUNTAP_MODE_TUN},
				&link.Bridge{LinkAttrs: link.LinkAttrs{Name: "br7"}},
			} {
				start := time.Now()
				// A tunnel is made in the namespace of the thread, not of the handle.
				if err := l.PC.Do(func() error { return h.LinkAdd(d) }); err != nil {
					t.Logf("needs a kernel with %s: %v", d.Type(), err)
					continue
				}
				st := awaitStatus(t, put, func(st isolate.Status) bool {
					return st.Observed == isolate.Isolated && slices.ContainsFunc(st.Observation.Links, func(c isolate.Link) bool {
						return c.Name == d.Attrs().Name && c.Ingress && c.Egress
					})
				})
				t.Logf("%s covered and read back after %v, seen %q", d.Type(), time.Since(start), st.Seen)
			}
			// A new name is a new device for the rules.
			check(t, h.LinkSetDown(mustLink(t, h, "usb0")))
			check(t, h.LinkSetName(mustLink(t, h, "usb0"), "wlan9"))
			awaitStatus(t, put, func(st isolate.Status) bool {
				return st.Observed == isolate.Isolated && slices.ContainsFunc(st.Observation.Links, func(c isolate.Link) bool {
					return c.Name == "wlan9" && c.Egress
				})
			})
		})
	}
}

func mustLink(t *testing.T, h *link.Handle, name string) link.Link {
	t.Helper()
	d, err := h.LinkByName(name)
	check(t, err)
	return d
}

// A storm of devices leads to a handful of measurements, and in the end all are covered.
func TestStormOfDevices(t *testing.T) {
	l := newLab(t)
	m, put := l.managed(t)
	h, err := link.NewHandleAt(netns.NsHandle(l.PC.FD()), unix.NETLINK_ROUTE)
	check(t, err)
	defer h.Close()
	start := time.Now()
	const storms = 64
	for i := range storms {
		d := &link.Bridge{LinkAttrs: link.LinkAttrs{Name: fmt.Sprintf("s%d", i)}}
		if err := h.LinkAdd(d); err != nil {
			t.Skip("needs a kernel with bridges: ", err)
		}
		if i%8 != 0 {
			check(t, h.LinkDel(d))
		}
	}
	if err := eventually(func() error {
		if st := m.Status(t.Context()); st.Observed != isolate.Isolated || len(st.Observation.Links) < storms/8 {
			return fmt.Errorf("%s, %d links: %s", st.Observed, len(st.Observation.Links), st.Detail)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	n, took := len(put), time.Since(start)
	if bound := 8 + int(took/paceLinks)*2 + 8; n > bound {
		t.Errorf("%d measurements in %v, at most %d are meant", n, took, bound)
	}
	t.Logf("%d devices came and went in %v: %d measurements", storms, took, n)
}

// The first of a series is told at once, what follows ever later, rules sooner than
// devices, and after a pause at once again.
func TestPaceOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		n, out := newNotes(), make(chan isolate.Event)
		go n.deliver(ctx, out)
		start := time.Now()
		took := func(urgent bool) time.Duration {
			start = time.Now()
			for i := range 100 {
				n.add(urgent, fmt.Sprint(i))
			}
			e := <-out
			first := time.Since(start)
			if len(e.What) > whatMax+1 || e.Rules != urgent {
				t.Errorf("%+v", e)
			}
			synctest.Wait()
			// A rest of those that came while the first was handed over.
			for {
				if any, _ := n.state(); !any {
					return first
				}
				<-out
				synctest.Wait()
			}
		}
		if d := took(false); d > 0 {
			t.Errorf("first took %v", d)
		}
		for range 20 {
			if d := took(false); d > 2*paceLinks {
				t.Errorf("device told after %v", d)
			}
		}
		if d := took(false); d < paceLinks/2 {
			t.Errorf("in a storm a device is told after %v already", d)
		}
		if d := took(true); d > 2*paceRules {
			t.Errorf("in a storm of devices a change of rules is told after %v", d)
		}
		time.Sleep(paceQuiet + time.Second)
		if d := took(false); d > 0 {
			t.Errorf("after a pause took %v", d)
		}
		n.lose()
		if e := <-out; !e.Lost || !e.Rules {
			t.Errorf("%+v", e)
		}
	})
}

// FuzzNotices takes what the kernel may notify of.
func FuzzNotices(f *testing.F) {
	for _, m := range []notice{
		{typ: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELTABLE, body: append([]byte{unix.NFPROTO_INET, 0, 0, 0}, attr(nil, unix.NFTA_TABLE_NAME, str("hozen"))...)},
		{typ: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN, body: append([]byte{0, 0, 0, 0}, attr(attr(nil, nftaGenProcPID, be32(7)), nftaGenProcName, str("nft"))...)},
	} {
		f.Add(noticeBytes(m))
	}
	fw := New(Config{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = notices(b, func(m notice) error {
			what, by, _ := fw.parseNotice(m)
			if what != "" && by != "" {
				t.Error("both what and who")
			}
			_, _ = parseDevice(m.body)
			return nil
		})
	})
}

func noticeBytes(m notice) []byte {
	b := host32(uint32(unix.SizeofNlMsghdr + len(m.body)))
	b = append(b, host32(uint32(m.typ))...)
	b = append(b, host32(0)...)
	return append(append(b, host32(m.port)...), m.body...)
}
