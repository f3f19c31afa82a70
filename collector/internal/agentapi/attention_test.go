package agentapi_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/internal/capability"
	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// greet is connect with a capability of one's choice.
func (a *agent) greet(t testing.TB, n capability.Number) control {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s, err := a.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	h := hello()
	h.GetHello().Capability = uint32(n)
	if err := s.Send(h); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Recv(); err != nil || m.GetWelcome() == nil {
		t.Fatalf("%v %v", m, err)
	}
	return s
}

func TestAttentionIsSaidAfterWelcomeAndAtEachChange(t *testing.T) {
	r := newRig(t, nil)
	a := r.dial(t, time.Now())
	s := a.greet(t, capability.Preserve)
	next := func() *agentv1.ConnectResponse {
		t.Helper()
		m, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := next(); m.GetAttention() == nil || m.GetAttention().GetIncidentOpen() {
		t.Fatalf("%v", m)
	}
	r.mu.Lock()
	r.attention = act.Attention{Open: true, Number: "INC-2026-0007"}
	off := dispatch.Command{ID: id.New(id.Command), EndpointID: a.endpointID, Counter: 1, Verb: dispatch.Preserve, Then: dispatch.ThenReboot, Reason: "r", IssuedAt: time.Now(), Status: dispatch.Queued}
	r.commands = append(r.commands, off)
	r.mu.Unlock()
	r.wakeUp(a.endpointID)
	// The incident comes before the order: it decides how long the PC may wait to go down.
	if m := next(); !m.GetAttention().GetIncidentOpen() || m.GetAttention().GetIncidentNumber() != "INC-2026-0007" {
		t.Fatalf("%v", m)
	}
	if m := next(); m.GetCommand().GetPreserve().GetThen() != agentv1.PreserveThen_PRESERVE_THEN_REBOOT {
		t.Fatalf("%v", m)
	}
	// The same again is not said again: after the next command comes what is asked for.
	r.mu.Lock()
	r.commands = append(r.commands, dispatch.Command{ID: id.New(id.Command), EndpointID: a.endpointID, Counter: 2, Verb: dispatch.Preserve, Then: dispatch.ThenNothing, IssuedAt: time.Now(), Status: dispatch.Queued})
	r.mu.Unlock()
	r.wakeUp(a.endpointID)
	if m := next(); m.GetCommand().GetPreserve().GetThen() != agentv1.PreserveThen_PRESERVE_THEN_NOTHING {
		t.Fatalf("%v", m)
	}
	if err := s.Send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Heartbeat{Heartbeat: &agentv1.Heartbeat{Sequence: 9, SentAt: timestamppb.Now()}}}); err != nil {
		t.Fatal(err)
	}
	if m := next(); m.GetHeartbeat() == nil {
		t.Fatalf("%v", m)
	}
}

func TestOldAgentsAreNotToldOfIncidents(t *testing.T) {
	r := newRig(t, nil)
	a := r.dial(t, time.Now())
	r.mu.Lock()
	r.attention = act.Attention{Open: true, Number: "INC-2026-0007"}
	r.commands = []dispatch.Command{{ID: id.New(id.Command), EndpointID: a.endpointID, Counter: 1, Verb: dispatch.Release, IssuedAt: time.Now(), Status: dispatch.Queued}}
	r.mu.Unlock()
	s := a.greet(t, capability.Preserve-1)
	if m, err := s.Recv(); err != nil || m.GetCommand() == nil {
		t.Fatalf("%v %v", m, err)
	}
}

func TestAStreamEndsWhenOpenIncidentsCannotBeRead(t *testing.T) {
	r := newRig(t, nil)
	a := r.dial(t, time.Now())
	s := a.greet(t, capability.Preserve)
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.fail = context.DeadlineExceeded
	r.mu.Unlock()
	r.wakeUp(a.endpointID)
	wantCode(t, "attention", ends(t, s), codes.DeadlineExceeded)
}
