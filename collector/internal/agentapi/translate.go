package agentapi

import (
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

func fromState(s agentv1.IsolationState) endpoint.State {
	switch s {
	case agentv1.IsolationState_ISOLATION_STATE_RELEASED:
		return endpoint.Released
	case agentv1.IsolationState_ISOLATION_STATE_ISOLATING:
		return endpoint.Isolating
	case agentv1.IsolationState_ISOLATION_STATE_ISOLATED:
		return endpoint.Isolated
	case agentv1.IsolationState_ISOLATION_STATE_RELEASING:
		return endpoint.Releasing
	case agentv1.IsolationState_ISOLATION_STATE_FAILED:
		return endpoint.Failed
	}
	return endpoint.Unknown
}

// fromIsolation translates a measurement; an absent one is unknown.
func fromIsolation(m *agentv1.IsolationStatus) endpoint.IsolationStatus {
	return endpoint.IsolationStatus{
		Desired:        fromState(m.GetDesired()),
		Observed:       fromState(m.GetObserved()),
		MeasuredAt:     wire.Time(m.GetMeasuredAt()),
		WayHome:        m.GetWayHome(),
		RulesDigest:    m.GetRulesDigest(),
		DroppedPackets: m.GetDroppedPackets(),
		Detail:         m.GetDetail(),
		CommandID:      m.GetCommandId(),
		Capable:        m.GetCapable(),
		More:           fromMeasured(m),
	}
}

// measured is fromIsolation for a place where none may have been measured.
func measured(m *agentv1.IsolationStatus) *endpoint.IsolationStatus {
	if m == nil {
		return nil
	}
	i := fromIsolation(m)
	return &i
}

func fromHello(m *agentv1.Hello) endpoint.Description {
	d := describe(m.GetHost())
	d.Capability = m.GetCapability()
	d.BootID = m.GetBootId()
	d.AgentTime = wire.Time(m.GetAgentTime())
	d.Spooled = m.GetSpooledAcquisitions()
	d.SpooledBytes = m.GetSpooledBytes()
	d.CommandCounter = m.GetCommandCounter()
	d.Isolation = fromIsolation(m.GetIsolation())
	return d
}

func fromResult(m *agentv1.CommandResult) dispatch.Result {
	return dispatch.Result{
		CommandID: m.GetCommandId(), Status: fromStatus(m.GetStatus()), Detail: m.GetDetail(),
		FinishedAt: wire.Time(m.GetFinishedAt()), AcquisitionID: m.GetAcquisitionId(),
	}
}

// fromStatus needs a status that [wire.ConnectRequest] let pass.
func fromStatus(s agentv1.CommandStatus) dispatch.Status {
	switch s {
	case agentv1.CommandStatus_COMMAND_STATUS_DONE:
		return dispatch.Done
	case agentv1.CommandStatus_COMMAND_STATUS_EXPIRED:
		return dispatch.Expired
	case agentv1.CommandStatus_COMMAND_STATUS_UNSUPPORTED:
		return dispatch.Unsupported
	case agentv1.CommandStatus_COMMAND_STATUS_REFUSED:
		return dispatch.Refused
	}
	return dispatch.Failed
}

func fromProgress(m *agentv1.AcquisitionProgress) act.Progress {
	return act.Progress{
		AcquisitionID: m.GetAcquisitionId(), CommandID: m.GetCommandId(), AlertID: m.GetAlertId(), Kind: m.GetKind(),
		Done: m.GetDone(), Total: m.GetTotal(), Records: m.GetRecords(), Sealed: m.GetSealed(),
		Bytes: m.GetBytes(), Expected: m.GetExpectedBytes(), Rate: m.GetBytesPerSecond(),
	}
}

func fromAlert(m *agentv1.Alert) act.AlertCall {
	return act.AlertCall{AlertID: m.GetAlertId(), Message: m.GetMessage(), Reporter: m.GetReporter(), ReportedAt: wire.Time(m.GetReportedAt())}
}

// toCommand translates an order, sent now, for an agent whose clock is ahead of ours by
// offset; nil for a verb that has no form on the wire.
func toCommand(c dispatch.Command, offset time.Duration, now time.Time) *agentv1.Command {
	m := &agentv1.Command{
		CommandId: c.ID, Counter: c.Counter, Issuer: wire.Line(c.Issuer, wire.MaxName), Reason: wire.Text(c.Reason, wire.MaxReason),
		IncidentId: c.IncidentID, IssuedAt: wire.Timestamp(c.IssuedAt), ExpiresAt: wire.Timestamp(c.ExpiresAt),
	}
	switch c.Verb {
	case dispatch.Acquire:
		m.Verb = &agentv1.Command_Acquire{Acquire: &agentv1.Acquire{Profile: c.Profile}}
	case dispatch.Isolate:
		m.Verb = &agentv1.Command_Isolate{Isolate: toIsolate(c, offset, now)}
	case dispatch.Release:
		m.Verb = &agentv1.Command_Release{Release: &agentv1.Release{Notice: toNotice(c.Isolation.Notice)}}
	case dispatch.Preserve:
		m.Verb = &agentv1.Command_Preserve{Preserve: &agentv1.Preserve{Then: toThen(c.Then)}}
	default:
		return nil
	}
	return m
}

func toThen(t dispatch.Then) agentv1.PreserveThen {
	switch t {
	case dispatch.ThenPowerOff:
		return agentv1.PreserveThen_PRESERVE_THEN_POWER_OFF
	case dispatch.ThenReboot:
		return agentv1.PreserveThen_PRESERVE_THEN_REBOOT
	}
	return agentv1.PreserveThen_PRESERVE_THEN_NOTHING
}
