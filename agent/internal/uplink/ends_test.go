package uplink

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	agentv1 "hozen/proto/hozen/agent/v1"
)

// How long something lasts is right although the collector knew another clock; an older
// collector tells the moment alone.
func TestWhatIsLeftCountsBeforeTheMoment(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	wrong := timestamppb.New(now.Add(-30 * time.Hour))
	m := &agentv1.Isolate{
		Mode: agentv1.IsolationMode_ISOLATION_MODE_SELECTIVE, Until: wrong, Lasts: durationpb.New(time.Hour),
		Permits: []*agentv1.IsolationPermit{{Network: "192.0.2.7/32", Protocol: agentv1.IsolationProtocol_ISOLATION_PROTOCOL_TCP, FirstPort: 1, LastPort: 2, ExpiresAt: wrong, Lasts: durationpb.New(time.Minute)}},
	}
	o, ok := fromIsolate(m, now)
	if !ok || !o.Until.Equal(now.Add(time.Hour)) || !o.Permits[0].ExpiresAt.Equal(now.Add(time.Minute)) {
		t.Errorf("%t, until %v, permit until %v", ok, o.Until, o.Permits[0].ExpiresAt)
	}
	m.Lasts, m.Permits[0].Lasts = nil, nil
	o, ok = fromIsolate(m, now)
	if !ok || !o.Until.Equal(wrong.AsTime()) || !o.Permits[0].ExpiresAt.Equal(wrong.AsTime()) {
		t.Errorf("of an older collector: %t, until %v, permit until %v", ok, o.Until, o.Permits[0].ExpiresAt)
	}
	m.Until = nil
	if o, ok = fromIsolate(m, now); !ok || !o.Until.IsZero() {
		t.Errorf("without an end: %t, until %v", ok, o.Until)
	}
}
