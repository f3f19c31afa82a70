package uplink_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/agent/internal/uplink"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/capability"
	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
)

func happened(k journal.EventKind) journal.IsolationEvent {
	return journal.IsolationEvent{ID: id.New(id.IsolationEvent), Kind: k, At: time.Now(), Count: 1, Detail: "somebody flushed the rules"}
}

func (c *collector) toldEvents() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	times := map[string]int{}
	for _, e := range c.events {
		times[e.GetEventId()]++
	}
	return times
}

// TestEventsArriveHoweverLongItTakes: what happened while the collector was away is told
// after connecting, again until it is confirmed, and once confirmed not any more.
func TestEventsArriveHoweverLongItTakes(t *testing.T) {
	c := newCollector(t)
	c.deaf = true
	p := newPC(t, c, time.Now())
	p.start(t, nil)
	c.connected(t)
	e := happened(journal.EventReleasedByCode)
	e.By, e.Seen, e.Isolation = "root", []string{"a\x1bb"}, &journal.Isolation{Desired: journal.StateReleased, Observed: journal.StateReleased, MeasuredAt: time.Now()}
	if err := p.IsolationEvent(e); err != nil {
		t.Fatal(err)
	}
	await(t, "event", func() bool { return c.toldEvents()[e.ID] == 1 })
	c.cut()
	await(t, "event again", func() bool { return c.toldEvents()[e.ID] == 2 })
	p.stop()
	p.start(t, nil)
	await(t, "event after a restart", func() bool { return c.toldEvents()[e.ID] >= 3 })
	c.mu.Lock()
	m := c.events[0]
	c.deaf = false
	c.mu.Unlock()
	if m.GetKind() != agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_RELEASED_BY_CODE || m.GetBy() != "root" || m.GetSeen()[0] != "a b" || m.GetIsolation().GetObserved() != agentv1.IsolationState_ISOLATION_STATE_RELEASED {
		t.Fatalf("%v", m)
	}
	c.cut()
	await(t, "confirmation", func() bool { return len(p.journal.Events()) == 0 })
	told := c.toldEvents()[e.ID]
	hellos := c.count(func() int { return c.hellos })
	c.cut()
	await(t, "connection", func() bool { return c.count(func() int { return c.hellos }) > hellos })
	last := happened(journal.EventDrift)
	if err := p.IsolationEvent(last); err != nil {
		t.Fatal(err)
	}
	await(t, "the next event", func() bool { return c.toldEvents()[last.ID] > 0 })
	if n := c.toldEvents()[e.ID]; n != told {
		t.Errorf("a confirmed event was told %d times more", n-told)
	}
}

// TestManyEvents: far more than may be under way at once arrive, each once, in order.
func TestManyEvents(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	j, err := journal.Open(journal.Config{Path: p.dir + "/journal"})
	if err != nil {
		t.Fatal(err)
	}
	const many = 300
	for range many {
		if err := j.AddEvent(happened(journal.EventDrift)); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	p.start(t, nil)
	await(t, "all events", func() bool { return len(p.journal.Events()) == 0 })
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.events) != many {
		t.Fatalf("%d events arrived", len(c.events))
	}
	for i, e := range c.events[1:] {
		if e.GetEventId() <= c.events[i].GetEventId() {
			t.Fatal("not in the order in which they happened")
		}
	}
}

// TestHugeEventIsCutDown before it is kept: a rule set of a million lines is no reason to
// fill the disk.
func TestHugeEventIsCutDown(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now()).start(t, nil)
	c.connected(t)
	c.mu.Lock()
	c.deaf = true
	c.mu.Unlock()
	long := strings.Repeat("全", 1<<16)
	var lines []string
	for range 1000 {
		lines = append(lines, long)
	}
	e := happened(journal.EventDrift)
	e.Differences, e.Seen, e.By, e.Detail, e.Isolation = lines, lines, long, long, &journal.Isolation{Detail: long, Limits: lines, Trials: make([]journal.Trial, 5000)}
	if err := p.IsolationEvent(e); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(filepath.Join(p.dir, "journal")); err != nil || fi.Size() > 64<<10 {
		t.Fatalf("the journal has %d bytes, %v", fi.Size(), err)
	}
	await(t, "event", func() bool { return c.toldEvents()[e.ID] > 0 })
}

// TestOlderCollectorHearsNoEvents: it would end the stream; they wait, and everything
// else goes on.
func TestOlderCollectorHearsNoEvents(t *testing.T) {
	c := newCollector(t)
	c.capability = capability.Isolation - 1
	p := newPC(t, c, time.Now()).start(t, nil)
	c.connected(t)
	if err := p.IsolationEvent(happened(journal.EventLeak)); err != nil {
		t.Fatal(err)
	}
	c.order(command(1))
	await(t, "result", func() bool { return len(c.told()) == 1 })
	if n := c.count(func() int { return c.hellos }); n != 1 || len(p.journal.Events()) != 1 {
		t.Fatalf("%d connections, %d events wait", n, len(p.journal.Events()))
	}
	c.mu.Lock()
	c.capability = capability.Current
	c.mu.Unlock()
	c.cut()
	await(t, "event", func() bool { return len(c.toldEvents()) == 1 && len(p.journal.Events()) == 0 })
}

// TestHeard: every message of the collector counts, the welcome too.
func TestHeard(t *testing.T) {
	c := newCollector(t)
	heard := make(chan struct{}, 100)
	newPC(t, c, time.Now()).start(t, func(cfg *uplink.Config) {
		cfg.Heard = func() { heard <- struct{}{} }
	})
	for range 2 { // welcome and the answer to the first heartbeat
		<-heard
	}
	c.push <- &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Attention{Attention: &agentv1.Attention{}}}
	<-heard
}

// TestOrderArrivesWhole: everything that an order may say reaches who carries it out.
func TestOrderArrivesWhole(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now()).start(t, nil)
	c.connected(t)
	until := time.Now().Add(time.Hour).UTC()
	o := command(1)
	o.Verb = &agentv1.Command_Isolate{Isolate: &agentv1.Isolate{
		Mode: agentv1.IsolationMode_ISOLATION_MODE_SELECTIVE, IsolateFirst: true, Until: timestamppb.New(until), ConfirmWithin: durationpb.New(time.Minute),
		Fallback: agentv1.IsolationFallback_ISOLATION_FALLBACK_ROLL_BACK, Lease: durationpb.New(24 * time.Hour), Drill: true, Collectors: []string{"192.0.2.9:8443"},
		Permits: []*agentv1.IsolationPermit{
			{Network: "192.0.2.7/32", Protocol: agentv1.IsolationProtocol_ISOLATION_PROTOCOL_TCP, FirstPort: 443, LastPort: 444, Reason: "更新", Host: "update.example", ExpiresAt: timestamppb.New(until)},
			{Network: "2001:db8::/64", Protocol: agentv1.IsolationProtocol_ISOLATION_PROTOCOL_UDP, FirstPort: 123, LastPort: 123},
			{Network: "192.0.2.8/32"},
		},
		ReleaseCode: &agentv1.ReleaseCode{Number: "123456789012", Hash: make([]byte, 32), Salt: make([]byte, 16), Iterations: 100_000},
		Notice:      &agentv1.Notice{Text: "隔離中です", Phone: "03-1234-5678"},
	}}
	c.order(o)
	release := command(2)
	release.Verb = &agentv1.Command_Release{Release: &agentv1.Release{Notice: &agentv1.Notice{Text: "解除しました"}}}
	c.order(release)
	await(t, "results", func() bool { return len(c.told()) == 2 })
	calls := p.handler.done()
	got := calls[0]
	i := got.Isolate
	if !got.IsolateFirst || i == nil || i.Mode != journal.ModeSelective || !i.Until.Equal(until) || i.ConfirmWithin != time.Minute || i.Fallback != journal.RollBack ||
		i.Lease != 24*time.Hour || !i.Drill || len(i.Collectors) != 1 || len(i.Permits) != 3 || i.Code == nil || i.Code.Number != "123456789012" || got.Notice == nil || got.Notice.Phone != "03-1234-5678" {
		t.Fatalf("%+v %+v", got, i)
	}
	if w := (journal.Permit{Network: "192.0.2.7/32", Protocol: journal.ProtocolTCP, First: 443, Last: 444, Reason: "更新", Host: "update.example", ExpiresAt: until}); i.Permits[0] != w {
		t.Errorf("%+v", i.Permits[0])
	}
	if i.Permits[1].Protocol != journal.ProtocolUDP || i.Permits[2].Protocol != "" {
		t.Errorf("%+v", i.Permits)
	}
	if n := calls[1].Notice; n == nil || n.Text != "解除しました" {
		t.Errorf("%+v", calls[1])
	}
}

// TestWordsOfANewerCollector: an order of which one word is not understood is not begun.
func TestWordsOfANewerCollector(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now()).start(t, nil)
	c.connected(t)
	for n, change := range []func(*agentv1.Isolate){
		func(m *agentv1.Isolate) { m.Mode = agentv1.IsolationMode_ISOLATION_MODE_UNSPECIFIED },
		func(m *agentv1.Isolate) { m.Fallback = 9 },
		func(m *agentv1.Isolate) {
			m.Permits = []*agentv1.IsolationPermit{{Network: "192.0.2.7/32", Protocol: 9}}
		},
	} {
		o := command(uint64(n + 1))
		change(o.GetIsolate())
		c.order(o)
	}
	await(t, "results", func() bool { return len(c.told()) == 3 })
	for _, r := range c.told() {
		if r.GetStatus() != agentv1.CommandStatus_COMMAND_STATUS_UNSUPPORTED {
			t.Errorf("%v", r)
		}
	}
	if calls := p.handler.done(); len(calls) != 0 {
		t.Fatalf("%+v", calls)
	}
}

// TestCollectorMoves: an address that the collector names is where it is found when it
// is nowhere else any more, after a restart too.
func TestCollectorMoves(t *testing.T) {
	old, moved := newCollector(t), newCollector(t)
	moved.server.Stop()
	moved.ca, moved.key, moved.cert = old.ca, old.key, old.cert
	moved.listen(t, "127.0.0.1:0")
	p := newPC(t, old, time.Now()).start(t, nil)
	old.connected(t)
	if err := p.Learn([]netip.AddrPort{netip.MustParseAddrPort(moved.addr)}); err != nil {
		t.Fatal(err)
	}
	pins, err := p.Pins(t.Context())
	if err != nil || len(pins) != 2 || pins[0].String() != old.addr || pins[1].String() != moved.addr {
		t.Fatalf("%v, %v", pins, err)
	}
	p.stop()
	old.server.Stop()
	p.start(t, nil)
	moved.connected(t)
	if err := p.WayHome(t.Context()); err != nil {
		t.Error(err)
	}
}
