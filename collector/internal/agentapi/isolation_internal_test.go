package agentapi

import (
	"net/netip"
	"testing"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// Everything that an order says arrives, within what the wire allows, and by the clock of
// the PC that it is for.
func TestOrderToIsolateArrives(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	c := dispatch.Command{ID: id.New(id.Command), Counter: 1, Verb: dispatch.Isolate, IsolateFirst: true, IssuedAt: now, Isolation: dispatch.Isolation{
		Mode: dispatch.Selective, Until: now.Add(time.Hour), ConfirmWithin: time.Minute, Fallback: dispatch.RollBack, Lease: 24 * time.Hour, Drill: true,
		Notice: dispatch.Notice{Text: "電源を切らないでください", Phone: "03-0000-0000"},
		Code:   &dispatch.ReleaseCode{Number: "123456789012", Hash: make([]byte, 32), Salt: make([]byte, 16), Iterations: 10_000},
		Permits: []dispatch.Permit{
			{Network: netip.MustParsePrefix("192.0.2.0/24"), Protocol: "udp", First: 53, Last: 54, Reason: "DNS", Host: "dns.example", ExpiresAt: now.Add(time.Minute)},
		},
	}}
	m := toCommand(c, -time.Minute, now.Add(time.Second))
	if err := wire.ConnectResponse(&agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: m}}); err != nil {
		t.Fatal(err)
	}
	i := m.GetIsolate()
	p := i.GetPermits()[0]
	if i.GetMode() != agentv1.IsolationMode_ISOLATION_MODE_SELECTIVE || !i.GetIsolateFirst() || !i.GetDrill() || i.GetReleaseCode().GetNumber() != "123456789012" ||
		i.GetConfirmWithin().AsDuration() != time.Minute || i.GetFallback() != agentv1.IsolationFallback_ISOLATION_FALLBACK_ROLL_BACK ||
		i.GetLease().AsDuration() != 24*time.Hour || i.GetNotice().GetPhone() != "03-0000-0000" ||
		p.GetNetwork() != "192.0.2.0/24" || p.GetProtocol() != agentv1.IsolationProtocol_ISOLATION_PROTOCOL_UDP || p.GetFirstPort() != 53 || p.GetLastPort() != 54 {
		t.Errorf("%v", i)
	}
	if got := i.GetUntil().AsTime(); !got.Equal(now.Add(time.Hour - time.Minute)) {
		t.Errorf("until %v", got)
	}
	if got := p.GetExpiresAt().AsTime(); !got.Equal(now) {
		t.Errorf("permit until %v", got)
	}
	if i.GetLasts().AsDuration() != time.Hour-time.Second || p.GetLasts().AsDuration() != time.Minute-time.Second {
		t.Errorf("%v and %v are left", i.GetLasts(), p.GetLasts())
	}
	// An order that waited for the PC until it was over still says so.
	if over := toIsolate(c, 0, now.Add(2*time.Hour)); over.GetLasts().AsDuration() != 1 {
		t.Errorf("%v is left of what is over", over.GetLasts())
	}
	if m := toIsolate(dispatch.Command{}, time.Hour, now); m.GetUntil() != nil || m.GetLasts() != nil || m.GetConfirmWithin() != nil || m.GetNotice() != nil || m.GetReleaseCode() != nil {
		t.Errorf("a plain order says %v", m)
	}
}

// The clock is read anew with each heartbeat, and only a jump is news.
func TestClockIsReadFromHeartbeats(t *testing.T) {
	at := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	c := &control{}
	c.offset.Store(int64(9 * time.Hour))
	beat := func(ahead time.Duration) bool {
		return c.readClock(received{at: at, m: &agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Heartbeat{Heartbeat: &agentv1.Heartbeat{SentAt: wire.Timestamp(at.Add(ahead))}}}})
	}
	if beat(9*time.Hour + time.Second) {
		t.Error("a second is a jump")
	}
	if !beat(-time.Second) || time.Duration(c.offset.Load()) != -time.Second {
		t.Errorf("put right by 9 h: %v", time.Duration(c.offset.Load()))
	}
	if c.readClock(received{at: at, m: &agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Alert{}}}) || time.Duration(c.offset.Load()) != -time.Second {
		t.Error("an alert has a clock")
	}
}
