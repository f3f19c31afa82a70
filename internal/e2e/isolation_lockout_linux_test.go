package e2e

import (
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to put a certificate into a collector's database

	"hozen/internal/e2e/rig"
	"hozen/internal/pki"
)

// TestIsolationNoLockOut leads one isolated PC through what must neither open it nor
// lock anybody out: a collector that goes and comes back, a crash loop, another version
// of the agent, a certificate that expires, and a collector that moves.
func TestIsolationNoLockOut(t *testing.T) {
	a := newAttacked(t, within(t, 3*patience), nil)
	a.isolate()
	cut := func(when string) {
		t.Helper()
		a.awaitConnected(t, a.ctx)
		a.awaitState("isolated")
		dry(t, when, a.floods...)
		a.await(t, a.ctx, "the collector to say so", func() (bool, error) {
			e := a.endpoint(t, a.ctx)
			return e.Isolation.Desired == "isolated" && e.Isolation.Observed == "isolated", fmt.Errorf("%s: %+v", when, e.Isolation)
		})
	}
	mark := time.Now()

	must(t, a.collector.Proc.Stop())
	a.awaitState("isolated")
	must(t, a.collector.Serve(a.ctx))
	cut("collector away and back")

	for range 5 {
		a.agent.Proc.Kill()
		must(t, a.agent.Run(a.ctx))
	}
	cut("crash loop")

	other := filepath.Join(a.dir, "hozen-agent-next")
	b, err := os.ReadFile(a.agent.Program)
	must(t, err)
	must(t, os.WriteFile(other, b, 0o700))
	must(t, a.agent.Proc.Stop())
	a.agent.Program = other
	must(t, a.agent.Run(a.ctx))
	cut("another version")

	a.expire()
	must(t, a.agent.Run(a.ctx))
	cut("certificate expired")

	if n, gap := a.passed(mark); gap > 0 {
		t.Errorf("passed meanwhile: %s in %s", n, gap)
	}
	a.moved()
	cut("the NIC moved away and back")
	a.wiped()
	cut("everything deleted and isolated again by the collector")
	a.release()
	a.floods[0].flows(t, a.ctx)
	a.print()
	check, err := a.collector.Fsck(a.ctx)
	must(t, err)
	if len(check.Problems) != 1 || check.Problems[0].Code != "enroll_surplus" { // the certificate that no act issued
		t.Errorf("fsck: %+v", check.Problems)
	}
}

// moved takes the NIC into another network namespace, where the PC's rules are not, and
// back. The agent has rules for it there, and has none to tell of it until it is back.
func (a *attacked) moved() {
	a.t.Helper()
	a.isolate() // what happens to an order is told at once the first time
	known := a.events()
	child, pid := a.host()
	mark := time.Now()
	a.ip(a.pc.PC, "link", "set", "eth0", "netns", pid)
	a.floods = append(a.floods, startFlood(a.t, way{from: child, device: "eth0", local: a.pc.Inside, to: a.pc.Outside}))
	a.address(child, "eth0", a.pc.Inside, 24, 64)
	there, gap := a.quiet("the NIC moved away", mark)
	mark = time.Now()
	a.ip(child, "link", "set", "eth0", "netns", strconv.Itoa(a.agent.Proc.PID()))
	a.address(a.pc.PC, "eth0", a.pc.Inside, 24, 64)
	a.awaitConnected(a.t, a.ctx)
	e := a.told(known, "drift")
	back, gapBack := a.quiet("the NIC moved back", mark)
	a.row("the NIC moved into `unshare -n` (`ip link set eth0 netns`), given addresses there, and moved back", "covered there, and again when it is back; meanwhile the PC is offline at the collector",
		fmt.Sprintf("there %s in %s, then nothing; when it is back %s in %s, then nothing", there, gap.Round(time.Millisecond), back, gapBack.Round(time.Millisecond)), 0, e.String())
}

// quiet waits until nothing passes any more, and returns what passed since a moment and in
// what time.
func (a *attacked) quiet(when string, mark time.Time) (string, time.Duration) {
	a.t.Helper()
	slack := time.Now()
	a.rules()
	slow := 20 * time.Since(slack)
	a.await(a.t, a.ctx, "nothing to pass", func() (bool, error) {
		now := time.Now()
		<-time.After(60 * floodBeat)
		n, gap := a.passed(now)
		return gap == 0, errors.New(n)
	})
	passed, gap := a.passed(mark)
	if gap > reassertLimit+slow {
		a.t.Errorf("%s: %s in %s", when, passed, gap)
	}
	return passed, gap
}

// wiped is a way out that isolation does not close: with the agent dead, its order deleted and the rules flushed,
// nothing on the PC says that it was isolated. The collector knows, shows that it is open, and orders it again.
func (a *attacked) wiped() {
	a.t.Helper()
	a.isolate() // what happens to an order is told at once the first time
	known := a.events()
	a.agent.Proc.Kill()
	must(a.t, os.RemoveAll(a.folder()))
	a.nft("flush ruleset")
	a.back()
	back := time.Now()
	// Whatever it is, the collector shows it so.
	a.floods[0].flows(a.t, a.ctx)
	var said rig.Isolation
	a.await(a.t, a.ctx, "the collector to show that it is open", func() (bool, error) {
		said = a.endpoint(a.t, a.ctx).Isolation
		return said.Observed != "isolated", nil
	})
	e := a.told(known, "record_lost")
	a.await(a.t, a.ctx, "the collector to isolate it again", func() (bool, error) {
		s, err := a.agent.Status(a.ctx)
		return err == nil && s.Isolation.Observed == "isolated", errors.Join(err, fmt.Errorf("%+v", s.Isolation))
	})
	open := time.Since(back)
	dry(a.t, "after everything was deleted", a.floods...)
	a.row("agent killed, record and marker deleted, rules flushed",
		fmt.Sprintf("open; the collector shows %s, and orders it again: isolated %s after the agent was back", said.Observed, open.Round(time.Second)), "everything, until then", 0, e.String())
}

// expire puts a certificate in the place of the agent's that is over. Both programs are
// stopped for it; the collector runs again.
func (a *attacked) expire() {
	a.t.Helper()
	must(a.t, a.agent.Proc.Stop())
	must(a.t, a.collector.Proc.Stop())
	certPEM, err := os.ReadFile(filepath.Join(a.collector.Dir, "pki", "ca.pem"))
	must(a.t, err)
	keyPEM, err := os.ReadFile(filepath.Join(a.collector.Dir, "pki", "ca-key.pem"))
	must(a.t, err)
	ca, err := pki.LoadCA(certPEM, keyPEM)
	must(a.t, err)
	path := filepath.Join(a.agent.Dir, "identity", "identity.json")
	b, err := os.ReadFile(path)
	must(a.t, err)
	var is map[string]any
	decode(a.t, b, &is)
	old, err := base64.StdEncoding.DecodeString(is["certificate"].(string))
	must(a.t, err)
	was, err := pki.ParseCertificate(old)
	must(a.t, err)
	// It ends as soon as the CA's own beginning allows.
	ends := time.Now().Add(time.Second)
	der, serial, err := ca.IssueAgent(a.id, was.PublicKey, ends.Add(-pki.AgentLife))
	must(a.t, err)
	is["certificate"] = base64.StdEncoding.EncodeToString(der)
	b, err = json.Marshal(is)
	must(a.t, err)
	must(a.t, os.WriteFile(path, b, 0o600))
	a.register(serial, der, ends)
	must(a.t, a.collector.Serve(a.ctx))
	<-time.After(time.Until(ends.Add(time.Second)))
}

// register makes the collector know a certificate of its CA.
func (a *attacked) register(serial string, der []byte, ends time.Time) {
	a.t.Helper()
	files, err := filepath.Glob(filepath.Join(a.collector.Dir, "*.db"))
	must(a.t, err)
	if len(files) != 1 {
		a.t.Fatalf("databases %v, want one", files)
	}
	db, err := sql.Open("sqlite", files[0])
	must(a.t, err)
	defer db.Close()
	r, err := db.ExecContext(a.ctx, `INSERT INTO enroll_certificate (serial, organisation_id, endpoint_id, key_sha256, der, not_before, not_after, issued_at, revoked_at)
		SELECT $1, organisation_id, endpoint_id, key_sha256, $2, not_before, $3, issued_at, '' FROM enroll_certificate WHERE endpoint_id = $4 LIMIT 1`,
		serial, base64.StdEncoding.EncodeToString(der), ends.UTC().Format("2006-01-02T15:04:05.000000000Z"), a.id)
	must(a.t, err)
	if n, err := r.RowsAffected(); n != 1 || err != nil {
		a.t.Fatalf("%d certificates put into the database: %v", n, err)
	}
}

// TestIsolationNameSpoofed has the agent find the collector by a name, and somebody make
// up where that is while the PC is isolated.
func TestIsolationNameSpoofed(t *testing.T) {
	need(t, "unshare")
	const name = "collector.hozen.test"
	dir := shortDir(t)
	hosts, wrapper := filepath.Join(dir, "hosts"), filepath.Join(dir, "agent")
	// The names of this machine, with one more, for the agent alone.
	script := fmt.Sprintf("#!/bin/sh\nexec unshare --mount --propagation private sh -c 'mount --bind %s /etc/hosts && exec \"$@\"' - %q \"$@\"\n", hosts, programs(t).Agent)
	must(t, os.WriteFile(wrapper, []byte(script), 0o700))
	points := func(to netip.Addr) {
		t.Helper()
		must(t, os.WriteFile(hosts, fmt.Appendf(nil, "127.0.0.1 localhost\n%s %s\n", to, name), 0o644))
	}
	p := programs(t)
	p.Agent = wrapper
	a := newAttacked(t, within(t, 3*patience), func(pc *rig.PracticePC) options {
		points(pc.Outside.V4)
		return options{programs: &p, collector: rig.CollectorConfig{Address: name + ":7443"}}
	})
	a.isolate()

	impostor, err := net.Listen("tcp", a.pc.Outside.At(6, 7443))
	must(t, err)
	defer impostor.Close()
	met := make(chan struct{}, 100)
	go func() {
		for {
			c, err := impostor.Accept()
			if err != nil {
				return
			}
			met <- struct{}{}
			c.Close()
		}
	}()
	mark := time.Now()
	points(a.pc.Outside.V6)
	// A process that has not asked before, so that it believes no older answer.
	a.agent.Proc.Kill()
	a.back()
	soak := os.Getenv("HOZEN_SOAK") != ""
	if soak {
		must(t, a.collector.Proc.Stop())
		must(t, a.collector.Serve(a.ctx))
		a.awaitConnected(t, a.ctx)
	}
	if len(met) > 0 {
		t.Errorf("the impostor was reached %d times through the rules", len(met))
	}
	if n, gap := a.passed(mark); gap > 0 {
		t.Errorf("passed meanwhile: %s in %s", n, gap)
	}
	a.row("the collector's name points to an impostor while isolated; the agent is killed", "found where it was met before", "nothing", 0, "nothing")
	if soak {
		// An order that comes while the name is made up counts the impostor's address among
		// the collector's: for sockets with the agent's mark.
		a.isolate()
		if err := dial(a.ctx, a.pc.PC, impostor.Addr().String(), 0); err == nil {
			t.Error("the impostor is reached by anybody")
		}
		marked := dial(a.ctx, a.pc.PC, impostor.Addr().String(), 0x687a6e)
		a.row("the same, and then another order", fmt.Sprintf("a socket with the agent's mark that dials the impostor gets %v", marked), "to the impostor, with the mark", 0, "nothing")
	}
	a.release()
	a.floods[0].flows(t, a.ctx)
}

// TestIsolationCollectorMoves gives the collector another address while the PC is
// isolated: an order that arrives at the old one names the new one.
func TestIsolationCollectorMoves(t *testing.T) {
	port := freePort(t)
	a := newAttacked(t, within(t, 3*patience), func(pc *rig.PracticePC) options {
		return options{collector: rig.CollectorConfig{Agents: pc.Outside.At(4, port)}}
	})
	a.isolate()
	mark := time.Now()
	old, next := a.pc.Outside.At(4, port), a.pc.Outside.At(6, port)
	move := func(listen string, addresses ...string) {
		t.Helper()
		must(t, a.collector.Proc.Stop())
		edit(t, a.collector, map[string]string{"addresses": `["` + strings.Join(addresses, `", "`) + `"]`, "agents": fmt.Sprintf("%q", listen)})
		must(t, a.collector.Serve(a.ctx))
		a.awaitConnected(t, a.ctx)
	}
	move(fmt.Sprintf(":%d", port), old, next) // at both, and it says so
	a.isolate()
	move(next, next)
	a.awaitState("isolated")
	if n, gap := a.passed(mark); gap > 0 {
		t.Errorf("passed meanwhile: %s in %s", n, gap)
	}
	a.release()
	a.floods[0].flows(t, a.ctx)
	a.clean(t, a.ctx)
}

// freePort returns a port at which nobody listens.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// edit changes settings of a collector that is stopped.
func edit(t *testing.T, c *rig.Collector, to map[string]string) {
	t.Helper()
	path := filepath.Join(c.Dir, "collector.toml")
	b, err := os.ReadFile(path)
	must(t, err)
	lines := strings.Split(string(b), "\n")
	for i, line := range lines {
		key, _, _ := strings.Cut(line, " = ")
		if v, ok := to[key]; ok {
			lines[i] = key + " = " + v
		}
	}
	must(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
}
