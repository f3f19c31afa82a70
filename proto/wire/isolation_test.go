package wire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

func isolateOrder() *agentv1.Isolate {
	return &agentv1.Isolate{
		Mode: agentv1.IsolationMode_ISOLATION_MODE_SELECTIVE, Until: timestamppb.Now(), ConfirmWithin: durationpb.New(time.Minute), Lease: durationpb.New(time.Hour),
		Permits: []*agentv1.IsolationPermit{
			{Network: "192.0.2.7/32", Protocol: agentv1.IsolationProtocol_ISOLATION_PROTOCOL_TCP, FirstPort: 1, LastPort: 2, Reason: "更新", Host: "update.example"},
			{Network: "2001:db8::/64", Protocol: agentv1.IsolationProtocol_ISOLATION_PROTOCOL_UDP, FirstPort: 1, LastPort: 2, ExpiresAt: timestamppb.Now()},
		},
		Collectors:  []string{"192.0.2.7:8443", "[2001:db8::7]:8443"},
		ReleaseCode: &agentv1.ReleaseCode{Number: "123456789012", Hash: make([]byte, 32), Salt: make([]byte, 16), Iterations: wire.MinIterations},
		Notice:      &agentv1.Notice{Text: "隔離中です。\n触らないでください。", Phone: "03-1234-5678"},
	}
}

func TestOrdersToIsolateThatBreakRules(t *testing.T) {
	check := func(m *agentv1.Isolate) error {
		return wire.ConnectResponse(&agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: &agentv1.Command{
			CommandId: id.New(id.Command), Counter: 1, IssuedAt: timestamppb.Now(), Verb: &agentv1.Command_Isolate{Isolate: m},
		}}})
	}
	for _, good := range []*agentv1.Isolate{isolateOrder(), {}, nil} {
		if err := check(good); err != nil {
			t.Fatal(err)
		}
	}
	const f = "command.isolate"
	for field, change := range map[string]func(*agentv1.Isolate){
		f + ".permits": func(m *agentv1.Isolate) {
			m.Permits = make([]*agentv1.IsolationPermit, wire.MaxPermits+1)
		},
		f + ".permits[1].network":      func(m *agentv1.Isolate) { m.Permits[1].Network = "" },
		f + ".permits[0].network":      func(m *agentv1.Isolate) { m.Permits[0].Network = "192.0.2.7/32\n" },
		f + ".permits[0].reason":       func(m *agentv1.Isolate) { m.Permits[0].Reason = "a\nb" },
		f + ".permits[0].expires_at":   func(m *agentv1.Isolate) { m.Permits[0].ExpiresAt = &timestamppb.Timestamp{Nanos: -1} },
		f + ".permits[0].host":         func(m *agentv1.Isolate) { m.Permits[0].Host = "update.example/x" },
		f + ".collectors":              func(m *agentv1.Isolate) { m.Collectors = make([]string, wire.MaxCollectors+1) },
		f + ".collectors[1]":           func(m *agentv1.Isolate) { m.Collectors[1] = strings.Repeat("1", wire.MaxAddress+1) },
		f + ".until":                   func(m *agentv1.Isolate) { m.Until = &timestamppb.Timestamp{Nanos: -1} },
		f + ".confirm_within":          func(m *agentv1.Isolate) { m.ConfirmWithin = durationpb.New(0) },
		f + ".lasts":                   func(m *agentv1.Isolate) { m.Lasts = durationpb.New(0) },
		f + ".permits[1].lasts":        func(m *agentv1.Isolate) { m.Permits[1].Lasts = durationpb.New(-1) },
		f + ".lease":                   func(m *agentv1.Isolate) { m.Lease = durationpb.New(-1) },
		f + ".release_code.number":     func(m *agentv1.Isolate) { m.ReleaseCode.Number = "1" },
		f + ".release_code.hash":       func(m *agentv1.Isolate) { m.ReleaseCode.Hash = make([]byte, 31) },
		f + ".release_code.salt":       func(m *agentv1.Isolate) { m.ReleaseCode.Salt = nil },
		f + ".notice.text":             func(m *agentv1.Isolate) { m.Notice.Text = strings.Repeat("x", wire.MaxNotice+1) },
		f + ".notice.phone":            func(m *agentv1.Isolate) { m.Notice.Phone = "03\n" },
		f + ".release_code.iterations": func(m *agentv1.Isolate) { m.ReleaseCode.Iterations = wire.MaxIterations + 1 },
	} {
		m := isolateOrder()
		change(m)
		var fe *wire.FieldError
		if err := check(m); !errors.As(err, &fe) || fe.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestIsolationEventsThatBreakRules(t *testing.T) {
	good := func() *agentv1.IsolationEvent {
		return &agentv1.IsolationEvent{
			EventId: id.New(id.IsolationEvent), Kind: agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_DRIFT, At: timestamppb.Now(), CommandId: id.New(id.Command),
			Differences: []string{"a rule is missing"}, Seen: []string{"nft[1234]"}, By: "root", Detail: "二行\nでも可", Count: 1,
			Isolation: &agentv1.IsolationStatus{
				Held: "here", Limits: []string{"no egress hook"}, Trials: []*agentv1.IsolationTrial{{Name: "tcp4", Target: "192.0.2.1:53", At: timestamppb.Now()}},
				Confirmation: &agentv1.IsolationConfirmation{By: timestamppb.Now()}, Severed: &agentv1.IsolationSevered{At: timestamppb.Now()},
				Tunnels: []*agentv1.IsolationTunnel{{Address: "192.0.2.9", Protocol: 17, Port: 51820, Link: "wg0", Why: "WireGuard device wg0", Since: timestamppb.Now()}},
			},
		}
	}
	check := func(m *agentv1.IsolationEvent) error {
		return wire.ConnectRequest(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_IsolationEvent{IsolationEvent: m}})
	}
	if err := check(good()); err != nil {
		t.Fatal(err)
	}
	const f = "isolation_event"
	for field, change := range map[string]func(*agentv1.IsolationEvent){
		f + ".event_id":       func(m *agentv1.IsolationEvent) { m.EventId = id.New(id.Alert) },
		f + ".kind":           func(m *agentv1.IsolationEvent) { m.Kind = 99 },
		f + ".at":             func(m *agentv1.IsolationEvent) { m.At = nil },
		f + ".count":          func(m *agentv1.IsolationEvent) { m.Count = 0 },
		f + ".command_id":     func(m *agentv1.IsolationEvent) { m.CommandId = "cmd_1" },
		f + ".differences":    func(m *agentv1.IsolationEvent) { m.Differences = make([]string, wire.MaxSeen+1) },
		f + ".seen[0]":        func(m *agentv1.IsolationEvent) { m.Seen[0] = "\x1b[2J" },
		f + ".by":             func(m *agentv1.IsolationEvent) { m.By = strings.Repeat("x", wire.MaxName+1) },
		f + ".isolation.held": func(m *agentv1.IsolationEvent) { m.Isolation.Held = "who knows" },
		f + ".isolation.trials": func(m *agentv1.IsolationEvent) {
			m.Isolation.Trials = make([]*agentv1.IsolationTrial, wire.MaxTrials+1)
		},
		f + ".isolation.trials[0].name":  func(m *agentv1.IsolationEvent) { m.Isolation.Trials[0].Name = "" },
		f + ".isolation.limits[0]":       func(m *agentv1.IsolationEvent) { m.Isolation.Limits[0] = strings.Repeat("x", wire.MaxSeenLine+1) },
		f + ".isolation.confirmation.by": func(m *agentv1.IsolationEvent) { m.Isolation.Confirmation.By.Nanos = -1 },
		f + ".isolation.tunnels": func(m *agentv1.IsolationEvent) {
			m.Isolation.Tunnels = make([]*agentv1.IsolationTunnel, wire.MaxTunnels+1)
		},
		f + ".isolation.tunnels[0]":         func(m *agentv1.IsolationEvent) { m.Isolation.Tunnels[0].Port = 1 << 16 },
		f + ".isolation.tunnels[0].address": func(m *agentv1.IsolationEvent) { m.Isolation.Tunnels[0].Address = "" },
		f + ".isolation.tunnels[0].link":    func(m *agentv1.IsolationEvent) { m.Isolation.Tunnels[0].Link = "a\nb" },
		f + ".isolation.tunnels[0].why":     func(m *agentv1.IsolationEvent) { m.Isolation.Tunnels[0].Why = strings.Repeat("x", wire.MaxWhy+1) },
		f + ".isolation.severed.at":         func(m *agentv1.IsolationEvent) { m.Isolation.Severed.At.Nanos = -1 },
	} {
		m := good()
		change(m)
		var fe *wire.FieldError
		if err := check(m); !errors.As(err, &fe) || fe.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := wire.ConnectResponse(&agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_IsolationEventReceived{IsolationEventReceived: &agentv1.IsolationEventReceived{EventId: "x"}}}); err == nil {
		t.Error("a confirmation of nothing was let pass")
	}
}
