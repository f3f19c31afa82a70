package uplink

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/agent/internal/uplink/journal"
	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// FuzzToldPassesTheRules: whatever was measured and whatever happened, what is told of it
// is never kept back by a rule of the wire.
func FuzzToldPassesTheRules(f *testing.F) {
	f.Add("drift", "nft[1]\n\x1b[2J\xff 端末", int64(0), -1, 3)
	f.Add("released_by_code", "", int64(math.MaxInt64), math.MaxInt, 100)
	f.Fuzz(func(t *testing.T, kind, s string, ns int64, n, many int) {
		at := time.Unix(ns, ns)
		i := journal.Isolation{
			Desired: journal.State(s), Observed: journal.State(kind), MeasuredAt: at, RulesDigest: s, Detail: s, CommandID: s, Mode: journal.Mode(s), Until: at, LeaseUntil: at,
			Held: s, Confirmation: &journal.Confirmation{By: at, Fallback: journal.Fallback(s), ConfirmedAt: at, MissedAt: at},
			Severed: &journal.Severed{At: at, Took: time.Duration(ns), Destroyed: n, Gone: n, Failed: n},
		}
		var lines []string
		for range min(max(many, 0), 200) {
			lines = append(lines, s)
			i.Trials = append(i.Trials, journal.Trial{Name: s, Outcome: journal.TrialOutcome(kind), Reason: s, Target: s, At: at})
		}
		i.Limits = lines
		for range many { // more than the wire has room for
			i.Tunnels = append(i.Tunnels, journal.Tunnel{Address: s, Protocol: uint8(n), Port: uint16(n), Link: s, Why: s, Since: at})
		}
		e := journal.IsolationEvent{ID: id.New(id.IsolationEvent), Kind: journal.EventKind(kind), At: at, CommandID: s, Differences: lines, Seen: lines, By: s, Detail: s, Isolation: &i, Count: n, Dropped: many}
		told := []*agentv1.ConnectRequest{
			{Body: &agentv1.ConnectRequest_Isolation{Isolation: toIsolation(i)}},
			{Body: &agentv1.ConnectRequest_Heartbeat{Heartbeat: &agentv1.Heartbeat{SentAt: timestamppb.Now(), Isolation: toIsolation(i)}}},
		}
		if m := toEvent(e); m != nil {
			told = append(told, &agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_IsolationEvent{IsolationEvent: m}})
		} else if toEventKind(e.Kind) != agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_UNSPECIFIED {
			t.Fatalf("%s is not told", kind)
		}
		for _, m := range told {
			if err := wire.ConnectRequest(m); err != nil {
				t.Fatalf("%v: %v", err, m)
			}
		}
	})
}

// TestEveryKindIsTold: each kind of the journal has a word on the wire, and each word a
// kind.
func TestEveryKindIsTold(t *testing.T) {
	told := map[agentv1.IsolationEventKind]bool{}
	for _, k := range []journal.EventKind{
		journal.EventDrift, journal.EventNotInForce, journal.EventReleasedByCode, journal.EventCodeRefused, journal.EventReleasedByTime, journal.EventRolledBack,
		journal.EventLeaseLapsed, journal.EventRecordLost, journal.EventLeak, journal.EventReleasedByUninstall, journal.EventPermitEnded, journal.EventTunnelChanged,
		journal.EventOthersRules,
	} {
		m := toEventKind(k)
		if told[m] || m == agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_UNSPECIFIED {
			t.Errorf("%s is told as %s", k, m)
		}
		told[m] = true
	}
	if len(told) != len(agentv1.IsolationEventKind_name)-1 {
		t.Errorf("%d kinds, the wire has words for %d", len(told), len(agentv1.IsolationEventKind_name)-1)
	}
}

// FuzzFromCommand: an order that the rules let pass is translated without a fault and
// stands in the journal as it was translated.
func FuzzFromCommand(f *testing.F) {
	seed := func(m *agentv1.Command) {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	c := &agentv1.Command{CommandId: id.New(id.Command), Counter: 1, IssuedAt: timestamppb.Now()}
	c.Verb = &agentv1.Command_Isolate{Isolate: &agentv1.Isolate{
		Mode: agentv1.IsolationMode_ISOLATION_MODE_SELECTIVE, Permits: []*agentv1.IsolationPermit{{Network: "192.0.2.7/32", FirstPort: 1, LastPort: 2}},
		ReleaseCode: &agentv1.ReleaseCode{Number: "123456789012", Hash: make([]byte, 32), Salt: make([]byte, 16), Iterations: wire.MinIterations},
	}}
	seed(c)
	c.Verb = &agentv1.Command_Release{Release: &agentv1.Release{Notice: &agentv1.Notice{Text: "x"}}}
	seed(c)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m agentv1.Command
		if proto.Unmarshal(b, &m) != nil || wire.ConnectResponse(&agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: &m}}) != nil {
			return
		}
		c := fromCommand(&m)
		if c.Verb == journal.Isolate != (c.Isolate != nil) {
			t.Fatalf("%+v", c)
		}
		j, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back journal.Command
		if err := json.Unmarshal(j, &back); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(back)
		if err != nil || !reflect.DeepEqual(j, again) {
			t.Fatalf("%s became %s, %v", j, again, err)
		}
	})
}

// TestEverythingIsTold: each field of what was measured and of what happened has a value
// on the wire.
func TestEverythingIsTold(t *testing.T) {
	at, commandID := time.Now(), id.New(id.Command)
	i := journal.Isolation{
		Desired: journal.StateIsolated, Observed: journal.StateFailed, MeasuredAt: at, WayHome: true, RulesDigest: strings.Repeat("ab", 32), DroppedPackets: 1, Detail: "d",
		CommandID: commandID, Capable: true, Persisted: true, Mode: journal.ModeFull, Until: at, LeaseUntil: at, Held: "here", Drill: true, Limits: []string{"l"},
		Confirmation: &journal.Confirmation{By: at, Fallback: journal.RollBack, ConfirmedAt: at, MissedAt: at},
		Severed:      &journal.Severed{At: at, Took: 1, Destroyed: 2, Gone: 3, Failed: 4, Unsupported: true, Detail: "s", First: []string{"c"}},
		Others:       "differs", OthersDifferences: []string{"d"},
		Trials:  []journal.Trial{{Name: "tcp4", Outcome: journal.TrialContrary, Reason: "answered", Target: "192.0.2.1:53", At: at, Dropped: 5}},
		Tunnels: []journal.Tunnel{{Address: "192.0.2.9", Protocol: 17, Port: 51820, Link: "wg0", Why: "w", Since: at}},
	}
	e := journal.IsolationEvent{
		ID: id.New(id.IsolationEvent), Kind: journal.EventLeak, At: at, CommandID: commandID, Differences: []string{"x"}, Seen: []string{"y"}, By: "root", Detail: "d", Isolation: &i, Count: 2,
	}
	if missing := unset("", toEvent(e).ProtoReflect()); len(missing) > 0 {
		t.Errorf("not told: %v", missing)
	}
}

// unset returns the fields of a message, and of those in it, that have no value.
func unset(name string, m protoreflect.Message) (list []string) {
	fields := m.Descriptor().Fields()
	for n := range fields.Len() {
		f := fields.Get(n)
		at := name + "." + string(f.Name())
		switch {
		case !m.Has(f):
			list = append(list, at)
		case f.Message() == nil || f.Message().ParentFile().Package() == "google.protobuf":
		case f.IsList():
			for k := range m.Get(f).List().Len() {
				list = append(list, unset(at, m.Get(f).List().Get(k).Message())...)
			}
		default:
			list = append(list, unset(at, m.Get(f).Message())...)
		}
	}
	return list
}
