package wire

import (
	"fmt"

	"google.golang.org/protobuf/types/known/durationpb"

	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// The limits of orders and measurements about the network.
const (
	MaxPermits    = 64
	MaxCollectors = 16
	MaxAddress    = 128 // of an address with its port or prefix
	MaxTrials     = 64
	MaxSeen       = 16 // lines of what an event saw
	MaxSeenLine   = 512
	MaxLimits     = 16 // lines of what a kernel cannot do
	MaxTunnels    = 16
	MaxSevered    = 16  // connections of a cut that are named
	MaxLink       = 64  // of a network device's name
	MaxWhy        = 256 // of how a tunnel was found
	MaxNotice     = 1 << 10
	MaxPhone      = 64
	MaxHostName   = 253 // RFC 1035
	maxPermitWhy  = 256
	maxTrialName  = 32
	maxProtocol   = 1<<8 - 1
	maxPort       = 1<<16 - 1
	// MinIterations and MaxIterations bound the work that one try of a release code takes.
	MinIterations = 10_000
	MaxIterations = 100_000
)

// isolate checks the sizes of an order to isolate. Whether it makes sense is for the
// agent to say, which answers an order that does not and stays connected.
func isolate(f string, m *agentv1.Isolate) error {
	if n := len(m.GetPermits()); n > MaxPermits {
		return wrong(f+".permits", "%d, at most %d are allowed", n, MaxPermits)
	}
	for i, p := range m.GetPermits() {
		f := fmt.Sprintf("%s.permits[%d]", f, i)
		if err := first(
			address(f+".network", p.GetNetwork()),
			line(f+".reason", p.GetReason(), maxPermitWhy),
			optionalMoment(f+".expires_at", p.GetExpiresAt()),
			word(f+".host", p.GetHost(), 0, MaxHostName),
			span(f+".lasts", p.GetLasts()),
		); err != nil {
			return err
		}
	}
	if n := len(m.GetCollectors()); n > MaxCollectors {
		return wrong(f+".collectors", "%d, at most %d are allowed", n, MaxCollectors)
	}
	for i, c := range m.GetCollectors() {
		if err := address(fmt.Sprintf("%s.collectors[%d]", f, i), c); err != nil {
			return err
		}
	}
	return first(
		optionalMoment(f+".until", m.GetUntil()),
		span(f+".confirm_within", m.GetConfirmWithin()),
		span(f+".lease", m.GetLease()),
		span(f+".lasts", m.GetLasts()),
		releaseCode(f+".release_code", m.GetReleaseCode()),
		notice(f+".notice", m.GetNotice()),
	)
}

// address checks what may be an address with its port or prefix.
func address(f, s string) error {
	if s == "" {
		return wrong(f, "missing")
	}
	return line(f, s, MaxAddress)
}

// span checks a length of time; an absent one is in order.
func span(f string, d *durationpb.Duration) error {
	if d == nil {
		return nil
	}
	if err := d.CheckValid(); err != nil || d.AsDuration() <= 0 {
		return wrong(f, "not a length of time")
	}
	return nil
}

func releaseCode(f string, m *agentv1.ReleaseCode) error {
	if m == nil {
		return nil
	}
	if n := m.GetIterations(); n < MinIterations || n > MaxIterations {
		return wrong(f+".iterations", "%d, want %d to %d", n, MinIterations, MaxIterations)
	}
	return first(
		word(f+".number", m.GetNumber(), 12, 12),
		size(f+".hash", m.GetHash(), 32, 32),
		size(f+".salt", m.GetSalt(), 16, 16),
	)
}

func notice(f string, m *agentv1.Notice) error {
	return first(text(f+".text", m.GetText(), MaxNotice), line(f+".phone", m.GetPhone(), MaxPhone))
}

// isolation checks a measurement; an absent one is in order.
func isolation(f string, m *agentv1.IsolationStatus) error {
	if m == nil {
		return nil
	}
	if d := m.GetDesired(); d != agentv1.IsolationState_ISOLATION_STATE_UNSPECIFIED &&
		d != agentv1.IsolationState_ISOLATION_STATE_RELEASED && d != agentv1.IsolationState_ISOLATION_STATE_ISOLATED {
		return wrong(f+".desired", "want released or isolated")
	}
	if _, ok := agentv1.IsolationState_name[int32(m.GetObserved())]; !ok {
		return wrong(f+".observed", "state %d is not known", m.GetObserved())
	}
	if n := len(m.GetTrials()); n > MaxTrials {
		return wrong(f+".trials", "%d, at most %d are allowed", n, MaxTrials)
	}
	for i, t := range m.GetTrials() {
		f := fmt.Sprintf("%s.trials[%d]", f, i)
		if err := first(
			word(f+".name", t.GetName(), 1, maxTrialName),
			word(f+".reason", t.GetReason(), 0, maxTrialName),
			line(f+".target", t.GetTarget(), MaxAddress),
			optionalMoment(f+".at", t.GetAt()),
		); err != nil {
			return err
		}
	}
	if n := len(m.GetTunnels()); n > MaxTunnels {
		return wrong(f+".tunnels", "%d, at most %d are allowed", n, MaxTunnels)
	}
	for i, t := range m.GetTunnels() {
		f := fmt.Sprintf("%s.tunnels[%d]", f, i)
		if err := first(
			address(f+".address", t.GetAddress()),
			line(f+".link", t.GetLink(), MaxLink),
			line(f+".why", t.GetWhy(), MaxWhy),
			optionalMoment(f+".since", t.GetSince()),
		); err != nil {
			return err
		}
		if t.GetProtocol() > maxProtocol || t.GetPort() > maxPort {
			return wrong(f, "protocol %d, port %d are none", t.GetProtocol(), t.GetPort())
		}
	}
	c, s := m.GetConfirmation(), m.GetSevered()
	return first(
		line(f+".severed.detail", s.GetDetail(), MaxSeenLine),
		lines(f+".severed.connections", s.GetConnections(), MaxSevered),
		word(f+".others", m.GetOthers(), 0, 16),
		lines(f+".others_differences", m.GetOthersDifferences(), MaxSeen),
		optionalMoment(f+".measured_at", m.GetMeasuredAt()),
		optionalDigest(f+".rules_digest", m.GetRulesDigest()),
		text(f+".detail", m.GetDetail(), MaxDetail),
		optionalIdentifier(f+".command_id", id.Command, m.GetCommandId()),
		optionalMoment(f+".until", m.GetUntil()),
		optionalMoment(f+".lease_until", m.GetLeaseUntil()),
		optionalMoment(f+".confirmation.by", c.GetBy()),
		optionalMoment(f+".confirmation.confirmed_at", c.GetConfirmedAt()),
		optionalMoment(f+".confirmation.missed_at", c.GetMissedAt()),
		optionalMoment(f+".severed.at", s.GetAt()),
		word(f+".held", m.GetHeld(), 0, 16),
		lines(f+".limits", m.GetLimits(), MaxLimits),
	)
}

func isolationEvent(f string, m *agentv1.IsolationEvent) error {
	if m.GetKind() == agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_UNSPECIFIED || agentv1.IsolationEventKind_name[int32(m.GetKind())] == "" {
		return wrong(f+".kind", "kind %d is not known", m.GetKind())
	}
	if m.GetCount() == 0 {
		return wrong(f+".count", "0, at least 1 is needed")
	}
	return first(
		identifier(f+".event_id", id.IsolationEvent, m.GetEventId()),
		moment(f+".at", m.GetAt()),
		optionalIdentifier(f+".command_id", id.Command, m.GetCommandId()),
		lines(f+".differences", m.GetDifferences(), MaxSeen),
		lines(f+".seen", m.GetSeen(), MaxSeen),
		line(f+".by", m.GetBy(), MaxName),
		text(f+".detail", m.GetDetail(), MaxDetail),
		isolation(f+".isolation", m.GetIsolation()),
	)
}

// lines checks a list of lines, each of at most MaxSeenLine bytes.
func lines(f string, ls []string, limit int) error {
	if n := len(ls); n > limit {
		return wrong(f, "%d lines, at most %d are allowed", n, limit)
	}
	for i, l := range ls {
		if err := line(fmt.Sprintf("%s[%d]", f, i), l, MaxSeenLine); err != nil {
			return err
		}
	}
	return nil
}
