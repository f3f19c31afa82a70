package agentapi

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// fromMeasured translates what a measurement says beyond the state.
func fromMeasured(m *agentv1.IsolationStatus) endpoint.Measured {
	r := endpoint.Measured{
		Mode: fromMode(m.GetMode()), Until: wire.Time(m.GetUntil()), LeaseUntil: wire.Time(m.GetLeaseUntil()), Held: m.GetHeld(),
		Drill: m.GetDrill(), Limits: m.GetLimits(), Persisted: m.GetPersisted(), Others: m.GetOthers(), OthersDifferences: m.GetOthersDifferences(),
	}
	if c := m.GetConfirmation(); c != nil {
		r.Confirmation = &endpoint.Confirmation{
			By: wire.Time(c.GetBy()), RollBack: c.GetFallback() == agentv1.IsolationFallback_ISOLATION_FALLBACK_ROLL_BACK,
			At: wire.Time(c.GetConfirmedAt()), Missed: wire.Time(c.GetMissedAt()),
		}
	}
	if s := m.GetSevered(); s != nil {
		r.Severed = &endpoint.Severed{
			At: wire.Time(s.GetAt()), Took: max(0, s.GetTook().AsDuration()), Destroyed: s.GetDestroyed(), Gone: s.GetGone(),
			Failed: s.GetFailed(), Unsupported: s.GetUnsupported(), Detail: s.GetDetail(), First: s.GetConnections(),
		}
	}
	for _, t := range m.GetTrials() {
		if strings.HasPrefix(t.GetName(), endpoint.InboundPrefix) {
			continue // what the collector found is said by the collector alone
		}
		r.Trials = append(r.Trials, endpoint.Trial{
			Name: t.GetName(), Outcome: fromOutcome(t.GetOutcome()), Reason: t.GetReason(), Target: t.GetTarget(), At: wire.Time(t.GetAt()), Dropped: t.GetDropped(),
		})
	}
	for _, t := range m.GetTunnels() {
		r.Tunnels = append(r.Tunnels, endpoint.Tunnel{
			Address: t.GetAddress(), Protocol: uint8(t.GetProtocol()), Port: uint16(t.GetPort()), Link: t.GetLink(), Why: t.GetWhy(), Since: wire.Time(t.GetSince()),
		})
	}
	return r
}

func fromOutcome(o agentv1.IsolationTrialOutcome) endpoint.TrialOutcome {
	switch o {
	case agentv1.IsolationTrialOutcome_ISOLATION_TRIAL_OUTCOME_AS_ORDERED:
		return endpoint.AsOrdered
	case agentv1.IsolationTrialOutcome_ISOLATION_TRIAL_OUTCOME_CONTRARY:
		return endpoint.Contrary
	}
	return endpoint.NotShown
}

func fromMode(m agentv1.IsolationMode) string {
	switch m {
	case agentv1.IsolationMode_ISOLATION_MODE_STANDARD:
		return string(dispatch.Standard)
	case agentv1.IsolationMode_ISOLATION_MODE_SELECTIVE:
		return string(dispatch.Selective)
	case agentv1.IsolationMode_ISOLATION_MODE_FULL:
		return string(dispatch.Full)
	}
	return ""
}

// fromIsolationEvent needs a kind that [wire.ConnectRequest] let pass.
func fromIsolationEvent(m *agentv1.IsolationEvent) endpoint.IsolationEvent {
	kinds := map[agentv1.IsolationEventKind]endpoint.IsolationEventKind{
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_DRIFT:                 endpoint.EventDrift,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_NOT_IN_FORCE:          endpoint.EventNotInForce,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_RELEASED_BY_CODE:      endpoint.EventReleasedByCode,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_CODE_REFUSED:          endpoint.EventCodeRefused,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_RELEASED_BY_TIME:      endpoint.EventReleasedByTime,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_ROLLED_BACK:           endpoint.EventRolledBack,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_LEASE_LAPSED:          endpoint.EventLeaseLapsed,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_RECORD_LOST:           endpoint.EventRecordLost,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_LEAK:                  endpoint.EventLeak,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_RELEASED_BY_UNINSTALL: endpoint.EventReleasedByUninstall,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_PERMIT_ENDED:          endpoint.EventPermitEnded,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_TUNNEL_CHANGED:        endpoint.EventTunnelChanged,
		agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_OTHERS_RULES:          endpoint.EventOthersRules,
	}
	return endpoint.IsolationEvent{
		ID: m.GetEventId(), Kind: kinds[m.GetKind()], At: wire.Time(m.GetAt()), CommandID: m.GetCommandId(), By: m.GetBy(), Detail: m.GetDetail(),
		Differences: m.GetDifferences(), Seen: m.GetSeen(), Count: m.GetCount(),
	}
}

// toIsolate translates an order to isolate. What a person set by a clock on the wall is
// set by ours; the agent is told it by its own, which may be wrong, and how long they are away at now, which is right
// whatever becomes of that clock.
func toIsolate(c dispatch.Command, offset time.Duration, now time.Time) *agentv1.Isolate {
	there := func(t time.Time) *timestamppb.Timestamp {
		if t.IsZero() {
			return nil
		}
		return wire.Timestamp(t.Add(offset))
	}
	left := func(t time.Time) *durationpb.Duration {
		if t.IsZero() {
			return nil
		}
		return durationpb.New(max(t.Sub(now), 1)) // what is over ends at once
	}
	i := c.Isolation
	m := &agentv1.Isolate{
		Mode: toMode(i.Mode), IsolateFirst: c.IsolateFirst, Until: there(i.Until), ConfirmWithin: span(i.ConfirmWithin), Lease: span(i.Lease),
		Notice: toNotice(i.Notice), Drill: i.Drill, Lasts: left(i.Until),
	}
	switch i.Fallback {
	case dispatch.StayClosed:
		m.Fallback = agentv1.IsolationFallback_ISOLATION_FALLBACK_STAY_CLOSED
	case dispatch.RollBack:
		m.Fallback = agentv1.IsolationFallback_ISOLATION_FALLBACK_ROLL_BACK
	}
	for _, p := range i.Permits {
		w := &agentv1.IsolationPermit{
			Network: p.Network.String(), Protocol: agentv1.IsolationProtocol_ISOLATION_PROTOCOL_TCP, FirstPort: uint32(p.First), LastPort: uint32(p.Last),
			Reason: wire.Line(p.Reason, wire.MaxName), ExpiresAt: there(p.ExpiresAt), Host: p.Host, Lasts: left(p.ExpiresAt),
		}
		if p.Protocol == "udp" {
			w.Protocol = agentv1.IsolationProtocol_ISOLATION_PROTOCOL_UDP
		}
		m.Permits = append(m.Permits, w)
	}
	if k := i.Code; k != nil {
		m.ReleaseCode = &agentv1.ReleaseCode{Number: k.Number, Hash: k.Hash, Salt: k.Salt, Iterations: uint32(k.Iterations)}
	}
	return m
}

func toMode(m dispatch.Mode) agentv1.IsolationMode {
	switch m {
	case dispatch.Selective:
		return agentv1.IsolationMode_ISOLATION_MODE_SELECTIVE
	case dispatch.Full:
		return agentv1.IsolationMode_ISOLATION_MODE_FULL
	}
	return agentv1.IsolationMode_ISOLATION_MODE_STANDARD
}

// span is absent for no time.
func span(d time.Duration) *durationpb.Duration {
	if d <= 0 {
		return nil
	}
	return durationpb.New(d)
}

func toNotice(n dispatch.Notice) *agentv1.Notice {
	if n == (dispatch.Notice{}) {
		return nil
	}
	return &agentv1.Notice{Text: wire.Text(n.Text, wire.MaxNotice), Phone: wire.Line(n.Phone, wire.MaxPhone)}
}
