package wire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

func TestCommandsThatBreakRules(t *testing.T) {
	good := func() *agentv1.Command {
		return &agentv1.Command{
			CommandId: id.New(id.Command), Counter: 1, IssuedAt: timestamppb.Now(), Issuer: "山田", Reason: "二行\nでも可",
			Verb: &agentv1.Command_Acquire{Acquire: &agentv1.Acquire{Profile: "flash"}},
		}
	}
	check := func(m *agentv1.Command) error {
		return wire.ConnectResponse(&agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: m}})
	}
	if err := check(good()); err != nil {
		t.Fatal(err)
	}
	newer := good()
	newer.Verb = nil
	if err := check(newer); err != nil {
		t.Fatal("a verb of a newer collector must reach the agent, which answers it:", err)
	}
	for field, change := range map[string]func(*agentv1.Command){
		"command.command_id":      func(m *agentv1.Command) { m.CommandId = "" },
		"command.counter":         func(m *agentv1.Command) { m.Counter = 0 },
		"command.issuer":          func(m *agentv1.Command) { m.Issuer = "a\nb" },
		"command.reason":          func(m *agentv1.Command) { m.Reason = strings.Repeat("x", wire.MaxReason+1) },
		"command.incident_id":     func(m *agentv1.Command) { m.IncidentId = "INC-2026-0001" },
		"command.issued_at":       func(m *agentv1.Command) { m.IssuedAt = nil },
		"command.expires_at":      func(m *agentv1.Command) { m.ExpiresAt = &timestamppb.Timestamp{Nanos: -1} },
		"command.acquire.profile": func(m *agentv1.Command) { m.GetAcquire().Profile = "flash; rm -rf /" },
	} {
		m := good()
		change(m)
		var fe *wire.FieldError
		if err := check(m); !errors.As(err, &fe) || fe.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := wire.ConnectResponse(&agentv1.ConnectResponse{}); !errors.Is(err, wire.ErrUnknownBody) {
		t.Error(err)
	}
}

func TestNoPCIsSwitchedOffWithoutAReason(t *testing.T) {
	check := func(then agentv1.PreserveThen, reason string) error {
		return wire.ConnectResponse(&agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: &agentv1.Command{
			CommandId: id.New(id.Command), Counter: 1, IssuedAt: timestamppb.Now(), Reason: reason,
			Verb: &agentv1.Command_Preserve{Preserve: &agentv1.Preserve{Then: then}},
		}}})
	}
	for then, needed := range map[agentv1.PreserveThen]bool{
		agentv1.PreserveThen_PRESERVE_THEN_UNSPECIFIED: false, agentv1.PreserveThen_PRESERVE_THEN_NOTHING: false,
		agentv1.PreserveThen_PRESERVE_THEN_POWER_OFF: true, agentv1.PreserveThen_PRESERVE_THEN_REBOOT: true,
		99: true, -1: true, // words of a newer collector
	} {
		if err := check(then, "感染を確認"); err != nil {
			t.Errorf("%v with a reason: %v", then, err)
		}
		var fe *wire.FieldError
		if err := check(then, ""); needed != (errors.As(err, &fe) && fe.Field == "command.reason") {
			t.Errorf("%v without a reason: %v", then, err)
		}
	}
	if err := wire.ConnectResponse(&agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: &agentv1.Command{
		CommandId: id.New(id.Command), Counter: 1, IssuedAt: timestamppb.Now(), Verb: &agentv1.Command_Preserve{},
	}}}); err != nil {
		t.Errorf("an order that says nothing of what comes after: %v", err)
	}
}

func TestAttention(t *testing.T) {
	for _, c := range []struct {
		open   bool
		number string
		good   bool
	}{
		{false, "", true}, {true, "", true}, {true, "INC-2026-0007", true},
		{false, "INC-2026-0007", false}, {true, "INC\n2026", false}, {true, strings.Repeat("x", 65), false}, {true, "番号", false},
	} {
		err := wire.ConnectResponse(&agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Attention{Attention: &agentv1.Attention{IncidentOpen: c.open, IncidentNumber: c.number}}})
		if (err == nil) != c.good {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := wire.ConnectResponse(&agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Attention{}}); err != nil {
		t.Error(err)
	}
}

func TestPartNames(t *testing.T) {
	for _, good := range []string{"artifacts/process.jsonl.zst", "artifacts/a"} {
		if err := wire.PartName("f", good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "artifacts/", "artifacts/..", "artifacts/a/b", "/artifacts/a", "artifacts/A", "artifacts\\a", "artifacts/a\x00", "artifacts/" + strings.Repeat("a", 65)} {
		if wire.PartName("f", bad) == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestTimeRoundTrip(t *testing.T) {
	if !wire.Time(wire.Timestamp(time.Time{})).IsZero() {
		t.Error("the zero time became a moment")
	}
	at := time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC)
	if !wire.Time(wire.Timestamp(at)).Equal(at) {
		t.Error("nanoseconds lost")
	}
}

// FuzzClean: whatever a PC calls itself is made to pass the rule.
func FuzzClean(f *testing.F) {
	f.Add("端末\x00\x1b[31m\xff", 7)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = min(max(limit, 0), 4096)
		for _, c := range []string{wire.Line(s, limit), wire.Text(s, limit)} {
			if len(c) > limit {
				t.Fatalf("%d bytes, limit %d", len(c), limit)
			}
		}
		h := &agentv1.Hello{
			Capability: 1, AgentTime: timestamppb.Now(), Isolation: &agentv1.IsolationStatus{Detail: wire.Text(s, wire.MaxDetail)},
			Host: &agentv1.HostDescription{Hostname: wire.Line(s, wire.MaxHostname), Os: "linux", Arch: "amd64"},
		}
		if err := wire.ConnectRequest(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Hello{Hello: h}}); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzMessages: no bytes of the other side make a check panic.
func FuzzMessages(f *testing.F) {
	b, err := proto.Marshal(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Hello{Hello: &agentv1.Hello{Capability: 1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0x0a, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a agentv1.ConnectRequest
		var c agentv1.ConnectResponse
		var u agentv1.UploadRequest
		var s agentv1.UploadStateResponse
		var e agentv1.EnrollRequest
		for _, f := range []func() (proto.Message, func() error){
			func() (proto.Message, func() error) { return &a, func() error { return wire.ConnectRequest(&a) } },
			func() (proto.Message, func() error) { return &c, func() error { return wire.ConnectResponse(&c) } },
			func() (proto.Message, func() error) { return &u, func() error { return wire.UploadRequest(&u) } },
			func() (proto.Message, func() error) { return &s, func() error { return wire.UploadStateResponse(&s) } },
			func() (proto.Message, func() error) { return &e, func() error { return wire.EnrollRequest(&e) } },
		} {
			m, check := f()
			if proto.Unmarshal(b, m) != nil {
				continue
			}
			var fe *wire.FieldError
			if err := check(); err != nil && !errors.As(err, &fe) {
				t.Fatalf("%T names no field", err)
			}
		}
	})
}
