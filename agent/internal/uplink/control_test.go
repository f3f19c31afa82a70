package uplink_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/agent/internal/identity"
	"hozen/agent/internal/uplink"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/id"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
)

func TestCommandIsDoneOnceAndItsResultArrives(t *testing.T) {
	c := newCollector(t)
	c.deaf = true
	p := newPC(t, c, time.Now()).start(t, nil)
	o := command(1)
	c.order(o)
	await(t, "result", func() bool { return c.count(func() int { return len(c.results) }) > 0 })
	// The collector did not hear the result; at each connection it asks again.
	for n := range 3 {
		c.cut()
		await(t, "result again", func() bool { return c.count(func() int { return len(c.results) }) > n+1 })
	}
	if calls := p.handler.done(); len(calls) != 1 || calls[0].Issuer != "山田" || calls[0].Verb != journal.Isolate {
		t.Fatalf("carried out %d times: %+v", len(calls), calls)
	}
	r := c.told()[0]
	if r.GetCommandId() != o.GetCommandId() || r.GetStatus() != agentv1.CommandStatus_COMMAND_STATUS_DONE || r.GetIsolation().GetObserved() != agentv1.IsolationState_ISOLATION_STATE_ISOLATED {
		t.Fatalf("%v", r)
	}
	c.mu.Lock()
	c.deaf = false
	c.mu.Unlock()
	c.cut()
	await(t, "confirmation", func() bool { return len(p.journal.Unconfirmed()) == 0 })
	if p.Status().Problem != "" && p.Status().Connected {
		t.Errorf("%+v", p.Status())
	}
}

func TestCommandSurvivesARestart(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	p.handler.block = make(chan struct{})
	p.start(t, nil)
	o := acquireOrder(1)
	c.order(o)
	await(t, "acknowledgement", func() bool { return c.count(func() int { return len(c.acks) }) >= 1 })
	want := p.journal.Unfinished()[0].Command.AcquisitionID
	p.stop() // in the middle of it
	p.handler.block = nil
	p.start(t, nil)
	await(t, "result", func() bool { return c.count(func() int { return len(c.results) }) > 0 })
	calls := p.handler.done()
	if len(calls) != 1 || calls[0].AcquisitionID != want || c.told()[0].GetAcquisitionId() != want {
		t.Fatalf("%+v, want acquisition %s", calls, want)
	}
}

// TestReleaseThatCameTooLateOpensNothing: a power cut took the release, the isolation that
// was ordered after it is in force when the collector sends it again.
func TestReleaseThatCameTooLateOpensNothing(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	path := filepath.Join(p.dir, "journal")
	j, err := journal.Open(journal.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	release := command(1)
	release.Verb = &agentv1.Command_Release{Release: &agentv1.Release{}}
	for _, o := range []journal.Command{{ID: release.GetCommandId(), Counter: 1, Verb: journal.Release}, {ID: id.New(id.Command), Counter: 2, Verb: journal.Isolate}} {
		if _, _, err := j.Accept(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(b, []byte{'\n'})
	clear(lines[1][:len(lines[1])-1])
	if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start(t, nil)
	await(t, "isolation", func() bool { return len(c.told()) == 1 })
	c.order(release)
	await(t, "answer", func() bool { return len(c.told()) == 2 })
	if r := c.told()[1]; r.GetCommandId() != release.GetCommandId() || r.GetStatus() != agentv1.CommandStatus_COMMAND_STATUS_EXPIRED || !strings.Contains(r.GetDetail(), "later order") {
		t.Errorf("%v", r)
	}
	if calls := p.handler.done(); len(calls) != 1 || calls[0].Verb != journal.Isolate {
		t.Errorf("did %+v", calls)
	}
}

func TestIsolationDoesNotWaitForAnAcquisition(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	p.handler.block = make(chan struct{})
	defer close(p.handler.block)
	p.start(t, nil)
	c.connected(t)
	c.order(acquireOrder(1))
	c.order(command(2))
	await(t, "isolation", func() bool { return c.count(func() int { return len(c.results) }) == 1 })
	if calls := p.handler.done(); len(calls) != 1 || calls[0].Verb != journal.Isolate {
		t.Fatalf("%+v", calls)
	}
}

func TestCommandsThatAreNotCarriedOut(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now()).start(t, nil)
	first := command(5)
	late := command(6)
	late.ExpiresAt = timestamppb.New(time.Now().Add(-time.Hour))
	newer := command(7)
	newer.Verb = nil
	mode := command(8)
	mode.GetIsolate().Mode = 77
	passed := command(5)
	want := map[string]agentv1.CommandStatus{
		first.GetCommandId():  agentv1.CommandStatus_COMMAND_STATUS_DONE,
		late.GetCommandId():   agentv1.CommandStatus_COMMAND_STATUS_EXPIRED,
		newer.GetCommandId():  agentv1.CommandStatus_COMMAND_STATUS_UNSUPPORTED,
		mode.GetCommandId():   agentv1.CommandStatus_COMMAND_STATUS_UNSUPPORTED,
		passed.GetCommandId(): agentv1.CommandStatus_COMMAND_STATUS_REFUSED,
	}
	for _, o := range []*agentv1.Command{first, late, newer, mode, passed} {
		c.order(o)
	}
	await(t, "results", func() bool { return c.count(func() int { return len(c.results) }) >= len(want) })
	for _, r := range c.told() {
		if r.GetStatus() != want[r.GetCommandId()] {
			t.Errorf("%v, want %s", r, want[r.GetCommandId()])
		}
		if r.GetStatus() != agentv1.CommandStatus_COMMAND_STATUS_DONE && r.GetDetail() == "" {
			t.Errorf("%s without a reason", r.GetStatus())
		}
	}
	if calls := p.handler.done(); len(calls) != 1 {
		t.Fatalf("%+v", calls)
	}
}

// TestHostileCollector: a message that breaks a rule ends the session, nothing of it
// is carried out, and the agent comes back.
func TestHostileCollector(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now()).start(t, nil)
	bad := func(change func(*agentv1.Command)) *agentv1.ConnectResponse {
		m := command(1)
		change(m)
		return &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: m}}
	}
	for n, m := range []*agentv1.ConnectResponse{
		bad(func(m *agentv1.Command) { m.CommandId = "../../x" }),
		bad(func(m *agentv1.Command) { m.Counter = 0 }),
		bad(func(m *agentv1.Command) { m.Reason = strings.Repeat("x", 1025) }),
		bad(func(m *agentv1.Command) { m.Issuer = "a\x00" }),
		bad(func(m *agentv1.Command) { m.IssuedAt = nil }),
		bad(func(m *agentv1.Command) {
			m.Verb = &agentv1.Command_Acquire{Acquire: &agentv1.Acquire{Profile: "$(x)"}}
		}),
		{Body: &agentv1.ConnectResponse_AlertReceived{AlertReceived: &agentv1.AlertReceived{}}},
		{Body: &agentv1.ConnectResponse_ResultReceived{ResultReceived: &agentv1.ResultReceived{CommandId: "x"}}},
		{Body: &agentv1.ConnectResponse_Welcome{Welcome: &agentv1.Welcome{HeartbeatSeconds: 1 << 30, Capability: 1}}},
	} {
		await(t, "connection", func() bool { return c.count(func() int { return c.hellos }) == n+1 })
		c.push <- m
	}
	await(t, "connection at last", func() bool { return c.count(func() int { return c.hellos }) == 10 })
	c.push <- &agentv1.ConnectResponse{} // of a newer collector: passed over
	c.order(command(1))
	await(t, "result", func() bool { return c.count(func() int { return len(c.results) }) == 1 })
	if n := c.count(func() int { return c.hellos }); n != 10 || len(p.handler.done()) != 1 {
		t.Fatalf("%d connections, %d commands", n, len(p.handler.done()))
	}
}

func TestAlertIsSentUntilItIsReceived(t *testing.T) {
	c := newCollector(t)
	c.deaf = true
	p := newPC(t, c, time.Now()).start(t, nil)
	a := journal.Alert{ID: id.New(id.Alert), Message: "変なメッセージ\x00", Reporter: "花子\n", ReportedAt: time.Now()}
	if err := p.Alert(a); err != nil {
		t.Fatal(err)
	}
	await(t, "alert", func() bool { return c.count(func() int { return len(c.alerts) }) == 1 })
	c.mu.Lock()
	got := c.alerts[0]
	c.mu.Unlock()
	if got.GetMessage() != "変なメッセージ " || got.GetReporter() != "花子 " {
		t.Fatalf("%q %q", got.GetMessage(), got.GetReporter())
	}
	p.stop()
	c.mu.Lock()
	c.deaf = false
	c.mu.Unlock()
	p.start(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := p.AwaitAlert(ctx, a.ID)
	if err != nil || r.IncidentNumber != "INC-2026-0001" {
		t.Fatal(r, err)
	}
	if _, err := p.AwaitAlert(ctx, id.New(id.Alert)); err == nil {
		t.Fatal("waits for an alert that nobody made")
	}
}

func TestUnconfirmedIsSentAgainOnALivingStream(t *testing.T) {
	c := newCollector(t)
	c.deaf, c.heartbeat = true, 1
	newPC(t, c, time.Now()).start(t, func(cfg *uplink.Config) { cfg.ResendAfter = time.Millisecond })
	c.order(command(1))
	await(t, "result again", func() bool { return c.count(func() int { return len(c.results) }) >= 2 })
	if n := c.count(func() int { return c.hellos }); n != 1 {
		t.Fatalf("%d connections", n)
	}
}

func TestDeadPeerIsNoticed(t *testing.T) {
	c := newCollector(t)
	c.mute, c.heartbeat = true, 1
	p := newPC(t, c, time.Now()).start(t, func(cfg *uplink.Config) { cfg.AnswerTime = 200 * time.Millisecond })
	await(t, "second connection", func() bool { return c.count(func() int { return c.hellos }) >= 2 })
	if !strings.Contains(p.Status().Problem, "does not answer") && !p.Status().Connected {
		t.Errorf("%+v", p.Status())
	}
}

func TestComesBackAfterTheCollectorRestarts(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now()).start(t, nil)
	await(t, "connection", func() bool { return p.Status().Connected })
	c.server.Stop()
	await(t, "disconnection", func() bool { return !p.Status().Connected })
	if p.Status().Problem == "" {
		t.Error("no reason told")
	}
	c.listen(t, c.addr)
	await(t, "connection again", func() bool { return p.Status().Connected })
	if s := p.Status(); s.Problem != "" || s.Address != c.addr {
		t.Errorf("%+v", s)
	}
}

func TestTriesEachAddress(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now()).start(t, func(cfg *uplink.Config) { cfg.Collectors = []string{"127.0.0.1:1", "localhost:1", c.addr} })
	await(t, "connection", func() bool { return p.Status().Connected })
	pins, err := p.Pins(context.Background())
	if err != nil || len(pins) < 2 || pins[0].String() != c.addr {
		t.Fatalf("%v, want %s first: %v", pins, c.addr, err)
	}
	if err := p.WayHome(context.Background()); err != nil {
		t.Error(err)
	}
	c.server.Stop()
	if err := p.WayHome(context.Background()); err == nil {
		t.Error("way home without a collector")
	}
}

// Somebody who takes connections and says nothing does not hide the collector.
func TestSilentAddressDoesNotHideTheWayHome(t *testing.T) {
	c := newCollector(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	p := newPC(t, c, time.Now()).start(t, func(cfg *uplink.Config) { cfg.Collectors = []string{silent.Addr().String(), c.addr} })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := p.WayHome(ctx); err != nil {
		t.Error(err)
	}
}

func TestForeignCollectorIsNotHome(t *testing.T) {
	c, foreign := newCollector(t), newCollector(t)
	p := newPC(t, c, time.Now()).start(t, func(cfg *uplink.Config) { cfg.Collectors = []string{foreign.addr} })
	await(t, "refusal", func() bool { return strings.Contains(p.Status().Problem, "verify certificate") })
	if err := p.WayHome(context.Background()); err == nil {
		t.Error("a foreign collector counts as the way home")
	}
	if foreign.count(func() int { return foreign.hellos }) != 0 {
		t.Error("it said hello to a foreign collector")
	}
}

func TestRevokedAgentSaysSo(t *testing.T) {
	c := newCollector(t)
	c.revoke = true
	p := newPC(t, c, time.Now()).start(t, nil)
	await(t, "revocation", func() bool { return p.Status().Problem == uplink.ErrRevoked.Error() })
}

func TestCertificateIsRenewed(t *testing.T) {
	for name, age := range map[string]time.Duration{
		"after a third of its life": pki.AgentLife/3 + time.Hour,
		"after its end":             pki.AgentLife + 24*time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t)
			p := newPC(t, c, time.Now().Add(-age))
			before, err := p.identity.Enrolment()
			if err != nil {
				t.Fatal(err)
			}
			p.start(t, nil)
			await(t, "connection with a new certificate", func() bool {
				return c.count(func() int {
					e, err := p.identity.Enrolment()
					if err != nil || string(e.Certificate) == string(before.Certificate) || len(c.serials) == 0 {
						return 0
					}
					cert, err := pki.ParseCertificate(e.Certificate)
					if err == nil && c.serials[len(c.serials)-1] == pki.Serial(cert) {
						return 1
					}
					return 0
				}) == 1
			})
			after, err := p.identity.Enrolment()
			if err != nil || after.EndpointID != before.EndpointID || string(after.CA) != string(before.CA) {
				t.Fatal(after, err)
			}
		})
	}
}

// A certificate that is over by the PC's clock alone keeps nobody away: the clock may
// have been set, and the collector says so by refusing to renew.
func TestClockThatIsAhead(t *testing.T) {
	c := newCollector(t)
	c.behind = true
	p := newPC(t, c, time.Now().Add(-pki.AgentLife-24*time.Hour)).start(t, nil)
	await(t, "connection with the certificate that is there", func() bool { return p.Status().Connected })
}

func TestEnrolledAnewWhileConnected(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now()).start(t, nil)
	await(t, "connection", func() bool { return p.Status().Connected })
	p.Wake() // changes nothing by itself
	e, err := p.identity.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	key, err := p.identity.Key()
	if err != nil {
		t.Fatal(err)
	}
	der, serial, err := c.ca.IssueAgent(e.EndpointID, key.Public(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	e.Certificate = der
	if err := p.identity.SaveEnrolment(e); err != nil {
		t.Fatal(err)
	}
	p.Wake()
	await(t, "connection with the new certificate", func() bool {
		return c.count(func() int { return len(c.serials) }) == 2 && c.serials[1] == serial
	})
}

func TestNotEnrolledWaits(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	if err := p.identity.Forget(); err != nil {
		t.Fatal(err)
	}
	p.start(t, nil)
	await(t, "reason", func() bool { return strings.Contains(p.Status().Problem, identity.ErrNotEnrolled.Error()) })
}

func TestProgress(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now()).start(t, nil)
	await(t, "connection", func() bool { return p.Status().Connected })
	p.Progress(uplink.Progress{AcquisitionID: id.New(id.Acquisition), Kind: "process", Done: 1, Total: 3})
	p.Progress(uplink.Progress{AcquisitionID: "damaged", Done: 9, Total: 3}) // never costs the connection
	await(t, "progress", func() bool { return c.count(func() int { return c.progress }) == 1 })
	p.IsolationChanged()
	c.order(command(1))
	await(t, "result", func() bool { return c.count(func() int { return len(c.results) }) == 1 })
	if n := c.count(func() int { return c.hellos }); n != 1 {
		t.Fatalf("%d connections", n)
	}
}
