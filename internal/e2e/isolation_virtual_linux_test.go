package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hozen/internal/e2e/machine"
	"hozen/internal/e2e/rig"
)

// TestVirtualPC has one isolation in it: see cutOff and giveBack. The tests below have it
// alone, and more of it.

func TestIsolationVirtual(t *testing.T) {
	isolateVirtual(t, machine.VirtualBookworm())
}

func TestIsolationVirtualNewSystemd(t *testing.T) {
	isolateVirtual(t, machine.VirtualTrixie())
}

func isolateVirtual(t *testing.T, recipe machine.Recipe) {
	soakOnly(t)
	ctx := within(t, 3*virtualPatience)
	p := newVirtualPC(t, ctx, recipe, 10*time.Second)
	p.cutOff(t, ctx)
	p.clocksAreSet(t, ctx)
	p.frozen(t, ctx)
	p.goDown(t, ctx, machine.PowerLoss, time.Second)
	p.boot(t, ctx)
	p.cameUpIsolated(t, ctx)
	p.giveBack(t, ctx)
	p.clean(t, ctx)
}

// nftDir is where this machine's nft and what it needs lie in a guest.
const nftDir = "/opt/nft"

// giveNft puts this machine's nft on a guest's disk, with its libraries, so that the
// guest's need not be the same. Started by a loader that is called nft it is nft to the
// kernel too.
func giveNft(t *testing.T, d *machine.Disk) {
	t.Helper()
	need(t, "nft")
	path, err := exec.LookPath("nft")
	must(t, err)
	out, err := exec.CommandContext(t.Context(), "ldd", path).Output()
	must(t, err)
	must(t, d.Copy(nftDir+"/program", path))
	for line := range strings.Lines(string(out)) {
		for _, f := range strings.Fields(line) {
			if !strings.HasPrefix(f, "/") {
				continue
			}
			to := filepath.Join(nftDir, "lib", filepath.Base(f))
			if strings.HasPrefix(filepath.Base(f), "ld-linux") {
				to = nftDir + "/nft"
			}
			must(t, d.Copy(to, f))
		}
	}
}

// nft runs nft in the guest.
func (p *virtualPC) nft(t *testing.T, ctx context.Context, commands string) string {
	t.Helper()
	out, err := p.m.Feed(ctx, commands, nftDir+"/nft", "--library-path", nftDir+"/lib", nftDir+"/program", "-f", "-")
	must(t, err)
	return out
}

// othersRules are a firewall that somebody else looks after.
const othersRules = `table inet others {
	counter seen { }
	set friends { type ipv4_addr; elements = { 192.0.2.7, 192.0.2.9 } }
	chain input { type filter hook input priority filter; policy accept; ip saddr @friends drop; ct state invalid drop; }
	chain output { type filter hook output priority filter; policy accept; accept; }
}
table ip nat {
	chain postrouting { type nat hook postrouting priority srcnat; ip saddr 192.0.2.0/24 masquerade; }
}
`

// cutOff isolates the PC, looks from both ends of the wire at what is cut, gives the
// network back to see that the firewall of others is as it was, isolates it again and
// flushes all rules. It leaves the PC isolated.
func (p *virtualPC) cutOff(t *testing.T, ctx context.Context) {
	t.Helper()
	p.nft(t, ctx, othersRules)
	before := p.nft(t, ctx, "list ruleset\n")
	p.listen(t, ctx)
	p.isOpen(t, ctx, "before")
	p.isolate(t, ctx)
	p.isCut(t, ctx, "isolated")
	if cmd := p.order(t, ctx, "release", nil); cmd.Status != "done" {
		t.Fatalf("release ended as %s: %s", cmd.Status, cmd.Detail)
	}
	if after := p.nft(t, ctx, "list ruleset\n"); after != before || !strings.Contains(after, "friends") {
		t.Errorf("others' rules were\n%s\nand are after a release\n%s", before, after)
	}
	p.isolate(t, ctx)
	p.flushed(t, ctx)
	p.isCut(t, ctx, "after nft flush ruleset")
}

// giveBack looks whether a PC that came up isolated is cut off, and releases it.
func (p *virtualPC) giveBack(t *testing.T, ctx context.Context) {
	t.Helper()
	p.listen(t, ctx)
	p.isCut(t, ctx, "isolated and booted again")
	if cmd := p.order(t, ctx, "acquire", map[string]any{"profile": "flash"}); cmd.Status != "done" {
		t.Errorf("isolated and booted again: acquire ended as %s: %s", cmd.Status, cmd.Detail)
	}
	if cmd := p.order(t, ctx, "release", nil); cmd.Status != "done" {
		t.Fatalf("release ended as %s: %s", cmd.Status, cmd.Detail)
	}
	p.isOpen(t, ctx, "released")
	if left := p.nft(t, ctx, "list ruleset\n"); strings.Contains(left, "hozen") {
		t.Errorf("released: there is still\n%s", left)
	}
}

// listen has the PC serve TCP on port 8080.
func (p *virtualPC) listen(t *testing.T, ctx context.Context) {
	t.Helper()
	p.run(t, ctx, "systemd-run", "--quiet", "--collect", "--unit=practice-web", "busybox", "httpd", "-f", "-h", "/", "-p", "8080")
	p.run(t, ctx, "timeout", "60", "bash", "-c", "until echo >/dev/tcp/127.0.0.1/8080; do read -t 0.2 <> <(:); done 2>/dev/null")
}

func (p *virtualPC) isolate(t *testing.T, ctx context.Context) {
	t.Helper()
	if cmd := p.order(t, ctx, "isolate", nil); cmd.Status != "done" {
		t.Fatalf("isolate ended as %s: %s", cmd.Status, cmd.Detail)
	}
	if e := p.endpoint(t, ctx); !e.Online || e.Isolation.Observed != "isolated" || !e.Isolation.WayHome {
		t.Errorf("isolated: the collector says %+v", e)
	}
}

// isOpen waits until everything passes.
func (p *virtualPC) isOpen(t *testing.T, ctx context.Context, when string) {
	t.Helper()
	soon, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var closed []string
	err := rig.Until(soon, "all ways to be open", func() (bool, error) {
		closed = nil
		for name, ok := range p.probe(t, ctx) {
			if !ok {
				closed = append(closed, name)
			}
		}
		return len(closed) == 0, nil
	})
	if err != nil {
		t.Fatalf("%s: %v do not pass: %v", when, closed, err)
	}
}

// isCut fails the test if anything passes.
func (p *virtualPC) isCut(t *testing.T, ctx context.Context, when string) {
	t.Helper()
	got := p.probe(t, ctx)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if got[name] {
			t.Errorf("%s: %s passes", when, name)
		}
	}
	t.Logf("%s: %d ways are cut: %s", when, len(got), strings.Join(slices.Sorted(maps.Keys(got)), ", "))
	if e := p.endpoint(t, ctx); e.Isolation.Observed != "isolated" {
		t.Errorf("%s: the collector says %+v", when, e.Isolation)
	}
}

// probeTime is how long a way is tried. A guest whose processor is only played needs a
// good part of it to start a program.
const probeTime = 4 * time.Second

// probe tries every way between the PC and this machine, all at once. It tries again
// where the PC was too slow to try.
func (p *virtualPC) probe(t *testing.T, ctx context.Context) map[string]bool {
	t.Helper()
	for {
		passes, tried := p.probeOnce(t, ctx)
		if tried == nil {
			return passes
		}
		if ctx.Err() != nil {
			t.Fatalf("not even tried: %v", tried)
		}
	}
}

// probeOnce returns what passes, by name, and what the PC had no time to try.
func (p *virtualPC) probeOnce(t *testing.T, ctx context.Context) (passes map[string]bool, late []string) {
	t.Helper()
	var mu sync.Mutex
	passes = map[string]bool{}
	note := func(name string, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		passes[name] = passes[name] || ok
	}
	var script strings.Builder
	var mine []string // tried by the PC
	try := func(name, how string) {
		note(name, false)
		mine = append(mine, name)
		fmt.Fprintf(&script, "timeout %d bash -c \"echo 'tried %s'; %s && echo 'passed %s'\" &\n", int(probeTime.Seconds()), name, how, name)
	}
	for _, family := range []int{4, 6} {
		to := p.wire.Outside.AddrPort(family, 0).Addr()
		for _, x := range []struct {
			what, protocol string
			port           int
		}{{"TCP", "tcp", 0}, {"UDP", "udp", 0}, {"DNS question", "udp", 53}} {
			name := fmt.Sprintf("%s to others over IPv%d", x.what, family)
			port, stop := hear(t, x.protocol, p.wire.Outside.At(family, x.port), func() { note(name, true) })
			defer stop()
			try(name, fmt.Sprintf("echo hello >/dev/%s/%s/%d; false", x.protocol, to, port))
		}
		try(fmt.Sprintf("echo request over IPv%d", family), fmt.Sprintf("busybox %s -c 1 -W 2 %s >/dev/null", map[int]string{4: "ping", 6: "ping6"}[family], to))
	}
	try("collector by another process", fmt.Sprintf("echo >/dev/tcp/%s/7443", p.wire.Outside.V4))
	var wg sync.WaitGroup
	for _, family := range []int{4, 6} {
		name := fmt.Sprintf("TCP from outside over IPv%d", family)
		note(name, false)
		wg.Go(func() {
			c, err := (&net.Dialer{Timeout: probeTime}).DialContext(ctx, "tcp", p.wire.Inside.At(family, 8080))
			if err == nil {
				c.Close()
			}
			note(name, err == nil)
		})
	}
	out, err := p.m.Run(ctx, "bash", "-c", script.String()+"wait")
	must(t, err)
	wg.Wait()
	<-time.After(100 * time.Millisecond) // what was sent last is on its way
	mu.Lock()
	defer mu.Unlock()
	for _, name := range mine {
		if strings.Contains(out, "passed "+name) {
			passes[name] = true
		}
		if !strings.Contains(out, "tried "+name) {
			late = append(late, name)
		}
	}
	return maps.Clone(passes), late
}

// hear listens until stop and tells of everything that arrives.
func hear(t *testing.T, network, address string, arrived func()) (port int, stop func()) {
	t.Helper()
	if network == "tcp" {
		l, err := net.Listen("tcp", address)
		must(t, err)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				arrived()
				c.Close()
			}
		}()
		return l.Addr().(*net.TCPAddr).Port, func() { l.Close() }
	}
	c, err := net.ListenPacket("udp", address)
	must(t, err)
	go func() {
		b := make([]byte, 64)
		for {
			if _, _, err := c.ReadFrom(b); err != nil {
				return
			}
			arrived()
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).Port, func() { c.Close() }
}

// arrivals are datagrams that the PC sends all the time.
type arrivals struct {
	mu   sync.Mutex
	at   []time.Time
	stop func()
}

// sending has the PC send datagrams over both families until stopped.
func (p *virtualPC) sending(t *testing.T, ctx context.Context) *arrivals {
	t.Helper()
	a := &arrivals{}
	var stops []func()
	loop := "exec 9<>/tmp/beat\nwhile :; do\n"
	for _, family := range []int{4, 6} {
		port, stop := hear(t, "udp", p.wire.Outside.At(family, 0), func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.at = append(a.at, time.Now())
		})
		stops = append(stops, stop)
		loop += fmt.Sprintf("echo x 2>/dev/null >/dev/udp/%s/%d\n", p.wire.Outside.AddrPort(family, 0).Addr(), port)
	}
	loop += "read -t 0.02 -u 9\ndone"
	p.run(t, ctx, "sh", "-c", "rm -f /tmp/beat; mkfifo /tmp/beat")
	p.run(t, ctx, "systemd-run", "--quiet", "--collect", "--unit=practice-flood", "bash", "-c", loop)
	a.stop = func() {
		for _, stop := range stops {
			stop()
		}
		p.run(t, ctx, "systemctl", "stop", "practice-flood")
	}
	return a
}

// since is how many arrived after a moment and in what time.
func (a *arrivals) since(mark time.Time) (n int, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var first, last time.Time
	for _, at := range a.at {
		if at.Before(mark) {
			continue
		}
		if n++; n == 1 {
			first = at
		}
		last = at
	}
	return n, last.Sub(first)
}

// flushed flushes all rules of the PC while it sends, and looks how soon they are in
// force again and what the collector is told.
func (p *virtualPC) flushed(t *testing.T, ctx context.Context) {
	t.Helper()
	sent := p.sending(t, ctx)
	asked := time.Now()
	p.run(t, ctx, "true")
	slow := time.Since(asked) // a round trip to the guest: how slow it is at present
	mark := time.Now()
	p.nft(t, ctx, "flush ruleset\n")
	held := strings.Contains(p.nft(t, ctx, "list table inet hozen\n"), "owner")
	var e isolationEvent
	if !held {
		e = p.told(t, ctx, "drift")
	}
	<-time.After(time.Second)
	n, took := sent.since(mark)
	t.Logf("nft flush ruleset: held %v, %d datagrams passed in %s (a round trip to the guest takes %s); told: %v, %v", held, n, took.Round(time.Millisecond), slow.Round(time.Millisecond), e.Differences, e.Seen)
	if held && n > 0 || took > reassertLimit+10*slow {
		t.Errorf("nft flush ruleset: %d datagrams passed in %s", n, took)
	}
	if !held && len(e.Seen) == 0 {
		t.Errorf("nothing of it is told: %+v", e)
	}
	settled := time.Now()
	<-time.After(500 * time.Millisecond)
	if n, _ := sent.since(settled); n > 0 {
		t.Errorf("%d datagrams passed after the rules were put right", n)
	}
	sent.stop()
}

// told waits for an event of a kind about the present order.
func (p *virtualPC) told(t *testing.T, ctx context.Context, kind string) (e isolationEvent) {
	t.Helper()
	must(t, rig.Until(ctx, "an event "+kind, func() (bool, error) {
		var list []isolationEvent
		err := p.collector.Glass().Call(ctx, "endpoint.isolation_events", map[string]string{"ref": p.endpoint(t, ctx).ID}, &list)
		i := slices.IndexFunc(list, func(e isolationEvent) bool { return e.Kind == kind })
		if i >= 0 {
			e = list[i]
		}
		return i >= 0, err
	}))
	return e
}

// clocksAreSet sets the PC's clock forth and back by more than its certificate lives,
// while it is isolated, and lets the collector go away and come back each time.
func (p *virtualPC) clocksAreSet(t *testing.T, ctx context.Context) {
	t.Helper()
	for _, by := range []string{"+100 days", "-200 days", "+100 days"} {
		p.run(t, ctx, "date", "-s", by)
		must(t, p.collector.Proc.Stop())
		must(t, p.collector.Serve(ctx))
		began := time.Now()
		soon, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		p.awaitConnected(t, soon)
		t.Logf("clock set by %s: connected again after %s", by, time.Since(began).Round(time.Millisecond))
		if cmd := p.order(t, ctx, "acquire", map[string]any{"profile": "flash"}); cmd.Status != "done" {
			t.Errorf("clock set by %s: acquire ended as %s: %s", by, cmd.Status, cmd.Detail)
		}
		p.isCut(t, ctx, "clock set by "+by)
	}
}

// frozen flushes all rules while the agent does not run on. Where the kernel does not
// hold them the PC is open until the agent goes on.
func (p *virtualPC) frozen(t *testing.T, ctx context.Context) {
	t.Helper()
	sent := p.sending(t, ctx)
	p.run(t, ctx, "systemctl", "kill", "--signal=SIGSTOP", "--kill-who=main", "hozen-agent.service")
	mark := time.Now()
	p.nft(t, ctx, "flush ruleset\n")
	<-time.After(2 * time.Second)
	open, _ := sent.since(mark)
	p.run(t, ctx, "systemctl", "kill", "--signal=SIGCONT", "--kill-who=main", "hozen-agent.service")
	must(t, rig.Until(ctx, "rules in force", func() (bool, error) {
		mark := time.Now()
		<-time.After(500 * time.Millisecond)
		n, _ := sent.since(mark)
		return n == 0, nil
	}))
	sent.stop()
	t.Logf("agent frozen, rules flushed: %d datagrams passed until it went on", open)
	p.isCut(t, ctx, "frozen and going on")
}
