package uplink

import (
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/agent/internal/uplink/journal"
	"hozen/internal/digest"
	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

func toState(s journal.State) agentv1.IsolationState {
	switch s {
	case journal.StateReleased:
		return agentv1.IsolationState_ISOLATION_STATE_RELEASED
	case journal.StateIsolating:
		return agentv1.IsolationState_ISOLATION_STATE_ISOLATING
	case journal.StateIsolated:
		return agentv1.IsolationState_ISOLATION_STATE_ISOLATED
	case journal.StateReleasing:
		return agentv1.IsolationState_ISOLATION_STATE_RELEASING
	case journal.StateFailed:
		return agentv1.IsolationState_ISOLATION_STATE_FAILED
	}
	return agentv1.IsolationState_ISOLATION_STATE_UNSPECIFIED
}

// toDesired leaves out what nobody can order.
func toDesired(s journal.State) agentv1.IsolationState {
	if s == journal.StateReleased || s == journal.StateIsolated {
		return toState(s)
	}
	return agentv1.IsolationState_ISOLATION_STATE_UNSPECIFIED
}

func toMode(m journal.Mode) agentv1.IsolationMode {
	switch m {
	case journal.ModeStandard:
		return agentv1.IsolationMode_ISOLATION_MODE_STANDARD
	case journal.ModeSelective:
		return agentv1.IsolationMode_ISOLATION_MODE_SELECTIVE
	case journal.ModeFull:
		return agentv1.IsolationMode_ISOLATION_MODE_FULL
	}
	return agentv1.IsolationMode_ISOLATION_MODE_UNSPECIFIED
}

func toIsolation(i journal.Isolation) *agentv1.IsolationStatus {
	m := &agentv1.IsolationStatus{
		Desired: toDesired(i.Desired), Observed: toState(i.Observed), MeasuredAt: moment(i.MeasuredAt), WayHome: i.WayHome,
		RulesDigest: hexDigest(i.RulesDigest), DroppedPackets: i.DroppedPackets, Detail: wire.Text(i.Detail, wire.MaxDetail),
		CommandId: identifier(id.Command, i.CommandID), Capable: i.Capable, Persisted: i.Persisted,
		Mode: toMode(i.Mode), Until: moment(i.Until), LeaseUntil: moment(i.LeaseUntil), Held: code(i.Held, maxHeld),
		Drill: i.Drill, Limits: toLines(i.Limits, wire.MaxLimits), Others: code(i.Others, maxHeld), OthersDifferences: toLines(i.OthersDifferences, wire.MaxSeen),
	}
	for _, t := range i.Tunnels[:min(len(i.Tunnels), wire.MaxTunnels)] {
		to := wire.Line(t.Address, wire.MaxAddress)
		if to == "" {
			continue
		}
		m.Tunnels = append(m.Tunnels, &agentv1.IsolationTunnel{
			Address: to, Protocol: uint32(t.Protocol), Port: uint32(t.Port),
			Link: wire.Line(t.Link, wire.MaxLink), Why: wire.Line(t.Why, wire.MaxWhy), Since: moment(t.Since),
		})
	}
	if c := i.Confirmation; c != nil {
		m.Confirmation = &agentv1.IsolationConfirmation{
			By: moment(c.By), Fallback: toFallback(c.Fallback), ConfirmedAt: moment(c.ConfirmedAt), MissedAt: moment(c.MissedAt),
		}
	}
	if s := i.Severed; s != nil {
		m.Severed = &agentv1.IsolationSevered{
			At: moment(s.At), Took: durationpb.New(s.Took), Destroyed: count(s.Destroyed), Gone: count(s.Gone), Failed: count(s.Failed), Unsupported: s.Unsupported,
			Detail: wire.Line(s.Detail, wire.MaxSeenLine), Connections: toLines(s.First, wire.MaxSevered),
		}
	}
	for _, t := range i.Trials[:min(len(i.Trials), wire.MaxTrials)] {
		name := code(t.Name, maxCode)
		if name == "" {
			continue
		}
		m.Trials = append(m.Trials, &agentv1.IsolationTrial{
			Name: name, Outcome: toOutcome(t.Outcome), Reason: code(t.Reason, maxCode), Target: wire.Line(t.Target, wire.MaxAddress), At: moment(t.At), Dropped: t.Dropped,
		})
	}
	return m
}

// The lengths of the codes in a measurement.
const (
	maxHeld = 16
	maxCode = 32
)

// code makes s acceptable as a stable code of at most limit bytes.
func code(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), limit)]
}

// moment leaves out a time that the wire has no form for, which no sane clock shows.
func moment(t time.Time) *timestamppb.Timestamp {
	m := wire.Timestamp(t)
	if m.CheckValid() != nil {
		return nil
	}
	return m
}

func hexDigest(s string) string {
	if _, err := digest.Parse(s); err != nil {
		return ""
	}
	return s
}

func identifier(p id.Prefix, s string) string {
	if id.Check(p, s) != nil {
		return ""
	}
	return s
}

func count(n int) uint32 { return uint32(min(max(n, 0), math.MaxInt32)) }

func toLines(ls []string, limit int) []string {
	var out []string
	for _, l := range ls[:min(len(ls), limit)] {
		out = append(out, wire.Line(l, wire.MaxSeenLine))
	}
	return out
}

func toFallback(f journal.Fallback) agentv1.IsolationFallback {
	if f == journal.RollBack {
		return agentv1.IsolationFallback_ISOLATION_FALLBACK_ROLL_BACK
	}
	return agentv1.IsolationFallback_ISOLATION_FALLBACK_STAY_CLOSED
}

func toOutcome(o journal.TrialOutcome) agentv1.IsolationTrialOutcome {
	switch o {
	case journal.TrialAsOrdered:
		return agentv1.IsolationTrialOutcome_ISOLATION_TRIAL_OUTCOME_AS_ORDERED
	case journal.TrialContrary:
		return agentv1.IsolationTrialOutcome_ISOLATION_TRIAL_OUTCOME_CONTRARY
	}
	return agentv1.IsolationTrialOutcome_ISOLATION_TRIAL_OUTCOME_UNKNOWN
}

// fit cuts a measurement down to what the wire has room for, so that none fills the
// journal.
func fit(i *journal.Isolation) *journal.Isolation {
	if i == nil {
		return nil
	}
	f := *i
	f.Detail, f.Limits, f.Trials = wire.Text(i.Detail, wire.MaxDetail), toLines(i.Limits, wire.MaxLimits), i.Trials[:min(len(i.Trials), wire.MaxTrials)]
	return &f
}

// toEvent returns nil for an event that the wire has no word for.
func toEvent(e journal.IsolationEvent) *agentv1.IsolationEvent {
	kind := toEventKind(e.Kind)
	if kind == agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_UNSPECIFIED {
		return nil
	}
	m := &agentv1.IsolationEvent{
		EventId: e.ID, Kind: kind, At: moment(e.At), CommandId: identifier(id.Command, e.CommandID), Differences: toLines(e.Differences, wire.MaxSeen),
		Seen: toLines(e.Seen, wire.MaxSeen), By: wire.Line(e.By, wire.MaxName), Detail: wire.Text(e.Detail, wire.MaxDetail), Count: max(count(e.Count), 1),
	}
	if e.Dropped > 0 {
		told := fmt.Sprintf("%d earlier ones were given up because too many waited; they are counted here.", e.Dropped)
		m.Detail = wire.Text(strings.TrimSpace(told+" "+e.Detail), wire.MaxDetail)
	}
	if m.At == nil {
		m.At = wire.Timestamp(time.Now()) // of a clock beyond all measure
	}
	if e.Isolation != nil {
		m.Isolation = toIsolation(*e.Isolation)
	}
	return m
}

func toEventKind(k journal.EventKind) agentv1.IsolationEventKind {
	switch k {
	case journal.EventDrift:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_DRIFT
	case journal.EventNotInForce:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_NOT_IN_FORCE
	case journal.EventReleasedByCode:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_RELEASED_BY_CODE
	case journal.EventCodeRefused:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_CODE_REFUSED
	case journal.EventReleasedByTime:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_RELEASED_BY_TIME
	case journal.EventRolledBack:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_ROLLED_BACK
	case journal.EventLeaseLapsed:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_LEASE_LAPSED
	case journal.EventRecordLost:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_RECORD_LOST
	case journal.EventLeak:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_LEAK
	case journal.EventReleasedByUninstall:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_RELEASED_BY_UNINSTALL
	case journal.EventPermitEnded:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_PERMIT_ENDED
	case journal.EventTunnelChanged:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_TUNNEL_CHANGED
	case journal.EventOthersRules:
		return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_OTHERS_RULES
	}
	return agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_UNSPECIFIED
}

// fromIsolate translates an order to isolate that came at now. It reports false for words of a newer
// collector: what this agent does not understand whole, it does not begin.
func fromIsolate(m *agentv1.Isolate, now time.Time) (*journal.IsolateOrder, bool) {
	o := &journal.IsolateOrder{
		Mode: fromMode(m.GetMode()), Until: end(now, m.GetLasts(), m.GetUntil()), ConfirmWithin: m.GetConfirmWithin().AsDuration(),
		Lease: m.GetLease().AsDuration(), Drill: m.GetDrill(), Collectors: m.GetCollectors(),
	}
	switch m.GetFallback() {
	case agentv1.IsolationFallback_ISOLATION_FALLBACK_UNSPECIFIED, agentv1.IsolationFallback_ISOLATION_FALLBACK_STAY_CLOSED:
		o.Fallback = journal.StayClosed
	case agentv1.IsolationFallback_ISOLATION_FALLBACK_ROLL_BACK:
		o.Fallback = journal.RollBack
	default:
		return nil, false
	}
	for _, p := range m.GetPermits() {
		protocol, ok := fromProtocol(p.GetProtocol())
		if !ok {
			return nil, false
		}
		o.Permits = append(o.Permits, journal.Permit{
			Network: p.GetNetwork(), Protocol: protocol, First: p.GetFirstPort(), Last: p.GetLastPort(),
			Reason: p.GetReason(), Host: p.GetHost(), ExpiresAt: end(now, p.GetLasts(), p.GetExpiresAt()),
		})
	}
	if c := m.GetReleaseCode(); c != nil {
		o.Code = &journal.ReleaseCode{Number: c.GetNumber(), Hash: c.GetHash(), Salt: c.GetSalt(), Iterations: c.GetIterations()}
	}
	return o, o.Mode != ""
}

// end is the moment, by this PC's clock, at which something ends. What is left of it
// counts before the moment that the collector worked out: it knows this clock as it was
// when it last heard of it.
func end(now time.Time, lasts *durationpb.Duration, at *timestamppb.Timestamp) time.Time {
	if lasts == nil {
		return wire.Time(at)
	}
	return now.Add(lasts.AsDuration())
}

// fromMode returns "" for a mode of a newer collector, and for one that was not said.
func fromMode(m agentv1.IsolationMode) journal.Mode {
	switch m {
	case agentv1.IsolationMode_ISOLATION_MODE_STANDARD:
		return journal.ModeStandard
	case agentv1.IsolationMode_ISOLATION_MODE_SELECTIVE:
		return journal.ModeSelective
	case agentv1.IsolationMode_ISOLATION_MODE_FULL:
		return journal.ModeFull
	}
	return ""
}

func fromProtocol(p agentv1.IsolationProtocol) (string, bool) {
	switch p {
	case agentv1.IsolationProtocol_ISOLATION_PROTOCOL_UNSPECIFIED:
		return "", true // a mistake, and answered as one
	case agentv1.IsolationProtocol_ISOLATION_PROTOCOL_TCP:
		return journal.ProtocolTCP, true
	case agentv1.IsolationProtocol_ISOLATION_PROTOCOL_UDP:
		return journal.ProtocolUDP, true
	}
	return "", false
}

func fromNotice(m *agentv1.Notice) *journal.Notice {
	if m == nil {
		return nil
	}
	return &journal.Notice{Text: m.GetText(), Phone: m.GetPhone()}
}
